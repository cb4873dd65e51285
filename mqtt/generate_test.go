package mqtt_test

import (
	"strings"

	"github.com/slipway-iot/slipway/mqtt"
	"pgregory.net/rapid"
)

// A maker draws valid packets of one version.
type maker struct {
	*rapid.T
	v mqtt.Version

	// plain leaves out what the Paho codec for MQTT 5 cannot tell apart or
	// cannot hold: present but empty properties, several subscription
	// identifiers, properties of the message in a will.
	plain bool
}

func (m maker) packet() mqtt.Packet {
	kinds := int(mqtt.AUTH)
	if m.v == mqtt.V311 {
		kinds--
	}
	switch t := mqtt.Type(rapid.IntRange(1, kinds).Draw(m.T, "type")); t {
	case mqtt.CONNECT:
		return m.connect()
	case mqtt.CONNACK:
		p := &mqtt.Connack{Code: m.code(t), Properties: m.properties(t)}
		p.SessionPresent = p.Code == mqtt.Success && m.yes("session present")
		return p
	case mqtt.PUBLISH:
		return m.publish()
	case mqtt.PUBACK:
		return &mqtt.Puback{PacketID: m.id(), Code: m.code(t), Properties: m.properties(t)}
	case mqtt.PUBREC:
		return &mqtt.Pubrec{PacketID: m.id(), Code: m.code(t), Properties: m.properties(t)}
	case mqtt.PUBREL:
		return &mqtt.Pubrel{PacketID: m.id(), Code: m.code(t), Properties: m.properties(t)}
	case mqtt.PUBCOMP:
		return &mqtt.Pubcomp{PacketID: m.id(), Code: m.code(t), Properties: m.properties(t)}
	case mqtt.SUBSCRIBE:
		return m.subscribe()
	case mqtt.SUBACK:
		return &mqtt.Suback{PacketID: m.id(), Codes: m.codes(t), Properties: m.properties(t)}
	case mqtt.UNSUBSCRIBE:
		p := &mqtt.Unsubscribe{PacketID: m.id(), Properties: m.properties(t)}
		for range rapid.IntRange(1, 9).Draw(m.T, "filters") {
			p.Filters = append(p.Filters, m.text(1))
		}
		return p
	case mqtt.UNSUBACK:
		return &mqtt.Unsuback{PacketID: m.id(), Codes: m.codes(t), Properties: m.properties(t)}
	case mqtt.PINGREQ:
		return &mqtt.Pingreq{}
	case mqtt.PINGRESP:
		return &mqtt.Pingresp{}
	case mqtt.DISCONNECT:
		return &mqtt.Disconnect{Code: m.code(t), Properties: m.properties(t)}
	default:
		p := &mqtt.Auth{Code: m.code(t), Properties: m.properties(t)}
		p.Properties.AuthMethod = mqtt.Some(m.text(1))
		return p
	}
}

func (m maker) connect() *mqtt.Connect {
	p := &mqtt.Connect{
		Version:    m.v,
		ClientID:   m.text(0),
		CleanStart: m.yes("clean start"),
		KeepAlive:  rapid.Uint16().Draw(m.T, "keep alive"),
		Properties: m.properties(mqtt.CONNECT),
	}
	if m.yes("user name") {
		p.Username = mqtt.Some(m.text(0))
	}
	if (m.v == mqtt.V5 || p.Username.IsSet()) && m.yes("password") {
		p.Password = m.bytes(0)
	}
	if !p.Properties.AuthMethod.IsSet() {
		p.Properties.AuthData = nil
	}
	if m.yes("will") {
		p.Will = &mqtt.Will{Topic: m.topic(), Payload: m.payload(), QoS: m.qos(), Retain: m.yes("retain"),
			Properties: m.properties(0)}
	}
	return p
}

