package mqtt

// Pingreq asks for a sign of life (MQTT 5.0, 3.12).
type Pingreq struct{}

// Pingresp answers Pingreq (MQTT 5.0, 3.13).
type Pingresp struct{}

// Disconnect is the last packet of a connection (MQTT 5.0, 3.14). In 3.1.1 only
// a client sends it, and it says nothing.
type Disconnect struct {
	Code       ReasonCode
	Properties Properties
}

// Auth is a step of enhanced authentication, in MQTT 5 only (MQTT 5.0, 3.15).
type Auth struct {
	Code       ReasonCode
	Properties Properties
}

func (*Pingreq) Type() Type    { return PINGREQ }
func (*Pingresp) Type() Type   { return PINGRESP }
func (*Disconnect) Type() Type { return DISCONNECT }
func (*Auth) Type() Type       { return AUTH }

func (*Pingreq) flags() byte    { return 0 }
func (*Pingresp) flags() byte   { return 0 }
func (*Disconnect) flags() byte { return 0 }
func (*Auth) flags() byte       { return 0 }

func (*Pingreq) parse(*cursor, Version)  {}
func (*Pingresp) parse(*cursor, Version) {}

func (p *Disconnect) parse(c *cursor, v Version) {
	if v == V5 {
		p.Code = parseResult(c, &p.Properties)
	}
}

func (p *Auth) parse(c *cursor, _ Version) {
	if c.more() {
		p.Code = ReasonCode(c.u8("reason code"))
		p.Properties.parse(c, AUTH)
	}
}

func (*Pingreq) check(Version) error  { return nil }
func (*Pingresp) check(Version) error { return nil }

func (p *Disconnect) check(v Version) error {
	if v == V311 {
		return nil
	}
	if err := p.Code.check(DISCONNECT); err != nil {
		return err
	}
	return p.Properties.check(DISCONNECT)
}

// check demands the authentication method of everything but the bare success
// that needs no body (MQTT 5.0, 3.15.2.1 and 3.15.2.2.2).
func (p *Auth) check(Version) error {
	if err := p.Code.check(AUTH); err != nil {
		return err
	}
	if !p.Properties.AuthMethod.ok && !p.bare() {
		return violation(AUTH, "it has no authentication method.")
	}
	return p.Properties.check(AUTH)
}

func (p *Auth) bare() bool { return p.Code == Success && p.Properties.present() == 0 }

func (*Pingreq) append(dst []byte, _ Version) []byte  { return dst }
func (*Pingresp) append(dst []byte, _ Version) []byte { return dst }

func (p *Disconnect) append(dst []byte, v Version) []byte {
	if v == V5 {
		dst = appendResult(dst, p.Code, &p.Properties)
	}
	return dst
}

func (p *Auth) append(dst []byte, _ Version) []byte {
	if p.bare() {
		return dst
	}
	return p.Properties.append(append(dst, byte(p.Code)))
}
