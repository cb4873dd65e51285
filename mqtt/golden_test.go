package mqtt_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/mqtt"
)

// golden gives for each file in testdata/golden the packet that its bytes are.
var golden = map[string]mqtt.Packet{
	"311-connect-minimal": &mqtt.Connect{Version: mqtt.V311, ClientID: "a", CleanStart: true, KeepAlive: 60},
	"311-connect-full": &mqtt.Connect{Version: mqtt.V311, ClientID: "dev", KeepAlive: 1200,
		Username: mqtt.Some("user"), Password: []byte("pw"),
		Will: &mqtt.Will{Topic: "gone", Payload: []byte("bye"), QoS: 1, Retain: true}},
	"311-connect-user-without-password": &mqtt.Connect{Version: mqtt.V311, ClientID: "dev", KeepAlive: 60,
		Username: mqtt.Some("?SDK=x&y=")},
	"311-connack-session-present": &mqtt.Connack{SessionPresent: true},
	"311-connack-refused-version": &mqtt.Connack{Code: mqtt.RefusedVersion},
	"311-publish-qos0":            &mqtt.Publish{Topic: "a/b", Payload: []byte("hi")},
	"311-publish-qos1-dup-retain": &mqtt.Publish{Topic: "a/b", PacketID: 10, QoS: 1, Dup: true, Retain: true, Payload: []byte("hi")},
	"311-publish-qos2-empty":      &mqtt.Publish{Topic: "a/b", PacketID: 10, QoS: 2},
	"311-puback":                  &mqtt.Puback{PacketID: 10},
	"311-pubrec":                  &mqtt.Pubrec{PacketID: 10},
	"311-pubrel":                  &mqtt.Pubrel{PacketID: 10},
	"311-pubcomp":                 &mqtt.Pubcomp{PacketID: 65535},
	"311-subscribe":               &mqtt.Subscribe{PacketID: 10, Filters: []mqtt.Subscription{{Filter: "a/+", QoS: 1}, {Filter: "c/#", QoS: 2}}},
	"311-suback":                  &mqtt.Suback{PacketID: 10, Codes: []mqtt.ReasonCode{0, 1, 2, mqtt.SubscribeFailure}},
	"311-unsubscribe":             &mqtt.Unsubscribe{PacketID: 10, Filters: []string{"a/+", "c/#"}},
	"311-unsuback":                &mqtt.Unsuback{PacketID: 10},
	"311-pingreq":                 &mqtt.Pingreq{},
	"311-pingresp":                &mqtt.Pingresp{},
	"311-disconnect":              &mqtt.Disconnect{},

	"5-connect-minimal":       &mqtt.Connect{Version: mqtt.V5, ClientID: "a", CleanStart: true, KeepAlive: 60},
	"5-connect-password-only": &mqtt.Connect{Version: mqtt.V5, CleanStart: true, Password: []byte("pw")},
	"5-connect-full": &mqtt.Connect{Version: mqtt.V5, ClientID: "dev", CleanStart: true, KeepAlive: 30,
		Username: mqtt.Some("user"), Password: []byte{},
		Will: &mqtt.Will{Topic: "gone", Payload: []byte("bye"), QoS: 2, Retain: true,
			Properties: mqtt.Properties{
				PayloadFormat:   mqtt.Some[byte](1),
				MessageExpiry:   mqtt.Some[uint32](60),
				ContentType:     mqtt.Some("json"),
				ResponseTopic:   mqtt.Some("r"),
				CorrelationData: []byte{42},
				WillDelay:       mqtt.Some[uint32](5),
				User:            []mqtt.UserProperty{{Key: "a", Value: "b"}},
			}},
		Properties: mqtt.Properties{
			SessionExpiry:       mqtt.Some[uint32](3600),
			AuthMethod:          mqtt.Some("SCRAM"),
			AuthData:            []byte{1, 2},
			RequestProblemInfo:  mqtt.Some(false),
			RequestResponseInfo: mqtt.Some(true),
			ReceiveMaximum:      mqtt.Some[uint16](20),
			TopicAliasMaximum:   mqtt.Some[uint16](8),
			User:                []mqtt.UserProperty{{Key: "k", Value: "v"}},
			MaximumPacketSize:   mqtt.Some[uint32](131072),
		}},
	"5-connack-full": &mqtt.Connack{Properties: mqtt.Properties{
		SessionExpiry:         mqtt.Some[uint32](3600),
		AssignedClientID:      mqtt.Some("$GEN/1"),
		ServerKeepAlive:       mqtt.Some[uint16](1200),
		AuthMethod:            mqtt.Some("m"),
		AuthData:              []byte{0},
		ResponseInfo:          mqtt.Some("i"),
		ServerReference:       mqtt.Some("s"),
		ReasonString:          mqtt.Some("ok"),
		ReceiveMaximum:        mqtt.Some[uint16](100),
		TopicAliasMaximum:     mqtt.Some[uint16](8),
		MaximumQoS:            mqtt.Some[byte](1),
		RetainAvailable:       mqtt.Some(true),
		User:                  []mqtt.UserProperty{{Key: "k", Value: "v"}},
		MaximumPacketSize:     mqtt.Some[uint32](149504),
		WildcardAvailable:     mqtt.Some(true),
		SubscriptionIDsUsable: mqtt.Some(false),
		SharedAvailable:       mqtt.Some(true),
	}},
	"5-connack-session-present": &mqtt.Connack{SessionPresent: true},
	"5-connack-not-authorized":  &mqtt.Connack{Code: mqtt.NotAuthorized},
	"5-publish-qos0":            &mqtt.Publish{Topic: "a/b", Payload: []byte("hi")},
	"5-publish-alias": &mqtt.Publish{Payload: []byte("hi"),
		Properties: mqtt.Properties{TopicAlias: mqtt.Some[uint16](1)}},
	"5-publish-full": &mqtt.Publish{Topic: "a/b", PacketID: 10, QoS: 2, Dup: true, Retain: true, Payload: []byte("hi"),
		Properties: mqtt.Properties{
			PayloadFormat:   mqtt.Some[byte](1),
			MessageExpiry:   mqtt.Some[uint32](60),
			ContentType:     mqtt.Some("json"),
			ResponseTopic:   mqtt.Some("r/1"),
			CorrelationData: []byte{0xca, 0xfe},
			SubscriptionIDs: []uint32{1, 268_435_455},
			TopicAlias:      mqtt.Some[uint16](5),
			User:            []mqtt.UserProperty{{Key: "k", Value: "v"}, {Key: "k"}},
		}},
	"5-puback":                &mqtt.Puback{PacketID: 10},
	"5-puback-not-authorized": &mqtt.Puback{PacketID: 10, Code: mqtt.NotAuthorized},
	"5-puback-reason-string": &mqtt.Puback{PacketID: 10, Code: mqtt.NotAuthorized,
		Properties: mqtt.Properties{ReasonString: mqtt.Some("nope")}},
	"5-pubrec": &mqtt.Pubrec{PacketID: 10, Code: mqtt.NoMatchingSubscribers},
	"5-pubrel": &mqtt.Pubrel{PacketID: 10, Code: mqtt.PacketIDNotFound},
	"5-pubcomp-user-property": &mqtt.Pubcomp{PacketID: 10,
		Properties: mqtt.Properties{User: []mqtt.UserProperty{{Key: "k", Value: "v"}}}},
	"5-subscribe": &mqtt.Subscribe{PacketID: 10,
		Filters: []mqtt.Subscription{
			{Filter: "a/+", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
			{Filter: "$share/g/#", RetainHandling: 1},
		},
		Properties: mqtt.Properties{SubscriptionIDs: []uint32{200}}},
	"5-suback": &mqtt.Suback{PacketID: 10,
		Codes: []mqtt.ReasonCode{mqtt.GrantedQoS1, mqtt.NotAuthorized, mqtt.SharedNotSupported}},
	"5-unsubscribe": &mqtt.Unsubscribe{PacketID: 10, Filters: []string{"a/+"},
		Properties: mqtt.Properties{User: []mqtt.UserProperty{{Key: "k", Value: "v"}}}},
	"5-unsuback":             &mqtt.Unsuback{PacketID: 10, Codes: []mqtt.ReasonCode{mqtt.Success, mqtt.NoSubscriptionExisted}},
	"5-pingreq":              &mqtt.Pingreq{},
	"5-pingresp":             &mqtt.Pingresp{},
	"5-disconnect-normal":    &mqtt.Disconnect{},
	"5-disconnect-with-will": &mqtt.Disconnect{Code: mqtt.DisconnectWithWill},
	"5-disconnect-full": &mqtt.Disconnect{Code: mqtt.ServerMoved, Properties: mqtt.Properties{
		SessionExpiry:   mqtt.Some[uint32](0),
		ServerReference: mqtt.Some("other"),
		ReasonString:    mqtt.Some("bye"),
		User:            []mqtt.UserProperty{{Key: "k", Value: "v"}},
	}},
	"5-auth": &mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: mqtt.Properties{
		AuthMethod: mqtt.Some("m"), AuthData: []byte{1, 2}}},
	"5-auth-success": &mqtt.Auth{},
}