func (m maker) publish() *mqtt.Publish {
	p := &mqtt.Publish{Topic: m.topic(), QoS: m.qos(), Retain: m.yes("retain"), Payload: m.payload(),
		Properties: m.properties(mqtt.PUBLISH)}
	if p.QoS > 0 {
		p.PacketID, p.Dup = m.id(), m.yes("dup")
	}
	if p.Properties.TopicAlias.IsSet() && m.yes("alias only") {
		p.Topic = ""
	}
	return p
}

func (m maker) subscribe() *mqtt.Subscribe {
	p := &mqtt.Subscribe{PacketID: m.id(), Properties: m.properties(mqtt.SUBSCRIBE)}
	for range rapid.IntRange(1, 9).Draw(m.T, "filters") {
		s := mqtt.Subscription{Filter: m.text(1), QoS: m.qos()}
		if m.v == mqtt.V5 {
			s.NoLocal = m.yes("no local") && !strings.HasPrefix(s.Filter, "$share/")
			s.RetainAsPublished = m.yes("retain as published")
			s.RetainHandling = m.qos()
		}
		p.Filters = append(p.Filters, s)
	}
	return p
}

// properties draws properties that a packet of type t may have; 0 is the will.
// The lists follow the sections of each packet in MQTT 5.0, chapter 3.
func (m maker) properties(t mqtt.Type) (p mqtt.Properties) {
	if m.v == mqtt.V311 {
		return p
	}
	for range rapid.IntRange(0, 2).Draw(m.T, "user properties") {
		p.User = append(p.User, mqtt.UserProperty{Key: m.text(0), Value: m.text(0)})
	}
	switch t {
	case 0:
		p.WillDelay = optional(m, rapid.Uint32())
		if !m.plain {
			m.message(&p)
		}
	case mqtt.PUBLISH:
		m.message(&p)
		p.TopicAlias = optional(m, rapid.Uint16())
		for range rapid.IntRange(0, m.most(3)).Draw(m.T, "subscription identifiers") {
			p.SubscriptionIDs = append(p.SubscriptionIDs, m.subscriptionID())
		}
	case mqtt.SUBSCRIBE:
		if m.yes("subscription identifier") {
			p.SubscriptionIDs = []uint32{m.subscriptionID()}
		}
	case mqtt.CONNECT:
		m.session(&p)
		p.RequestProblemInfo = optional(m, rapid.Bool())
		p.RequestResponseInfo = optional(m, rapid.Bool())
	case mqtt.CONNACK:
		m.session(&p)
		m.server(&p)
		p.ReasonString = m.optText()
	case mqtt.DISCONNECT:
		p.SessionExpiry = optional(m, rapid.Uint32())
		p.ServerReference = m.optText()
		p.ReasonString = m.optText()
	case mqtt.AUTH:
		p.AuthData = m.optBytes()
		p.ReasonString = m.optText()
	case mqtt.UNSUBSCRIBE:
	default:
		p.ReasonString = m.optText()
	}
	return p
}

func (m maker) message(p *mqtt.Properties) {
	p.PayloadFormat = optional(m, rapid.ByteMax(1))
	p.MessageExpiry = optional(m, rapid.Uint32())
	p.ContentType = m.optText()
	if m.yes("response topic") {
		p.ResponseTopic = mqtt.Some(m.topic())
	}
	p.CorrelationData = m.optBytes()
}

func (m maker) session(p *mqtt.Properties) {
	p.SessionExpiry = optional(m, rapid.Uint32())
	p.ReceiveMaximum = optional(m, rapid.Uint16Min(1))
	p.MaximumPacketSize = optional(m, rapid.Uint32Min(1))
	p.TopicAliasMaximum = optional(m, rapid.Uint16())
	p.AuthMethod = m.optText()
	p.AuthData = m.optBytes()
}

func (m maker) server(p *mqtt.Properties) {
	p.AssignedClientID = m.optText()
	p.ServerKeepAlive = optional(m, rapid.Uint16())
	p.MaximumQoS = optional(m, rapid.ByteMax(1))
	p.RetainAvailable = optional(m, rapid.Bool())
	p.WildcardAvailable = optional(m, rapid.Bool())
	p.SubscriptionIDsUsable = optional(m, rapid.Bool())
	p.SharedAvailable = optional(m, rapid.Bool())
	p.ResponseInfo = m.optText()
	p.ServerReference = m.optText()
}

