// Package mqtt reads and writes the control packets of MQTT 3.1.1 and MQTT 5.0.
//
// It is a codec and nothing else: it opens no connection and keeps no session.
// Both ends use it, so it knows every packet in both directions; whether a
// packet may arrive at this moment, and what it is allowed to do, is judged by
// the caller.
//
//	Append    writes one packet onto a byte slice
//	Decode    makes a packet from its first byte and its body
//	Reader    takes packets from a stream, within a limit of size
//
// The packet structs are the same for both versions. What 3.1.1 cannot say
// (properties, most reason codes) is left out when it is written and is zero
// when it is read.
//
// Every packet passes the same check after it was read and before it is
// written, so Append never writes what Decode refuses. A refusal is an *Error
// with the reason code that an MQTT 5 peer should be told. No bytes make this
// package panic, and it never allocates more than a small multiple of the bytes
// that have arrived.
//
// The texts followed are the OASIS standards MQTT Version 3.1.1 and MQTT
// Version 5.0; comments cite their sections.
package mqtt

import "fmt"

// A Version is a protocol level as CONNECT carries it (MQTT 5.0, 3.1.2.2).
type Version byte

// The versions that are spoken. MQTT 3.1, which is level 3, is not.
const (
	V311 Version = 4
	V5   Version = 5
)

func (v Version) String() string {
	switch v {
	case V311:
		return "MQTT 3.1.1"
	case V5:
		return "MQTT 5"
	}
	return fmt.Sprintf("MQTT protocol level %d", byte(v))
}

// A Type is a control packet type (MQTT 5.0, 2.1.2).
type Type byte

// The control packet types. AUTH exists in MQTT 5 only.
const (
	CONNECT Type = iota + 1
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH

	// will stands for the will inside CONNECT, which has properties of its own.
	// It takes the place of the reserved type 0.
	will Type = 0
)

