package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/slipway-iot/slipway/mqtt"
	"pgregory.net/rapid"
)

// The Paho codec for MQTT 3.1.1 is the oracle, as the other one is for MQTT 5.

func TestPahoReadsOurMQTT311(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := maker{T: t, v: mqtt.V311}.packet()
		paho, err := packets.ReadPacket(bytes.NewReader(written(t, want, mqtt.V311)))
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := paho.(*packets.ConnectPacket); ok {
			if code := c.Validate(); code != packets.Accepted && !(code == packets.ErrRefusedIDRejected && c.ClientIdentifier == "") {
				t.Errorf("Paho would refuse %+v with %d", want, code)
			}
		}
		if diff := cmp.Diff(want, fromPaho311(paho), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-ours +Paho's):\n%s", diff)
		}
	})
}

func TestWeReadPahosMQTT311(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := maker{T: t, v: mqtt.V311}.packet()
		var stream bytes.Buffer
		if err := toPaho311(want).Write(&stream); err != nil {
			t.Fatal(err)
		}
		got, err := mqtt.NewReader(&stream, 0).Next(mqtt.V311)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-Paho's +ours):\n%s", diff)
		}
	})
}

func toPaho311(p mqtt.Packet) packets.ControlPacket {
	out := packets.NewControlPacket(byte(p.Type()))
	switch p := p.(type) {
	case *mqtt.Connect:
		connectToPaho311(p, out.(*packets.ConnectPacket))
	case *mqtt.Connack:
		o := out.(*packets.ConnackPacket)
		o.SessionPresent, o.ReturnCode = p.SessionPresent, byte(p.Code)
	case *mqtt.Publish:
		o := out.(*packets.PublishPacket)
		o.TopicName, o.MessageID, o.Payload = p.Topic, p.PacketID, p.Payload
		o.Qos, o.Dup, o.Retain = p.QoS, p.Dup, p.Retain
	case *mqtt.Puback:
		out.(*packets.PubackPacket).MessageID = p.PacketID
	case *mqtt.Pubrec:
		out.(*packets.PubrecPacket).MessageID = p.PacketID
	case *mqtt.Pubrel:
		out.(*packets.PubrelPacket).MessageID = p.PacketID
	case *mqtt.Pubcomp:
		out.(*packets.PubcompPacket).MessageID = p.PacketID
	case *mqtt.Subscribe:
		o := out.(*packets.SubscribePacket)
		o.MessageID = p.PacketID
		for _, s := range p.Filters {
			o.Topics, o.Qoss = append(o.Topics, s.Filter), append(o.Qoss, s.QoS)
		}
	case *mqtt.Suback:
		o := out.(*packets.SubackPacket)
		o.MessageID, o.ReturnCodes = p.PacketID, codeBytes(p.Codes)
	case *mqtt.Unsubscribe:
		o := out.(*packets.UnsubscribePacket)
		o.MessageID, o.Topics = p.PacketID, p.Filters
	case *mqtt.Unsuback:
		out.(*packets.UnsubackPacket).MessageID = p.PacketID
	}
	return out
}

func fromPaho311(p packets.ControlPacket) mqtt.Packet {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		return connectFromPaho311(p)
	case *packets.ConnackPacket:
		return &mqtt.Connack{SessionPresent: p.SessionPresent, Code: mqtt.ReasonCode(p.ReturnCode)}
	case *packets.PublishPacket:
		return &mqtt.Publish{Topic: p.TopicName, PacketID: p.MessageID, QoS: p.Qos, Dup: p.Dup, Retain: p.Retain, Payload: p.Payload}
	case *packets.PubackPacket:
		return &mqtt.Puback{PacketID: p.MessageID}
	case *packets.PubrecPacket:
		return &mqtt.Pubrec{PacketID: p.MessageID}
	case *packets.PubrelPacket:
		return &mqtt.Pubrel{PacketID: p.MessageID}
	case *packets.PubcompPacket:
		return &mqtt.Pubcomp{PacketID: p.MessageID}
	case *packets.SubscribePacket:
		out := &mqtt.Subscribe{PacketID: p.MessageID}
		for i, topic := range p.Topics {
			out.Filters = append(out.Filters, mqtt.Subscription{Filter: topic, QoS: p.Qoss[i]})
		}
		return out
	case *packets.SubackPacket:
		return &mqtt.Suback{PacketID: p.MessageID, Codes: bytesCode(p.ReturnCodes)}
	case *packets.UnsubscribePacket:
		return &mqtt.Unsubscribe{PacketID: p.MessageID, Filters: p.Topics}
	case *packets.UnsubackPacket:
		return &mqtt.Unsuback{PacketID: p.MessageID}
	case *packets.PingreqPacket:
		return &mqtt.Pingreq{}
	case *packets.PingrespPacket:
		return &mqtt.Pingresp{}
	}
	return &mqtt.Disconnect{}
}

func connectToPaho311(p *mqtt.Connect, out *packets.ConnectPacket) {
	out.ProtocolName, out.ProtocolVersion = "MQTT", byte(p.Version)
	out.ClientIdentifier, out.CleanSession, out.Keepalive = p.ClientID, p.CleanStart, p.KeepAlive
	out.UsernameFlag, out.Username = p.Username.IsSet(), p.Username.Or("")
	out.PasswordFlag, out.Password = p.Password != nil, p.Password
	if w := p.Will; w != nil {
		out.WillFlag, out.WillTopic, out.WillMessage = true, w.Topic, w.Payload
		out.WillQos, out.WillRetain = w.QoS, w.Retain
	}
}

func connectFromPaho311(p *packets.ConnectPacket) *mqtt.Connect {
	out := &mqtt.Connect{Version: mqtt.Version(p.ProtocolVersion), ClientID: p.ClientIdentifier,
		CleanStart: p.CleanSession, KeepAlive: p.Keepalive}
	if p.UsernameFlag {
		out.Username = mqtt.Some(p.Username)
	}
	if p.PasswordFlag {
		out.Password = p.Password
	}
	if p.WillFlag {
		out.Will = &mqtt.Will{Topic: p.WillTopic, Payload: p.WillMessage, QoS: p.WillQos, Retain: p.WillRetain}
	}
	return out
}