func (m maker) yes(what string) bool { return rapid.Bool().Draw(m.T, what) }

// least is the length from which an optional property is drawn.
func (m maker) least() int {
	if m.plain {
		return 1
	}
	return 0
}

func (m maker) most(n int) int {
	if m.plain {
		return 1
	}
	return n
}

func (m maker) text(least int) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab/$+# \x01\x7fé€\ufeff\uffff😀")), least, 40, -1).Draw(m.T, "text")
}

func (m maker) topic() string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab/$ é😀")), 1, 40, -1).Draw(m.T, "topic")
}

func (m maker) bytes(least int) []byte {
	b := rapid.SliceOfN(rapid.Byte(), least, 300).Draw(m.T, "bytes")
	return append([]byte{}, b...)
}

// payload draws payloads on both sides of the lengths where the remaining length
// grows by a byte, and where a Reader changes its way.
func (m maker) payload() []byte {
	size := rapid.OneOf(rapid.IntRange(0, 150), rapid.IntRange(400, 600), rapid.IntRange(16_300, 16_400)).Draw(m.T, "payload")
	if size == 0 {
		return nil
	}
	return []byte(strings.Repeat("\x00\xffp", size/3+1))[:size]
}

func (m maker) qos() byte { return rapid.ByteMax(2).Draw(m.T, "QoS") }

func (m maker) id() uint16 { return rapid.Uint16Min(1).Draw(m.T, "packet identifier") }

func (m maker) subscriptionID() uint32 {
	return rapid.Uint32Range(1, 268_435_455).Draw(m.T, "subscription identifier")
}

func (m maker) optText() mqtt.Opt[string] {
	if m.yes("text") {
		return mqtt.Some(m.text(m.least()))
	}
	return mqtt.Opt[string]{}
}

func (m maker) optBytes() []byte {
	if m.yes("bytes") {
		return m.bytes(m.least())
	}
	return nil
}

func optional[T comparable](m maker, g *rapid.Generator[T]) (o mqtt.Opt[T]) {
	if m.yes("optional") {
		o = mqtt.Some(g.Draw(m.T, "value"))
	}
	return o
}

// code draws a code that a packet of type t may carry.
func (m maker) code(t mqtt.Type) mqtt.ReasonCode {
	if m.v == mqtt.V311 {
		if t == mqtt.CONNACK {
			return mqtt.ReasonCode(rapid.ByteMax(5).Draw(m.T, "return code"))
		}
		return 0
	}
	return rapid.SampledFrom(reasonCodes[t]).Draw(m.T, "reason code")
}

// codes draws the list of codes of a SUBACK or UNSUBACK.
func (m maker) codes(t mqtt.Type) []mqtt.ReasonCode {
	from := reasonCodes[t]
	if m.v == mqtt.V311 {
		if t == mqtt.UNSUBACK {
			return nil
		}
		from = []mqtt.ReasonCode{0, 1, 2, mqtt.SubscribeFailure}
	}
	return rapid.SliceOfN(rapid.SampledFrom(from), 1, 9).Draw(m.T, "codes")
}

// reasonCodes are the codes in the table of each packet in MQTT 5.0, chapter 3.
var reasonCodes = map[mqtt.Type][]mqtt.ReasonCode{
	mqtt.CONNACK: {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
		0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
	mqtt.PUBACK:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	mqtt.PUBREC:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	mqtt.PUBREL:   {0x00, 0x92},
	mqtt.PUBCOMP:  {0x00, 0x92},
	mqtt.SUBACK:   {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
	mqtt.UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
	mqtt.DISCONNECT: {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
		0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2},
	mqtt.AUTH: {0x00, 0x18, 0x19},
}
