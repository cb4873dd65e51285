package mqtt

import "encoding/binary"

// Puback answers a Publish of QoS 1 (MQTT 5.0, 3.4).
type Puback struct {
	PacketID   uint16
	Code       ReasonCode
	Properties Properties
}

// Pubrec answers a Publish of QoS 2 (MQTT 5.0, 3.5).
type Pubrec struct {
	PacketID   uint16
	Code       ReasonCode
	Properties Properties
}

// Pubrel answers a Pubrec (MQTT 5.0, 3.6).
type Pubrel struct {
	PacketID   uint16
	Code       ReasonCode
	Properties Properties
}

// Pubcomp answers a Pubrel (MQTT 5.0, 3.7).
type Pubcomp struct {
	PacketID   uint16
	Code       ReasonCode
	Properties Properties
}

// ack is what the four have in common; each converts itself to it.
type ack Puback

func (*Puback) Type() Type  { return PUBACK }
func (*Pubrec) Type() Type  { return PUBREC }
func (*Pubrel) Type() Type  { return PUBREL }
func (*Pubcomp) Type() Type { return PUBCOMP }

func (*Puback) flags() byte  { return 0 }
func (*Pubrec) flags() byte  { return 0 }
func (*Pubrel) flags() byte  { return 2 }
func (*Pubcomp) flags() byte { return 0 }

func (p *Puback) parse(c *cursor, v Version)  { (*ack)(p).parse(c, v) }
func (p *Pubrec) parse(c *cursor, v Version)  { (*ack)(p).parse(c, v) }
func (p *Pubrel) parse(c *cursor, v Version)  { (*ack)(p).parse(c, v) }
func (p *Pubcomp) parse(c *cursor, v Version) { (*ack)(p).parse(c, v) }

func (p *Puback) check(v Version) error  { return (*ack)(p).check(PUBACK, v) }
func (p *Pubrec) check(v Version) error  { return (*ack)(p).check(PUBREC, v) }
func (p *Pubrel) check(v Version) error  { return (*ack)(p).check(PUBREL, v) }
func (p *Pubcomp) check(v Version) error { return (*ack)(p).check(PUBCOMP, v) }

func (p *Puback) append(dst []byte, v Version) []byte  { return (*ack)(p).append(dst, v) }
func (p *Pubrec) append(dst []byte, v Version) []byte  { return (*ack)(p).append(dst, v) }
func (p *Pubrel) append(dst []byte, v Version) []byte  { return (*ack)(p).append(dst, v) }
func (p *Pubcomp) append(dst []byte, v Version) []byte { return (*ack)(p).append(dst, v) }

// parse takes the packet identifier and, in MQTT 5, the reason code and the
// properties, each of which may be missing (MQTT 5.0, 3.4.2.1 and 3.4.2.2.1).
func (p *ack) parse(c *cursor, v Version) {
	p.PacketID = c.u16("packet identifier")
	if v == V5 {
		p.Code = parseResult(c, &p.Properties)
	}
}

// parseResult takes the reason code and properties that end a packet. Without
// properties their length may be left out, and a code of zero as well.
func parseResult(c *cursor, props *Properties) (code ReasonCode) {
	if c.more() {
		code = ReasonCode(c.u8("reason code"))
	}
	if c.more() {
		props.parse(c, c.t)
	}
	return code
}

// appendResult writes what parseResult takes, in the shortest form.
func appendResult(dst []byte, code ReasonCode, props *Properties) []byte {
	switch {
	case props.present() != 0:
		return props.append(append(dst, byte(code)))
	case code != Success:
		return append(dst, byte(code))
	}
	return dst
}

func (p *ack) check(t Type, v Version) error {
	if err := checkID(t, p.PacketID); err != nil || v == V311 {
		return err
	}
	if err := p.Code.check(t); err != nil {
		return err
	}
	return p.Properties.check(t)
}

func (p *ack) append(dst []byte, v Version) []byte {
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	if v == V5 {
		dst = appendResult(dst, p.Code, &p.Properties)
	}
	return dst
}

// checkID refuses the packet identifier zero (MQTT 5.0, 2.2.1).
func checkID(t Type, id uint16) error {
	if id == 0 {
		return violation(t, "the packet identifier is zero.")
	}
	return nil
}
