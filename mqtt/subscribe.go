package mqtt

import (
	"encoding/binary"
	"strings"
)

// Subscribe asks for messages (MQTT 5.0, 3.8).
type Subscribe struct {
	PacketID   uint16
	Filters    []Subscription // at least one
	Properties Properties
}

// Subscription is one topic filter of a Subscribe with its options
// (MQTT 5.0, 3.8.3.1). 3.1.1 has only the QoS.
type Subscription struct {
	// Filter is well-formed text; whether it is a topic filter is for
	// ValidFilter, since a server may refuse it in SUBACK.
	Filter            string
	QoS               byte // the highest the subscriber wants
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 always, 1 if the subscription is new, 2 never
}

// The subscription options; the QoS is in the two lowest bits.
const (
	optNoLocal           = 1 << 2
	optRetainAsPublished = 1 << 3
	optRetainHandling    = 1 << 4 // two bits
	optReserved          = 0xC0
	optReserved311       = 0xFC
)

func (*Subscribe) Type() Type  { return SUBSCRIBE }
func (*Subscribe) flags() byte { return 2 }

func (p *Subscribe) parse(c *cursor, v Version) {
	p.PacketID = c.u16("packet identifier")
	reserved := byte(optReserved311)
	if v == V5 {
		p.Properties.parse(c, SUBSCRIBE)
		reserved = optReserved
	}
	for c.more() {
		filter, options := c.text("topic filter"), c.u8("subscription options")
		if options&reserved != 0 {
			c.fail(malformed(SUBSCRIBE, "a reserved subscription option is set."))
		}
		p.Filters = append(p.Filters, Subscription{
			Filter:            filter,
			QoS:               options & 3,
			NoLocal:           options&optNoLocal != 0,
			RetainAsPublished: options&optRetainAsPublished != 0,
			RetainHandling:    options / optRetainHandling & 3,
		})
	}
}

func (p *Subscribe) check(v Version) error {
	if err := checkID(SUBSCRIBE, p.PacketID); err != nil {
		return err
	}
	if len(p.Filters) == 0 {
		return violation(SUBSCRIBE, "it has no topic filter.")
	}
	for i := range p.Filters {
		if err := p.Filters[i].check(v); err != nil {
			return err
		}
	}
	if v == V311 {
		return nil
	}
	return p.Properties.check(SUBSCRIBE)
}

func (s *Subscription) check(v Version) error {
	switch {
	case s.QoS > 2 && v == V311: // MQTT 3.1.1, 3.8.3
		return malformed(SUBSCRIBE, "the QoS is 3.")
	case s.QoS > 2:
		return violation(SUBSCRIBE, "the QoS is 3.")
	case v == V5 && s.RetainHandling > 2:
		return violation(SUBSCRIBE, "the retain handling is 3.")
	case v == V5 && s.NoLocal && strings.HasPrefix(s.Filter, sharePrefix):
		return violation(SUBSCRIBE, "the no local option is set on a shared subscription.")
	}
	return checkText(SUBSCRIBE, "topic filter", s.Filter)
}

func (p *Subscribe) append(dst []byte, v Version) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	for i := range p.Filters {
		s := &p.Filters[i]
		dst = append(appendText(dst, s.Filter), s.options(v))
	}
	return dst
}

func (s *Subscription) options(v Version) byte {
	if v == V311 {
		return s.QoS
	}
	return s.QoS | flag(s.NoLocal, optNoLocal) | flag(s.RetainAsPublished, optRetainAsPublished) |
		s.RetainHandling*optRetainHandling
}

// Suback answers Subscribe, with one code for each filter in order
// (MQTT 5.0, 3.9).
type Suback struct {
	PacketID uint16

	// Codes has at least one. 3.1.1 has a single failure, SubscribeFailure, and
	// every code from 0x80 up is written as that.
	Codes      []ReasonCode
	Properties Properties
}

func (*Suback) Type() Type  { return SUBACK }
func (*Suback) flags() byte { return 0 }