var typeNames = [16]string{"CONNECT will", "CONNECT", "CONNACK", "PUBLISH",
	"PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
	"UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

func (t Type) String() string {
	if t > AUTH {
		return fmt.Sprintf("packet type %d", byte(t))
	}
	return typeNames[t]
}

// A Packet is a pointer to one of the fifteen packet structs of this package.
type Packet interface {
	Type() Type

	flags() byte                         // the low half of the first byte
	check(v Version) error               // what the standard says about the fields
	parse(c *cursor, v Version)          // reads the body; check follows
	append(dst []byte, v Version) []byte // writes the body; check went before
}

// maxBody is the largest remaining length (MQTT 5.0, 2.1.4).
const maxBody = 268_435_455

// Append writes p onto dst, in the form of version v, and gives the longer slice.
//
// It allocates nothing but the growth of dst. On failure it gives dst as it was
// and an *Error. A Connect speaks the version it names; v counts for it only if
// it names none.
func Append(dst []byte, p Packet, v Version) ([]byte, error) {
	hint := 0
	switch p := p.(type) {
	case *Connect:
		v = p.speaks(v)
	case *Publish:
		hint = len(p.Topic) + len(p.Payload)
	}
	if err := writable(p, v, hint); err != nil {
		return dst, err
	}
	out := append(dst, byte(p.Type())<<4|p.flags())
	out, at := reserve(out, hint)
	out = p.append(out, v)
	if err := checkBody(p.Type(), len(out)-at); err != nil {
		return dst, err
	}
	return settle(out, at, hint), nil
}

// writable says whether p, of at least size bytes, may be written in version v.
func writable(p Packet, v Version, size int) error {
	if v != V311 && v != V5 {
		return &Error{Code: UnsupportedProtocolVersion, Version: v,
			Text: fmt.Sprintf("%s: only MQTT 3.1.1 and MQTT 5 can be written, not %s.", p.Type(), v)}
	}
	if v == V311 && p.Type() == AUTH {
		return malformed(AUTH, "the packet does not exist in MQTT 3.1.1.")
	}
	if err := checkBody(p.Type(), size); err != nil {
		return err
	}
	return p.check(v)
}

// checkBody holds the largest remaining length.
func checkBody(t Type, n int) error {
	if n > maxBody {
		return &Error{Code: PacketTooLarge,
			Text: fmt.Sprintf("%s: the body is %d bytes long; MQTT allows %d.", t, n, maxBody)}
	}
	return nil
}

// Decode makes one packet from its first byte and its body, which is all that
// follows the remaining length.
//
// A CONNECT is read in the version it names, whatever v is; with v zero nothing
// but CONNECT is accepted. The []byte fields of the packet alias body; its
// strings are copies. Every failure is an *Error.
func Decode(first byte, body []byte, v Version) (Packet, error) {
	return decode(first, cursor{rest: body, alias: true}, v)
}

func decode(first byte, c cursor, v Version) (Packet, error) {
	if err := checkFirst(first, v); err != nil {
		return nil, err
	}
	c.t = Type(first >> 4)
	p := blank(c.t)
	if pub, ok := p.(*Publish); ok {
		pub.setFlags(first)
	}
	p.parse(&c, v)
	if con, ok := p.(*Connect); ok {
		v = con.speaks(v)
	}
	if c.err == nil && len(c.rest) > 0 {
		c.err = malformed(c.t, "bytes follow its last field: %d of them.", len(c.rest))
	}
	if c.err == nil {
		c.err = p.check(v)
	}
	if e, ok := c.err.(*Error); ok {
		e.Version = v
		return nil, e
	}
	return p, nil
}

// checkFirst judges the first byte of a packet: its type must exist in version
// v and its reserved flags must be as the standard sets them (MQTT 5.0, 2.1.3).
func checkFirst(first byte, v Version) error {
	t, flags := Type(first>>4), first&0x0f
	if t == 0 || t == AUTH && v == V311 {
		return &Error{Code: MalformedPacket, Version: v,
			Text: fmt.Sprintf("The packet type %d is reserved.", t)}
	}
	if v != V311 && v != V5 && (t != CONNECT || first == tlsHandshake) {
		return &Error{Code: ProtocolError, Text: notConnect(first)}
	}
	want := byte(0)
	switch t {
	case PUBLISH:
		return nil
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		want = 2
	}
	if flags != want {
		return &Error{Code: MalformedPacket, Version: v,
			Text: fmt.Sprintf("%s: the flags of the first byte are %#x; they must be %#x.", t, flags, want)}
	}
	return nil
}

// tlsHandshake is the first byte of a TLS ClientHello (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// notConnect says what a first byte looks like that begins no CONNECT.
func notConnect(first byte) string {
	switch {
	case first == tlsHandshake:
		return "It begins as a TLS handshake does: the device, or a proxy before it, speaks TLS within TLS; once is enough."
	case 'A' <= first && first <= 'Z':
		return fmt.Sprintf("It begins with the letter %c, as text does: perhaps an HTTP request, which has a port of its own.", first)
	}
	return fmt.Sprintf("%s: the first packet must be CONNECT.", Type(first>>4))
}

// blank gives an empty packet of type t, which must exist.
func blank(t Type) Packet {
	switch t {
	case CONNECT:
		return &Connect{}
	case CONNACK:
		return &Connack{}
	case PUBLISH:
		return &Publish{}
	case PUBACK:
		return &Puback{}
	case PUBREC:
		return &Pubrec{}
	case PUBREL:
		return &Pubrel{}
	case PUBCOMP:
		return &Pubcomp{}
	case SUBSCRIBE:
		return &Subscribe{}
	case SUBACK:
		return &Suback{}
	case UNSUBSCRIBE:
		return &Unsubscribe{}
	case UNSUBACK:
		return &Unsuback{}
	case PINGREQ:
		return &Pingreq{}
	case PINGRESP:
		return &Pingresp{}
	case DISCONNECT:
		return &Disconnect{}
	}
	return &Auth{}
}
