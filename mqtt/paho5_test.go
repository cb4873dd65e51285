package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/slipway-iot/slipway/mqtt"
	"pgregory.net/rapid"
)

// The Paho codec for MQTT 5 is the oracle: what we write it reads as the same
// packet, and what it writes we read as the same packet.

func TestPahoReadsOurMQTT5(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := maker{T: t, v: mqtt.V5, plain: true}.packet()
		if cmp.Equal(want, mqtt.Packet(&mqtt.Disconnect{})) {
			return // Paho reads no DISCONNECT without a body; MQTT 5.0, 3.14.2.1 allows it
		}
		paho, err := packets.ReadPacket(bytes.NewReader(written(t, want, mqtt.V5)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, fromPaho5(paho.Content), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-ours +Paho's):\n%s", diff)
		}
	})
}

func TestWeReadPahosMQTT5(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := maker{T: t, v: mqtt.V5, plain: true}.packet()
		var stream bytes.Buffer
		if _, err := toPaho5(want).WriteTo(&stream); err != nil {
			t.Fatal(err)
		}
		got, err := mqtt.NewReader(&stream, 0).Next(mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-Paho's +ours):\n%s", diff)
		}
	})
}

func toPaho5(p mqtt.Packet) packets.Packet {
	switch p := p.(type) {
	case *mqtt.Connect:
		return connectToPaho5(p)
	case *mqtt.Connack:
		return &packets.Connack{SessionPresent: p.SessionPresent, ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Publish:
		return &packets.Publish{Topic: p.Topic, PacketID: p.PacketID, QoS: p.QoS, Duplicate: p.Dup, Retain: p.Retain,
			Payload: p.Payload, Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Puback:
		return &packets.Puback{PacketID: p.PacketID, ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Pubrec:
		return &packets.Pubrec{PacketID: p.PacketID, ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Pubrel:
		return &packets.Pubrel{PacketID: p.PacketID, ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Pubcomp:
		return &packets.Pubcomp{PacketID: p.PacketID, ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Subscribe:
		out := &packets.Subscribe{PacketID: p.PacketID, Properties: propsToPaho5(&p.Properties)}
		for _, s := range p.Filters {
			out.Subscriptions = append(out.Subscriptions, packets.SubOptions{Topic: s.Filter, QoS: s.QoS,
				NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling})
		}
		return out
	case *mqtt.Suback:
		return &packets.Suback{PacketID: p.PacketID, Reasons: codeBytes(p.Codes), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Unsubscribe:
		return &packets.Unsubscribe{PacketID: p.PacketID, Topics: p.Filters, Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Unsuback:
		return &packets.Unsuback{PacketID: p.PacketID, Reasons: codeBytes(p.Codes), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Pingreq:
		return &packets.Pingreq{}
	case *mqtt.Pingresp:
		return &packets.Pingresp{}
	case *mqtt.Disconnect:
		return &packets.Disconnect{ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	case *mqtt.Auth:
		return &packets.Auth{ReasonCode: byte(p.Code), Properties: propsToPaho5(&p.Properties)}
	}
	panic("no such packet")
}

func fromPaho5(p packets.Packet) mqtt.Packet {
	switch p := p.(type) {
	case *packets.Connect:
		return connectFromPaho5(p)
	case *packets.Connack:
		return &mqtt.Connack{SessionPresent: p.SessionPresent, Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Publish:
		return &mqtt.Publish{Topic: p.Topic, PacketID: p.PacketID, QoS: p.QoS, Dup: p.Duplicate, Retain: p.Retain,
			Payload: p.Payload, Properties: propsFromPaho5(p.Properties)}
	case *packets.Puback:
		return &mqtt.Puback{PacketID: p.PacketID, Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Pubrec:
		return &mqtt.Pubrec{PacketID: p.PacketID, Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Pubrel:
		return &mqtt.Pubrel{PacketID: p.PacketID, Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Pubcomp:
		return &mqtt.Pubcomp{PacketID: p.PacketID, Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Subscribe:
		out := &mqtt.Subscribe{PacketID: p.PacketID, Properties: propsFromPaho5(p.Properties)}
		for _, s := range p.Subscriptions {
			out.Filters = append(out.Filters, mqtt.Subscription{Filter: s.Topic, QoS: s.QoS,
				NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling})
		}
		return out
	case *packets.Suback:
		return &mqtt.Suback{PacketID: p.PacketID, Codes: bytesCode(p.Reasons), Properties: propsFromPaho5(p.Properties)}
	case *packets.Unsubscribe:
		return &mqtt.Unsubscribe{PacketID: p.PacketID, Filters: p.Topics, Properties: propsFromPaho5(p.Properties)}
	case *packets.Unsuback:
		return &mqtt.Unsuback{PacketID: p.PacketID, Codes: bytesCode(p.Reasons), Properties: propsFromPaho5(p.Properties)}
	case *packets.Pingreq:
		return &mqtt.Pingreq{}
	case *packets.Pingresp:
		return &mqtt.Pingresp{}
	case *packets.Disconnect:
		return &mqtt.Disconnect{Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	case *packets.Auth:
		return &mqtt.Auth{Code: mqtt.ReasonCode(p.ReasonCode), Properties: propsFromPaho5(p.Properties)}
	}
	panic("no such packet")
}

func connectToPaho5(p *mqtt.Connect) *packets.Connect {
	out := &packets.Connect{ProtocolName: "MQTT", ProtocolVersion: byte(p.Version), ClientID: p.ClientID,
		CleanStart: p.CleanStart, KeepAlive: p.KeepAlive,
		UsernameFlag: p.Username.IsSet(), Username: p.Username.Or(""),
		PasswordFlag: p.Password != nil, Password: p.Password,
		Properties: propsToPaho5(&p.Properties)}
	if w := p.Will; w != nil {
		out.WillFlag, out.WillTopic, out.WillMessage = true, w.Topic, w.Payload
		out.WillQOS, out.WillRetain, out.WillProperties = w.QoS, w.Retain, propsToPaho5(&w.Properties)
	}
	return out
}

func connectFromPaho5(p *packets.Connect) *mqtt.Connect {
	out := &mqtt.Connect{Version: mqtt.Version(p.ProtocolVersion), ClientID: p.ClientID,
		CleanStart: p.CleanStart, KeepAlive: p.KeepAlive, Properties: propsFromPaho5(p.Properties)}
	if p.UsernameFlag {
		out.Username = mqtt.Some(p.Username)
	}
	if p.PasswordFlag {
		out.Password = p.Password
	}
	if p.WillFlag {
		out.Will = &mqtt.Will{Topic: p.WillTopic, Payload: p.WillMessage, QoS: p.WillQOS, Retain: p.WillRetain,
			Properties: propsFromPaho5(p.WillProperties)}
	}
	return out
}

func propsToPaho5(p *mqtt.Properties) *packets.Properties {
	out := &packets.Properties{
		PayloadFormat:         pointer(p.PayloadFormat),
		MessageExpiry:         pointer(p.MessageExpiry),
		ContentType:           p.ContentType.Or(""),
		ResponseTopic:         p.ResponseTopic.Or(""),
		CorrelationData:       p.CorrelationData,
		SessionExpiryInterval: pointer(p.SessionExpiry),
		AssignedClientID:      p.AssignedClientID.Or(""),
		ServerKeepAlive:       pointer(p.ServerKeepAlive),
		AuthMethod:            p.AuthMethod.Or(""),
		AuthData:              p.AuthData,
		RequestProblemInfo:    flagPointer(p.RequestProblemInfo),
		WillDelayInterval:     pointer(p.WillDelay),
		RequestResponseInfo:   flagPointer(p.RequestResponseInfo),
		ResponseInfo:          p.ResponseInfo.Or(""),
		ServerReference:       p.ServerReference.Or(""),
		ReasonString:          p.ReasonString.Or(""),
		ReceiveMaximum:        pointer(p.ReceiveMaximum),
		TopicAliasMaximum:     pointer(p.TopicAliasMaximum),
		TopicAlias:            pointer(p.TopicAlias),
		MaximumQOS:            pointer(p.MaximumQoS),
		RetainAvailable:       flagPointer(p.RetainAvailable),
		MaximumPacketSize:     pointer(p.MaximumPacketSize),
		WildcardSubAvailable:  flagPointer(p.WildcardAvailable),
		SubIDAvailable:        flagPointer(p.SubscriptionIDsUsable),
		SharedSubAvailable:    flagPointer(p.SharedAvailable),
	}
	for _, id := range p.SubscriptionIDs {
		out.SubscriptionIdentifier = new(int(id))
	}
	for _, u := range p.User {
		out.User = append(out.User, packets.User{Key: u.Key, Value: u.Value})
	}
	return out
}

func propsFromPaho5(p *packets.Properties) mqtt.Properties {
	out := mqtt.Properties{
		PayloadFormat:         option(p.PayloadFormat),
		MessageExpiry:         option(p.MessageExpiry),
		ContentType:           textOption(p.ContentType),
		ResponseTopic:         textOption(p.ResponseTopic),
		CorrelationData:       p.CorrelationData,
		SessionExpiry:         option(p.SessionExpiryInterval),
		AssignedClientID:      textOption(p.AssignedClientID),
		ServerKeepAlive:       option(p.ServerKeepAlive),
		AuthMethod:            textOption(p.AuthMethod),
		AuthData:              p.AuthData,
		RequestProblemInfo:    flagOption(p.RequestProblemInfo),
		WillDelay:             option(p.WillDelayInterval),
		RequestResponseInfo:   flagOption(p.RequestResponseInfo),
		ResponseInfo:          textOption(p.ResponseInfo),
		ServerReference:       textOption(p.ServerReference),
		ReasonString:          textOption(p.ReasonString),
		ReceiveMaximum:        option(p.ReceiveMaximum),
		TopicAliasMaximum:     option(p.TopicAliasMaximum),
		TopicAlias:            option(p.TopicAlias),
		MaximumQoS:            option(p.MaximumQOS),
		RetainAvailable:       flagOption(p.RetainAvailable),
		MaximumPacketSize:     option(p.MaximumPacketSize),
		WildcardAvailable:     flagOption(p.WildcardSubAvailable),
		SubscriptionIDsUsable: flagOption(p.SubIDAvailable),
		SharedAvailable:       flagOption(p.SharedSubAvailable),
	}
	if p.SubscriptionIdentifier != nil {
		out.SubscriptionIDs = []uint32{uint32(*p.SubscriptionIdentifier)}
	}
	for _, u := range p.User {
		out.User = append(out.User, mqtt.UserProperty{Key: u.Key, Value: u.Value})
	}
	return out
}

func pointer[T comparable](o mqtt.Opt[T]) *T {
	if v, ok := o.Get(); ok {
		return &v
	}
	return nil
}

func option[T comparable](p *T) (o mqtt.Opt[T]) {
	if p != nil {
		o = mqtt.Some(*p)
	}
	return o
}

func textOption(s string) (o mqtt.Opt[string]) {
	if s != "" {
		o = mqtt.Some(s)
	}
	return o
}

func flagPointer(o mqtt.Opt[bool]) *byte {
	v, ok := o.Get()
	switch {
	case !ok:
		return nil
	case v:
		return new(byte(1))
	}
	return new(byte(0))
}

func flagOption(p *byte) (o mqtt.Opt[bool]) {
	if p != nil {
		o = mqtt.Some(*p != 0)
	}
	return o
}

func codeBytes(codes []mqtt.ReasonCode) (out []byte) {
	for _, c := range codes {
		out = append(out, byte(c))
	}
	return out
}

func bytesCode(in []byte) (codes []mqtt.ReasonCode) {
	for _, b := range in {
		codes = append(codes, mqtt.ReasonCode(b))
	}
	return codes
}
