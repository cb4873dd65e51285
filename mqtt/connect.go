package mqtt

import "encoding/binary"

// Connect asks for a connection (MQTT 5.0, 3.1).
type Connect struct {
	Version    Version
	ClientID   string
	CleanStart bool // clean session in 3.1.1
	KeepAlive  uint16
	Username   Opt[string]
	Password   []byte // nil is absent, empty is present
	Will       *Will  // nil if there is none
	Properties Properties
}

// Will is the message that the server publishes when the connection is lost
// (MQTT 5.0, 3.1.2.5).
type Will struct {
	Topic      string
	Payload    []byte // nil when empty
	QoS        byte
	Retain     bool
	Properties Properties
}

// The connect flags (MQTT 5.0, 3.1.2.3).
const (
	flagReserved = 1 << iota
	flagClean
	flagWill
	flagWillQoS // two bits
	_
	flagWillRetain
	flagPassword
	flagUsername
)

func (*Connect) Type() Type  { return CONNECT }
func (*Connect) flags() byte { return 0 }

// speaks gives the version that p names, or v if it names none.
func (p *Connect) speaks(v Version) Version {
	if p.Version != 0 {
		return p.Version
	}
	return v
}

func (p *Connect) parse(c *cursor, _ Version) {
	if p.parseVersion(c); c.err != nil {
		return
	}
	flags := c.u8("connect flags")
	if flags&flagReserved != 0 {
		c.fail(malformed(CONNECT, "the reserved connect flag is set."))
	}
	p.CleanStart = flags&flagClean != 0
	p.KeepAlive = c.u16("keep alive")
	if p.Version == V5 {
		p.Properties.parse(c, CONNECT)
	}
	p.ClientID = c.text("client identifier")
	p.parseWill(c, flags)
	if flags&flagUsername != 0 {
		p.Username = Some(c.text("user name"))
	}
	if flags&flagPassword != 0 {
		p.Password = c.blob("password")
	}
}

// parseVersion takes the protocol name and level (MQTT 5.0, 3.1.2.1 and 3.1.2.2).
// The rest of a CONNECT of another version is not looked at.
func (p *Connect) parseVersion(c *cursor) {
	name, level := c.text("protocol name"), Version(c.u8("protocol level"))
	if c.err != nil {
		return
	}
	if name != "MQTT" || level != V311 && level != V5 {
		c.fail(&Error{Code: UnsupportedProtocolVersion,
			Text: "CONNECT: the protocol must be MQTT with level 4 (3.1.1) or 5."})
		return
	}
	p.Version = level
}

// parseWill takes the will. Without one, its other flags must not be set
// (MQTT 5.0, 3.1.2.6 and 3.1.2.7).
func (p *Connect) parseWill(c *cursor, flags byte) {
	qos, retain := flags/flagWillQoS&3, flags&flagWillRetain != 0
	if flags&flagWill == 0 {
		if qos != 0 || retain {
			c.fail(malformed(CONNECT, "the will QoS or will retain flag is set and the will flag is not."))
		}
		return
	}
	w := &Will{QoS: qos, Retain: retain}
	if p.Version == V5 {
		w.Properties.parse(c, will)
	}
	w.Topic = c.text("will topic")
	w.Payload = c.payload(int(c.u16("will payload")), "will payload")
	p.Will = w
}

func (p *Connect) check(v Version) error {
	if err := checkText(CONNECT, "client identifier", p.ClientID); err != nil {
		return err
	}
	if err := p.checkCredentials(v); err != nil {
		return err
	}
	if p.Will != nil {
		if err := p.Will.check(v); err != nil {
			return err
		}
	}
	if v == V311 {
		return nil
	}
	return p.Properties.check(CONNECT)
}

func (p *Connect) checkCredentials(v Version) error {
	if v == V311 && p.Password != nil && !p.Username.IsSet() { // MQTT 3.1.1, 3.1.2.9
		return malformed(CONNECT, "it has a password and no user name, which MQTT 3.1.1 does not allow.")
	}
	if err := checkText(CONNECT, "user name", p.Username.v); err != nil {
		return err
	}
	return checkBytes(CONNECT, "password", p.Password)
}

func (w *Will) check(v Version) error {
	if w.QoS > 2 {
		return malformed(CONNECT, "the will QoS is 3.")
	}
	if what := topicFlaw(w.Topic); what != "" {
		return malformed(CONNECT, "the will topic %s.", what)
	}
	if err := checkBytes(CONNECT, "will payload", w.Payload); err != nil || v == V311 {
		return err
	}
	return w.Properties.check(will)
}

func (p *Connect) append(dst []byte, v Version) []byte {
	dst = appendText(dst, "MQTT")
	dst = append(dst, byte(v), p.connectFlags())
	dst = binary.BigEndian.AppendUint16(dst, p.KeepAlive)
	if v == V5 {
		dst = p.Properties.append(dst)
	}
	dst = appendText(dst, p.ClientID)
	if w := p.Will; w != nil {
		if v == V5 {
			dst = w.Properties.append(dst)
		}
		dst = appendText(dst, w.Topic)
		dst = appendBlob(dst, w.Payload)
	}
	if p.Username.ok {
		dst = appendText(dst, p.Username.v)
	}
	if p.Password != nil {
		dst = appendBlob(dst, p.Password)
	}
	return dst
}

func (p *Connect) connectFlags() byte {
	flags := flag(p.CleanStart, flagClean)
	if w := p.Will; w != nil {
		flags |= flagWill | w.QoS*flagWillQoS | flag(w.Retain, flagWillRetain)
	}
	return flags | flag(p.Username.ok, flagUsername) | flag(p.Password != nil, flagPassword)
}