func (p *Suback) parse(c *cursor, v Version) {
	p.PacketID = c.u16("packet identifier")
	if v == V5 {
		p.Properties.parse(c, SUBACK)
	}
	p.Codes = parseCodes(c)
	for _, code := range p.Codes {
		if v == V311 && code > SubscribeFailure {
			c.fail(violation(SUBACK, "0x%02X is not one of the return codes of MQTT 3.1.1.", byte(code)))
		}
	}
}

func (p *Suback) check(v Version) error {
	if err := checkID(SUBACK, p.PacketID); err != nil {
		return err
	}
	if err := checkCodes(SUBACK, p.Codes); err != nil || v == V311 {
		return err
	}
	return p.Properties.check(SUBACK)
}

func (p *Suback) append(dst []byte, v Version) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	for _, code := range p.Codes {
		if v == V311 {
			code = min(code, SubscribeFailure)
		}
		dst = append(dst, byte(code))
	}
	return dst
}

// Unsubscribe ends subscriptions (MQTT 5.0, 3.10).
type Unsubscribe struct {
	PacketID   uint16
	Filters    []string // at least one; well-formed text, as in Subscription
	Properties Properties
}

func (*Unsubscribe) Type() Type  { return UNSUBSCRIBE }
func (*Unsubscribe) flags() byte { return 2 }

func (p *Unsubscribe) parse(c *cursor, v Version) {
	p.PacketID = c.u16("packet identifier")
	if v == V5 {
		p.Properties.parse(c, UNSUBSCRIBE)
	}
	for c.more() {
		p.Filters = append(p.Filters, c.text("topic filter"))
	}
}

func (p *Unsubscribe) check(v Version) error {
	if err := checkID(UNSUBSCRIBE, p.PacketID); err != nil {
		return err
	}
	if len(p.Filters) == 0 {
		return violation(UNSUBSCRIBE, "it has no topic filter.")
	}
	for _, filter := range p.Filters {
		if err := checkText(UNSUBSCRIBE, "topic filter", filter); err != nil {
			return err
		}
	}
	if v == V311 {
		return nil
	}
	return p.Properties.check(UNSUBSCRIBE)
}

func (p *Unsubscribe) append(dst []byte, v Version) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	for _, filter := range p.Filters {
		dst = appendText(dst, filter)
	}
	return dst
}

// Unsuback answers Unsubscribe (MQTT 5.0, 3.11).
type Unsuback struct {
	PacketID   uint16
	Codes      []ReasonCode // one for each filter in order; 3.1.1 has none
	Properties Properties
}

func (*Unsuback) Type() Type  { return UNSUBACK }
func (*Unsuback) flags() byte { return 0 }

func (p *Unsuback) parse(c *cursor, v Version) {
	p.PacketID = c.u16("packet identifier")
	if v == V5 {
		p.Properties.parse(c, UNSUBACK)
		p.Codes = parseCodes(c)
	}
}

func (p *Unsuback) check(v Version) error {
	if err := checkID(UNSUBACK, p.PacketID); err != nil || v == V311 {
		return err
	}
	if err := checkCodes(UNSUBACK, p.Codes); err != nil {
		return err
	}
	return p.Properties.check(UNSUBACK)
}

func (p *Unsuback) append(dst []byte, v Version) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	if v == V311 {
		return dst
	}
	dst = p.Properties.append(dst)
	for _, code := range p.Codes {
		dst = append(dst, byte(code))
	}
	return dst
}

// parseCodes takes reason codes up to the end of the packet.
func parseCodes(c *cursor) (codes []ReasonCode) {
	for _, b := range c.take(len(c.rest), "reason codes") {
		codes = append(codes, ReasonCode(b))
	}
	return codes
}

func checkCodes(t Type, codes []ReasonCode) error {
	if len(codes) == 0 {
		return violation(t, "it has no reason code.")
	}
	for _, code := range codes {
		if err := code.check(t); err != nil {
			return err
		}
	}
	return nil
}