func TestGoldenPacketsAreReadAndWritten(t *testing.T) {
	for name, want := range golden {
		v, data := goldenBytes(t, name)
		t.Run(name+" is read", func(t *testing.T) {
			wantPacket(t, data, v, want)
		})
		t.Run(name+" is written", func(t *testing.T) {
			got, err := mqtt.Append([]byte("before"), want, v)
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]byte("before"), data...); !bytes.Equal(got, want) {
				t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
			}
		})
	}
}

func TestEveryGoldenFileHasItsPacket(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.hex")
	if err != nil || len(files) != len(golden) {
		t.Errorf("there are %d files and %d packets (%v)", len(files), len(golden), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hex")
		if golden[name] == nil {
			t.Errorf("%s has no packet", file)
		}
	}
}

// The standard leaves some packets more than one form; Append chooses one, and
// these are others.
func TestOtherFormsAreReadToo(t *testing.T) {
	for name, c := range map[string]struct {
		v    mqtt.Version
		text string
		want mqtt.Packet
	}{
		"a PUBACK may say success":                       {mqtt.V5, `40 03 00 0a 00`, &mqtt.Puback{PacketID: 10}},
		"a PUBACK may say that it has no properties":     {mqtt.V5, `40 04 00 0a 00 00`, &mqtt.Puback{PacketID: 10}},
		"a DISCONNECT may say that it is normal":         {mqtt.V5, `e0 01 00`, &mqtt.Disconnect{}},
		"a DISCONNECT may say that it has no properties": {mqtt.V5, `e0 02 00 00`, &mqtt.Disconnect{}},
		"an AUTH may say that it has no properties":      {mqtt.V5, `f0 02 00 00`, &mqtt.Auth{}},
		"a DUP flag at QoS 0 means nothing":              {mqtt.V311, `38 05 00 03 "a/b"`, &mqtt.Publish{Topic: "a/b"}},
		"a topic alias of zero is left to the session": {mqtt.V5, `30 08 00 02 "ab" 03 23 00 00`,
			&mqtt.Publish{Topic: "ab", Properties: mqtt.Properties{TopicAlias: mqtt.Some[uint16](0)}}},
		"properties come in any order": {mqtt.V5, `e0 0b 00 09 1f 00 01 "x" 11 00 00 00 01`,
			&mqtt.Disconnect{Properties: mqtt.Properties{
				ReasonString: mqtt.Some("x"), SessionExpiry: mqtt.Some[uint32](1)}}},
		"an empty property is not an absent one": {mqtt.V5, `e0 05 00 03 1f 00 00`,
			&mqtt.Disconnect{Properties: mqtt.Properties{ReasonString: mqtt.Some("")}}},
		"a byte order mark is a character (MQTT 5.0, 1.5.4)": {mqtt.V5, `30 06 00 03 ef bb bf 00`,
			&mqtt.Publish{Topic: "\ufeff"}},
		"filters are left to the server, which answers each": {mqtt.V311, `82 08 00 01 00 03 "a#b" 00`,
			&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a#b"}}}},
	} {
		t.Run(name, func(t *testing.T) { wantPacket(t, hexBytes(t, c.text), c.v, c.want) })
	}
}

func TestAConnectSpeaksTheVersionItNames(t *testing.T) {
	minimal := mqtt.Connect{ClientID: "a", CleanStart: true, KeepAlive: 60}
	for name, c := range map[string]struct{ named, v mqtt.Version }{
		"5-connect-minimal":   {0, mqtt.V5},
		"311-connect-minimal": {mqtt.V311, mqtt.V5},
	} {
		p := minimal
		p.Version = c.named
		_, want := goldenBytes(t, name)
		if got := written(t, &p, c.v); !bytes.Equal(got, want) {
			t.Errorf("%d and %d: got % x, want % x", c.named, c.v, got, want)
		}
		if got, err := mqtt.Decode(want[0], want[2:], mqtt.V5); err != nil || got.(*mqtt.Connect).Version != mqtt.Version(want[8]) {
			t.Errorf("%s is read as %+v, %v", name, got, err)
		}
	}
}

// What 3.1.1 cannot say is left out, not refused.
func TestIn311WhatItCannotSayIsLeftOut(t *testing.T) {
	props := mqtt.Properties{ReasonString: mqtt.Some("why"), User: []mqtt.UserProperty{{Key: "k", Value: "v"}}}
	for text, p := range map[string]mqtt.Packet{
		`40 02 00 0a`:              &mqtt.Puback{PacketID: 10, Code: mqtt.NotAuthorized, Properties: props},
		`90 04 00 0a 01 80`:        &mqtt.Suback{PacketID: 10, Codes: []mqtt.ReasonCode{1, mqtt.QuotaExceeded}, Properties: props},
		`b0 02 00 0a`:              &mqtt.Unsuback{PacketID: 10, Codes: []mqtt.ReasonCode{0}, Properties: props},
		`e0 00`:                    &mqtt.Disconnect{Code: mqtt.SessionTakenOver, Properties: props},
		`20 02 00 00`:              &mqtt.Connack{Properties: props},
		`30 04 00 01 "a" "x"`:      &mqtt.Publish{Topic: "a", Payload: []byte("x"), Properties: props},
		`82 06 00 0a 00 01 "a" 01`: &mqtt.Subscribe{PacketID: 10, Filters: []mqtt.Subscription{{Filter: "a", QoS: 1, NoLocal: true, RetainHandling: 2}}},
	} {
		got, err := mqtt.Append(nil, p, mqtt.V311)
		if want := hexBytes(t, text); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got % x, %v; want % x", p.Type(), got, err, want)
		}
	}
}

// wantPacket checks that data, a whole packet with a remaining length of one
// byte, is want; by Decode and from a Reader.
func wantPacket(t *testing.T, data []byte, v mqtt.Version, want mqtt.Packet) {
	t.Helper()
	got, err := mqtt.Decode(data[0], data[2:], v)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	got, err = mqtt.NewReader(bytes.NewReader(data), len(data)).Next(v)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Next (-want +got):\n%s", diff)
	}
}

// goldenBytes reads a file of testdata/golden, whose name begins with its version.
func goldenBytes(t testing.TB, name string) (mqtt.Version, []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(name, "311-") {
		return mqtt.V311, hexBytes(t, string(text))
	}
	return mqtt.V5, hexBytes(t, string(text))
}

// hexBytes reads bytes as they are written in these tests: hexadecimal digits,
// "text", and comments from # to the end of the line.
func hexBytes(t testing.TB, text string) []byte {
	t.Helper()
	data, err := parseHex(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseHex(text string) (data []byte, err error) {
	for line := range strings.Lines(text) {
		for i, part := range strings.Split(line, `"`) {
			if i%2 == 1 {
				data = append(data, part...)
				continue
			}
			digits, _, comment := strings.Cut(part, "#")
			b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			if data = append(data, b...); comment {
				break
			}
		}
	}
	return data, nil
}
