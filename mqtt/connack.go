package mqtt

// Connack answers Connect (MQTT 5.0, 3.2).
type Connack struct {
	SessionPresent bool
	Code           ReasonCode // in 3.1.1 one of the Refused codes, or zero
	Properties     Properties
}

func (*Connack) Type() Type  { return CONNACK }
func (*Connack) flags() byte { return 0 }

func (p *Connack) parse(c *cursor, v Version) {
	flags := c.u8("acknowledge flags")
	if flags > 1 {
		c.fail(malformed(CONNACK, "a reserved acknowledge flag is set."))
	}
	p.SessionPresent = flags == 1
	p.Code = ReasonCode(c.u8("reason code"))
	if v != V5 || c.err != nil {
		return
	}
	if !c.more() && p.Code == RefusedVersion {
		c.fail(&Error{Code: UnsupportedProtocolVersion,
			Text: "CONNACK: the server refuses MQTT 5 in the form of an older version."})
		return
	}
	p.Properties.parse(c, CONNACK)
}

func (p *Connack) check(v Version) error {
	if p.SessionPresent && p.Code != Success { // MQTT 5.0, 3.2.2.1.1
		return violation(CONNACK, "it refuses the connection and says that a session is present.")
	}
	if v == V311 {
		if p.Code > RefusedNotAuthorized {
			return violation(CONNACK, "0x%02X is not one of the return codes of MQTT 3.1.1.", byte(p.Code))
		}
		return nil
	}
	if err := p.Code.check(CONNACK); err != nil {
		return err
	}
	return p.Properties.check(CONNACK)
}

func (p *Connack) append(dst []byte, v Version) []byte {
	dst = append(dst, flag(p.SessionPresent, 1), byte(p.Code))
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	return dst
}
