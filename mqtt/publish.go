package mqtt

import "encoding/binary"

// Publish carries a message (MQTT 5.0, 3.3).
type Publish struct {
	// Topic is empty only in MQTT 5, and only with a topic alias.
	Topic    string
	PacketID uint16 // not zero at QoS 1 and 2; means nothing at QoS 0
	QoS      byte

	// Dup means nothing at QoS 0, where it is read as false and not written
	// (MQTT 5.0, 3.3.1.1).
	Dup        bool
	Retain     bool
	Payload    []byte // nil when empty
	Properties Properties
}

func (*Publish) Type() Type { return PUBLISH }

func (p *Publish) flags() byte {
	return flag(p.Dup && p.QoS > 0, 8) | p.QoS<<1 | flag(p.Retain, 1)
}

// setFlags takes the flags from the first byte of the packet.
func (p *Publish) setFlags(first byte) {
	p.QoS = first >> 1 & 3
	p.Dup = first&8 != 0 && p.QoS > 0
	p.Retain = first&1 != 0
}

func (p *Publish) parse(c *cursor, v Version) {
	p.Topic = c.text("topic name")
	if p.QoS > 0 {
		p.PacketID = c.u16("packet identifier")
	}
	if v == V5 {
		p.Properties.parse(c, PUBLISH)
	}
	p.Payload = c.payload(len(c.rest), "payload")
}

func (p *Publish) check(v Version) error {
	if p.QoS > 2 {
		return malformed(PUBLISH, "the QoS is 3.")
	}
	if p.QoS > 0 {
		if err := checkID(PUBLISH, p.PacketID); err != nil {
			return err
		}
	}
	if err := p.checkTopic(v); err != nil || v == V311 {
		return err
	}
	return p.Properties.check(PUBLISH)
}

// checkTopic holds the topic name, which may be empty in MQTT 5 if a topic
// alias stands for it (MQTT 5.0, 3.3.2.1 and 3.3.2.3.4).
func (p *Publish) checkTopic(v Version) error {
	if p.Topic == "" && v == V5 {
		if !p.Properties.TopicAlias.ok {
			return violation(PUBLISH, "the topic name is empty and there is no topic alias.")
		}
		return nil
	}
	if what := topicFlaw(p.Topic); what != "" {
		return malformed(PUBLISH, "the topic name %s.", what)
	}
	return nil
}

func (p *Publish) append(dst []byte, v Version) []byte {
	dst = appendText(dst, p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	}
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	return append(dst, p.Payload...)
}
