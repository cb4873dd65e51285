package mqtt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

// refused lists bytes that are no packet, with the code a peer is told and a
// part of the sentence that says why. The remaining length is written out.
var refused = []struct {
	name string
	v    mqtt.Version
	text string
	code mqtt.ReasonCode
	says string
}{
	// The fixed header (MQTT 5.0, 2.1).
	{"packet type 0 is reserved", mqtt.V5, `00 00`, mqtt.MalformedPacket, "type 0"},
	{"packet type 15 is reserved in 3.1.1", mqtt.V311, `f0 00`, mqtt.MalformedPacket, "type 15"},
	{"CONNECT has no flags", mqtt.V5, `11 0e 00 04 "MQTT" 05 02 00 3c 00 00 01 "a"`, mqtt.MalformedPacket, "CONNECT: the flags"},
	{"PUBREL has flags 2", mqtt.V311, `60 02 00 01`, mqtt.MalformedPacket, "PUBREL: the flags"},
	{"SUBSCRIBE has flags 2", mqtt.V311, `80 06 00 01 00 01 "a" 00`, mqtt.MalformedPacket, "SUBSCRIBE: the flags"},
	{"UNSUBSCRIBE has flags 2", mqtt.V5, `a0 06 00 01 00 00 01 "a"`, mqtt.MalformedPacket, "UNSUBSCRIBE: the flags"},
	{"PINGREQ has no flags", mqtt.V5, `c1 00`, mqtt.MalformedPacket, "PINGREQ: the flags"},
	{"AUTH has no flags", mqtt.V5, `f1 00`, mqtt.MalformedPacket, "AUTH: the flags"},
	{"PINGREQ has no body", mqtt.V311, `c0 01 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"a 3.1.1 DISCONNECT has no body", mqtt.V311, `e0 01 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"the first packet is CONNECT", 0, `c0 00`, mqtt.ProtocolError, "must be CONNECT"},
	{"an unknown version has only CONNECT", 3, `c0 00`, mqtt.ProtocolError, "must be CONNECT"},

	// CONNECT (MQTT 5.0, 3.1).
	{"MQTT 3.1 is not spoken", 0, `10 0f 00 06 "MQIsdp" 03 02 00 3c 00 01 "a"`, mqtt.UnsupportedProtocolVersion, "level 4"},
	{"level 3 is not spoken under the newer name", 0, `10 0d 00 04 "MQTT" 03 02 00 3c 00 01 "a"`, mqtt.UnsupportedProtocolVersion, "level 4"},
	{"level 6 is not known", 0, `10 07 00 04 "MQTT" 06`, mqtt.UnsupportedProtocolVersion, "level 4"},
	{"the protocol name is MQTT in capitals", 0, `10 0d 00 04 "mqtt" 04 02 00 3c 00 01 "a"`, mqtt.UnsupportedProtocolVersion, "must be MQTT"},
	{"the level is cut off", 0, `10 06 00 04 "MQTT"`, mqtt.MalformedPacket, "protocol level"},
	{"an empty CONNECT", 0, `10 00`, mqtt.MalformedPacket, "protocol name"},
	{"the reserved connect flag is set", 0, `10 0d 00 04 "MQTT" 04 03 00 3c 00 01 "a"`, mqtt.MalformedPacket, "reserved connect flag"},
	{"will QoS without a will", 0, `10 0d 00 04 "MQTT" 04 0a 00 3c 00 01 "a"`, mqtt.MalformedPacket, "will flag is not"},
	{"will retain without a will", 0, `10 0e 00 04 "MQTT" 05 22 00 3c 00 00 01 "a"`, mqtt.MalformedPacket, "will flag is not"},
	{"will QoS 3", 0, `10 12 00 04 "MQTT" 04 1e 00 3c 00 01 "a" 00 01 "t" 00 00`, mqtt.MalformedPacket, "will QoS is 3"},
	{"an empty will topic", 0, `10 11 00 04 "MQTT" 04 06 00 3c 00 01 "a" 00 00 00 00`, mqtt.MalformedPacket, "will topic is empty"},
	{"a wildcard in the will topic", 0, `10 12 00 04 "MQTT" 04 06 00 3c 00 01 "a" 00 01 "#" 00 00`, mqtt.MalformedPacket, "will topic contains a wildcard"},
	{"a will flag without a will", 0, `10 0d 00 04 "MQTT" 04 06 00 3c 00 01 "a"`, mqtt.MalformedPacket, "will topic needs"},
	{"a 3.1.1 password without a user name", 0, `10 10 00 04 "MQTT" 04 42 00 3c 00 01 "a" 00 01 "p"`, mqtt.MalformedPacket, "no user name"},
	{"the user name is missing", 0, `10 0d 00 04 "MQTT" 04 82 00 3c 00 01 "a"`, mqtt.MalformedPacket, "user name needs"},
	{"the client identifier is not UTF-8", 0, `10 0d 00 04 "MQTT" 04 02 00 3c 00 01 ff`, mqtt.MalformedPacket, "client identifier is not well-formed"},
	{"the user name has a null character", 0, `10 10 00 04 "MQTT" 04 82 00 3c 00 01 "a" 00 01 00`, mqtt.MalformedPacket, "user name contains the character U+0000"},
	{"bytes follow the password", 0, `10 0e 00 04 "MQTT" 04 02 00 3c 00 01 "a" 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"authentication data without a method", 0, `10 12 00 04 "MQTT" 05 02 00 3c 04 16 00 01 00 00 01 "a"`, mqtt.ProtocolError, "no authentication method"},
	{"a will property in CONNECT", 0, `10 13 00 04 "MQTT" 05 02 00 3c 05 18 00 00 00 01 00 01 "a"`, mqtt.MalformedPacket, "CONNECT: it cannot carry the will delay"},
	{"a CONNECT property in the will", 0, `10 17 00 04 "MQTT" 05 06 00 3c 00 00 01 "a" 03 21 00 01 00 01 "t" 00 00`, mqtt.MalformedPacket, "CONNECT will: it cannot carry the receive maximum"},
	{"receive maximum 0", 0, `10 11 00 04 "MQTT" 05 02 00 3c 03 21 00 00 00 01 "a"`, mqtt.ProtocolError, "receive maximum must not be zero"},
	{"maximum packet size 0", 0, `10 13 00 04 "MQTT" 05 02 00 3c 05 27 00 00 00 00 00 01 "a"`, mqtt.ProtocolError, "maximum packet size must not be zero"},
	{"request problem information 2", 0, `10 10 00 04 "MQTT" 05 02 00 3c 02 17 02 00 01 "a"`, mqtt.ProtocolError, "must be 0 or 1"},
	{"receive maximum twice", 0, `10 14 00 04 "MQTT" 05 02 00 3c 06 21 00 01 21 00 01 00 01 "a"`, mqtt.ProtocolError, "more than once"},

	// CONNACK (MQTT 5.0, 3.2).
	{"a reserved acknowledge flag", mqtt.V311, `20 02 02 00`, mqtt.MalformedPacket, "acknowledge flag"},
	{"a session is present and refused", mqtt.V311, `20 02 01 05`, mqtt.ProtocolError, "session is present"},
	{"a return code of 3.1.1 above 5", mqtt.V311, `20 02 00 06`, mqtt.ProtocolError, "0x06"},
	{"a 3.1.1 CONNACK with properties", mqtt.V311, `20 03 00 00 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"a reason code that CONNACK does not have", mqtt.V5, `20 03 00 8d 00`, mqtt.ProtocolError, "0x8D"},
	{"a CONNACK without properties", mqtt.V5, `20 02 00 00`, mqtt.MalformedPacket, "property length"},
	{"an older server refuses MQTT 5", mqtt.V5, `20 02 00 01`, mqtt.UnsupportedProtocolVersion, "refuses MQTT 5"},
	{"maximum QoS 2", mqtt.V5, `20 05 00 00 02 24 02`, mqtt.ProtocolError, "maximum QoS must be 0 or 1"},
	{"retain available 2", mqtt.V5, `20 05 00 00 02 25 02`, mqtt.ProtocolError, "retain available flag must be 0 or 1"},

	// PUBLISH (MQTT 5.0, 3.3).
	{"QoS 3", mqtt.V5, `36 08 00 03 "a/b" 00 0a 00`, mqtt.MalformedPacket, "QoS is 3"},
	{"QoS 3 in 3.1.1", mqtt.V311, `36 07 00 03 "a/b" 00 0a`, mqtt.MalformedPacket, "QoS is 3"},
	{"packet identifier 0", mqtt.V5, `32 08 00 03 "a/b" 00 00 00`, mqtt.ProtocolError, "identifier is zero"},
	{"the packet identifier is missing", mqtt.V311, `32 05 00 03 "a/b"`, mqtt.MalformedPacket, "packet identifier needs 2 bytes where 0"},
	{"a topic longer than the packet", mqtt.V311, `30 05 00 04 "a/b"`, mqtt.MalformedPacket, "topic name needs 4 bytes where 3"},
	{"+ in a topic name", mqtt.V311, `30 05 00 03 "a/+"`, mqtt.MalformedPacket, "wildcard"},
	{"# in a topic name", mqtt.V5, `30 06 00 03 "a/#" 00`, mqtt.MalformedPacket, "wildcard"},
	{"an empty topic in 3.1.1", mqtt.V311, `30 03 00 00 "x"`, mqtt.MalformedPacket, "topic name is empty"},
	{"an empty topic without an alias", mqtt.V5, `30 03 00 00 00`, mqtt.ProtocolError, "no topic alias"},
	{"a surrogate in the topic", mqtt.V5, `30 06 00 03 ed a0 80 00`, mqtt.MalformedPacket, "well-formed"},
	{"an overlong null in the topic", mqtt.V5, `30 05 00 02 c0 80 00`, mqtt.MalformedPacket, "well-formed"},
	{"a null in the topic", mqtt.V5, `30 04 00 01 00 00`, mqtt.MalformedPacket, "U+0000"},
	{"a wildcard in the response topic", mqtt.V5, `30 0a 00 02 "ab" 05 08 00 02 "a#"`, mqtt.ProtocolError, "response topic contains a wildcard"},
	{"an empty response topic", mqtt.V5, `30 08 00 02 "ab" 03 08 00 00`, mqtt.ProtocolError, "response topic is empty"},
	{"payload format 2", mqtt.V5, `30 07 00 02 "ab" 02 01 02`, mqtt.ProtocolError, "payload format indicator must be 0 or 1"},
	{"subscription identifier 0", mqtt.V5, `30 07 00 02 "ab" 02 0b 00`, mqtt.ProtocolError, "must not be zero"},
	{"content type twice", mqtt.V5, `30 0b 00 02 "ab" 06 03 00 00 03 00 00`, mqtt.ProtocolError, "content type appears more than once"},
	{"topic alias twice", mqtt.V5, `30 0b 00 02 "ab" 06 23 00 01 23 00 02`, mqtt.ProtocolError, "topic alias appears more than once"},
	{"a reason string in PUBLISH", mqtt.V5, `30 08 00 02 "ab" 03 1f 00 00`, mqtt.MalformedPacket, "cannot carry the reason string"},

	// Properties (MQTT 5.0, 2.2.2).
	{"an unknown property", mqtt.V5, `30 07 00 02 "ab" 02 04 00`, mqtt.MalformedPacket, "no property 0x04"},
	{"a property above all known", mqtt.V5, `30 08 00 02 "ab" 03 80 01 00`, mqtt.MalformedPacket, "no property 0x80"},
	{"a property identifier in a long form", mqtt.V5, `30 08 00 02 "ab" 03 81 00 00`, mqtt.MalformedPacket, "identifier is not in its shortest form"},
	{"a property length in a long form", mqtt.V5, `30 06 00 02 "ab" 80 00`, mqtt.MalformedPacket, "property length is not in its shortest form"},
	{"a property length of five bytes", mqtt.V5, `30 09 00 02 "ab" ff ff ff ff 01`, mqtt.MalformedPacket, "property length is longer than 4 bytes"},
	{"a property length beyond the packet", mqtt.V5, `30 05 00 02 "ab" 01`, mqtt.MalformedPacket, "property block needs 1 bytes where 0"},
	{"a property cut off by the property length", mqtt.V5, `30 08 00 02 "ab" 01 02 00 00`, mqtt.MalformedPacket, "message expiry interval needs 4 bytes where 0"},
	{"a string cut off by the property length", mqtt.V5, `30 09 00 02 "ab" 04 03 00 02 "x"`, mqtt.MalformedPacket, "content type needs 2 bytes where 1"},
	{"half a user property", mqtt.V5, `30 09 00 02 "ab" 04 26 00 01 "k"`, mqtt.MalformedPacket, "user property needs 2 bytes where 0"},
	{"a null in a user property", mqtt.V5, `30 0b 00 02 "ab" 06 26 00 01 00 00 00`, mqtt.MalformedPacket, "user property contains"},
	{"the will delay in PUBLISH", mqtt.V5, `30 0a 00 02 "ab" 05 18 00 00 00 01`, mqtt.MalformedPacket, "cannot carry the will delay"},

	// PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5.0, 3.4 to 3.7).
	{"PUBACK of identifier 0", mqtt.V311, `40 02 00 00`, mqtt.ProtocolError, "identifier is zero"},
	{"PUBACK of half an identifier", mqtt.V5, `40 01 00`, mqtt.MalformedPacket, "needs 2 bytes"},
	{"PUBACK with a code in 3.1.1", mqtt.V311, `40 03 00 01 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"PUBACK with a code of its own", mqtt.V5, `40 03 00 01 77`, mqtt.ProtocolError, "0x77"},
	{"PUBREC with the code of PUBREL", mqtt.V5, `50 03 00 01 92`, mqtt.ProtocolError, "0x92"},
	{"PUBREL with the code of PUBREC", mqtt.V5, `62 03 00 01 10`, mqtt.ProtocolError, "0x10"},
	{"PUBCOMP with bytes after its properties", mqtt.V5, `70 05 00 01 00 00 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},

	// SUBSCRIBE and SUBACK (MQTT 5.0, 3.8 and 3.9).
	{"the truncated SUBSCRIBE that broke another server", mqtt.V5, `82 05 00 01 00 00 01`, mqtt.MalformedPacket, "topic filter needs 1 bytes where 0"},
	{"SUBSCRIBE without options", mqtt.V5, `82 06 00 01 00 00 01 "a"`, mqtt.MalformedPacket, "options needs"},
	{"SUBSCRIBE without a filter", mqtt.V5, `82 03 00 01 00`, mqtt.ProtocolError, "no topic filter"},
	{"SUBSCRIBE without a filter in 3.1.1", mqtt.V311, `82 02 00 01`, mqtt.ProtocolError, "no topic filter"},
	{"SUBSCRIBE of identifier 0", mqtt.V311, `82 06 00 00 00 01 "a" 00`, mqtt.ProtocolError, "identifier is zero"},
	{"a reserved option in 3.1.1", mqtt.V311, `82 06 00 01 00 01 "a" 04`, mqtt.MalformedPacket, "reserved subscription option"},
	{"a reserved option", mqtt.V5, `82 07 00 01 00 00 01 "a" 40`, mqtt.MalformedPacket, "reserved subscription option"},
	{"a subscription of QoS 3 in 3.1.1", mqtt.V311, `82 06 00 01 00 01 "a" 03`, mqtt.MalformedPacket, "QoS is 3"},
	{"a subscription of QoS 3", mqtt.V5, `82 07 00 01 00 00 01 "a" 03`, mqtt.ProtocolError, "QoS is 3"},
	{"retain handling 3", mqtt.V5, `82 07 00 01 00 00 01 "a" 30`, mqtt.ProtocolError, "retain handling is 3"},
	{"no local on a shared subscription", mqtt.V5, `82 10 00 01 00 00 0a "$share/g/a" 04`, mqtt.ProtocolError, "no local"},
	{"two subscription identifiers", mqtt.V5, `82 0b 00 01 04 0b 01 0b 02 00 01 "a" 00`, mqtt.ProtocolError, "more than once"},
	{"a subscription identifier of five bytes", mqtt.V5, `82 0d 00 01 06 0b ff ff ff ff 01 00 01 "a" 00`, mqtt.MalformedPacket, "longer than 4 bytes"},
	{"a null in a filter", mqtt.V311, `82 06 00 01 00 01 00 00`, mqtt.MalformedPacket, "topic filter contains"},
	{"SUBACK without a code", mqtt.V5, `90 03 00 01 00`, mqtt.ProtocolError, "no reason code"},
	{"SUBACK with a failure that 3.1.1 does not have", mqtt.V311, `90 03 00 01 87`, mqtt.ProtocolError, "0x87"},
	{"SUBACK with a code of UNSUBACK", mqtt.V5, `90 04 00 01 00 11`, mqtt.ProtocolError, "0x11"},

	// UNSUBSCRIBE and UNSUBACK (MQTT 5.0, 3.10 and 3.11).
	{"UNSUBSCRIBE without a filter", mqtt.V311, `a2 02 00 01`, mqtt.ProtocolError, "no topic filter"},
	{"UNSUBSCRIBE of identifier 0", mqtt.V5, `a2 06 00 00 00 00 01 "a"`, mqtt.ProtocolError, "identifier is zero"},
	{"UNSUBSCRIBE with half a filter", mqtt.V311, `a2 05 00 01 00 02 "a"`, mqtt.MalformedPacket, "topic filter needs"},
	{"UNSUBACK with codes in 3.1.1", mqtt.V311, `b0 03 00 01 00`, mqtt.MalformedPacket, "bytes follow its last field: 1"},
	{"UNSUBACK without a code", mqtt.V5, `b0 03 00 01 00`, mqtt.ProtocolError, "no reason code"},

	// DISCONNECT and AUTH (MQTT 5.0, 3.14 and 3.15).
	{"DISCONNECT with a code of CONNACK", mqtt.V5, `e0 01 85`, mqtt.ProtocolError, "0x85"},
	{"DISCONNECT with a receive maximum", mqtt.V5, `e0 05 00 03 21 00 01`, mqtt.MalformedPacket, "cannot carry"},
	{"AUTH without a method", mqtt.V5, `f0 02 18 00`, mqtt.ProtocolError, "no authentication method"},
	{"AUTH without properties", mqtt.V5, `f0 01 18`, mqtt.MalformedPacket, "property length"},
	{"AUTH with a code of DISCONNECT", mqtt.V5, `f0 06 04 04 15 00 01 "m"`, mqtt.ProtocolError, "0x04"},
}

func TestWhatIsNoPacketIsRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			data := hexBytes(t, c.text)
			if int(data[1]) != len(data)-2 {
				t.Fatalf("the test announces %d bytes and has %d", data[1], len(data)-2)
			}
			p, err := mqtt.Decode(data[0], data[2:], c.v)
			wantRefusal(t, p, err, c.code, c.says)
			p, err = mqtt.NewReader(bytes.NewReader(data), 1000).Next(c.v)
			wantRefusal(t, p, err, c.code, c.says)
		})
	}
}

func TestARefusalNamesTheVersionOnceItIsKnown(t *testing.T) {
	for text, want := range map[string]mqtt.Version{
		`00 04 "MQTT" 05 03`: mqtt.V5,
		`00 04 "MQTT" 04 03`: mqtt.V311,
		`00 04 "MQTT" 03 02`: 0,
		`00 04 "MQ"`:         0,
	} {
		_, err := mqtt.Decode(0x10, hexBytes(t, text), 0)
		var e *mqtt.Error
		if !errors.As(err, &e) || e.Version != want {
			t.Errorf("%s: got %#v, want version %d", text, err, want)
		}
	}
}

// Append refuses what Decode would, so a fault of ours shows on our side.
func TestWhatIsNoPacketIsNotWritten(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for name, c := range map[string]struct {
		v    mqtt.Version
		p    mqtt.Packet
		code mqtt.ReasonCode
		says string
	}{
		"AUTH in 3.1.1":        {mqtt.V311, &mqtt.Auth{}, mqtt.MalformedPacket, "does not exist"},
		"a version not known":  {3, &mqtt.Pingreq{}, mqtt.UnsupportedProtocolVersion, "level 3"},
		"a CONNECT of level 3": {mqtt.V5, &mqtt.Connect{Version: 3}, mqtt.UnsupportedProtocolVersion, "level 3"},
		"a topic too long":     {mqtt.V5, &mqtt.Publish{Topic: long}, mqtt.MalformedPacket, "longer than 65535"},
		"a password too long":  {mqtt.V5, &mqtt.Connect{Password: []byte(long)}, mqtt.MalformedPacket, "password is longer"},
		"a will too long":      {mqtt.V311, &mqtt.Connect{Will: &mqtt.Will{Topic: "t", Payload: []byte(long)}}, mqtt.MalformedPacket, "will payload is longer"},
		"a packet too long": {mqtt.V311, &mqtt.Publish{Topic: "t", Payload: make([]byte, 268_435_456)},
			mqtt.PacketTooLarge, "268435457"},
		"a property of another packet": {mqtt.V5, &mqtt.Puback{PacketID: 1,
			Properties: mqtt.Properties{TopicAlias: mqtt.Some[uint16](1)}}, mqtt.MalformedPacket, "cannot carry the topic alias"},
		"correlation data too long": {mqtt.V5, &mqtt.Publish{Topic: "t",
			Properties: mqtt.Properties{CorrelationData: []byte(long)}}, mqtt.MalformedPacket, "correlation data is longer"},
		"a subscription identifier too large": {mqtt.V5, &mqtt.Publish{Topic: "t",
			Properties: mqtt.Properties{SubscriptionIDs: []uint32{268_435_456}}}, mqtt.MalformedPacket, "above"},
		"two subscription identifiers": {mqtt.V5, &mqtt.Subscribe{PacketID: 1, Filters: make([]mqtt.Subscription, 1),
			Properties: mqtt.Properties{SubscriptionIDs: []uint32{1, 2}}}, mqtt.ProtocolError, "more than once"},
		"a reason string that is not UTF-8": {mqtt.V5, &mqtt.Disconnect{
			Properties: mqtt.Properties{ReasonString: mqtt.Some("\xff")}}, mqtt.MalformedPacket, "well-formed"},
		"QoS 3":                       {mqtt.V5, &mqtt.Publish{Topic: "t", QoS: 3, PacketID: 1}, mqtt.MalformedPacket, "QoS is 3"},
		"QoS 1 without an identifier": {mqtt.V5, &mqtt.Publish{Topic: "t", QoS: 1}, mqtt.ProtocolError, "identifier is zero"},
		"a code of MQTT 5 in 3.1.1":   {mqtt.V311, &mqtt.Connack{Code: mqtt.NotAuthorized}, mqtt.ProtocolError, "0x87"},
		"a code of 3.1.1 in MQTT 5":   {mqtt.V5, &mqtt.Connack{Code: mqtt.RefusedVersion}, mqtt.ProtocolError, "0x01"},
		"a user property with a null": {mqtt.V5, &mqtt.Disconnect{Properties: mqtt.Properties{User: []mqtt.UserProperty{{Key: "k", Value: "\x00"}}}}, mqtt.MalformedPacket, "U+0000"},
		"an empty filter list":        {mqtt.V5, &mqtt.Unsubscribe{PacketID: 1}, mqtt.ProtocolError, "no topic filter"},
		"a maximum QoS of 2":          {mqtt.V5, &mqtt.Connack{Properties: mqtt.Properties{MaximumQoS: mqtt.Some[byte](2)}}, mqtt.ProtocolError, "0 or 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := []byte("before")
			got, err := mqtt.Append(dst, c.p, c.v)
			wantRefusal(t, nil, err, c.code, c.says)
			if string(got) != "before" {
				t.Errorf("it was refused and wrote % x", got)
			}
		})
	}
}

func wantRefusal(t *testing.T, p mqtt.Packet, err error, code mqtt.ReasonCode, says string) {
	t.Helper()
	var e *mqtt.Error
	switch {
	case p != nil:
		t.Errorf("got the packet %#v", p)
	case !errors.As(err, &e):
		t.Errorf("got %v, want an *Error", err)
	case e.Code != code || !strings.Contains(e.Text, says):
		t.Errorf("got 0x%02X %q; want 0x%02X and %q", byte(e.Code), e.Text, byte(code), says)
	}
}
