package mqtt

import "encoding/binary"

// A field is one property's place in Properties and its form on the wire.
type field interface {
	parse(c *cursor, name string, p *Properties)
	check(t Type, row *property, p *Properties) error
	append(dst []byte, id byte, p *Properties) []byte // writes the identifiers too
}

type (
	bitField  func(*Properties) *Opt[byte] // one byte, 0 or 1
	boolField func(*Properties) *Opt[bool] // one byte, 0 or 1
	u16Field  func(*Properties) *Opt[uint16]
	u32Field  func(*Properties) *Opt[uint32]
	textField func(*Properties) *Opt[string]
	blobField func(*Properties) *[]byte
	idsField  struct{}
	userField struct{}
)

func (f bitField) parse(c *cursor, name string, p *Properties) { *f(p) = Some(c.u8(name)) }

func (f bitField) check(t Type, row *property, p *Properties) error {
	if f(p).v > 1 {
		return violation(t, "the %s must be 0 or 1.", row.name)
	}
	return nil
}

func (f bitField) append(dst []byte, id byte, p *Properties) []byte {
	return append(dst, id, f(p).v)
}

func (f boolField) parse(c *cursor, name string, p *Properties) {
	b := c.u8(name)
	if b > 1 {
		c.fail(violation(c.t, "the %s must be 0 or 1.", name))
	}
	*f(p) = Some(b == 1)
}

func (f boolField) check(Type, *property, *Properties) error { return nil }

func (f boolField) append(dst []byte, id byte, p *Properties) []byte {
	return append(dst, id, flag(f(p).v, 1))
}

func (f u16Field) parse(c *cursor, name string, p *Properties) { *f(p) = Some(c.u16(name)) }

func (f u16Field) check(t Type, row *property, p *Properties) error {
	return checkZero(t, row, uint32(f(p).v))
}

func (f u16Field) append(dst []byte, id byte, p *Properties) []byte {
	return binary.BigEndian.AppendUint16(append(dst, id), f(p).v)
}

func (f u32Field) parse(c *cursor, name string, p *Properties) { *f(p) = Some(c.u32(name)) }

func (f u32Field) check(t Type, row *property, p *Properties) error {
	return checkZero(t, row, f(p).v)
}

func (f u32Field) append(dst []byte, id byte, p *Properties) []byte {
	return binary.BigEndian.AppendUint32(append(dst, id), f(p).v)
}

func (f textField) parse(c *cursor, name string, p *Properties) { *f(p) = Some(c.text(name)) }

func (f textField) check(t Type, row *property, p *Properties) error {
	return checkText(t, row.name, f(p).v)
}

func (f textField) append(dst []byte, id byte, p *Properties) []byte {
	return appendText(append(dst, id), f(p).v)
}

func (f blobField) parse(c *cursor, name string, p *Properties) { *f(p) = c.blob(name) }

func (f blobField) check(t Type, row *property, p *Properties) error {
	return checkBytes(t, row.name, *f(p))
}

func (f blobField) append(dst []byte, id byte, p *Properties) []byte {
	return appendBlob(append(dst, id), *f(p))
}

func (idsField) parse(c *cursor, name string, p *Properties) {
	p.SubscriptionIDs = append(p.SubscriptionIDs, c.varint(name))
}

func (idsField) check(t Type, row *property, p *Properties) error {
	for _, id := range p.SubscriptionIDs {
		if id > maxBody {
			return malformed(t, "the %s is above %d.", row.name, maxBody)
		}
		if err := checkZero(t, row, id); err != nil {
			return err
		}
	}
	return nil
}

func (idsField) append(dst []byte, id byte, p *Properties) []byte {
	for _, n := range p.SubscriptionIDs {
		dst = appendVarint(append(dst, id), int(n))
	}
	return dst
}

func (userField) parse(c *cursor, name string, p *Properties) {
	p.User = append(p.User, UserProperty{Key: c.text(name), Value: c.text(name)})
}

func (userField) check(t Type, row *property, p *Properties) error {
	for _, u := range p.User {
		if err := checkText(t, row.name, u.Key); err != nil {
			return err
		}
		if err := checkText(t, row.name, u.Value); err != nil {
			return err
		}
	}
	return nil
}

func (userField) append(dst []byte, id byte, p *Properties) []byte {
	for _, u := range p.User {
		dst = appendText(appendText(append(dst, id), u.Key), u.Value)
	}
	return dst
}

// checkZero refuses the zero of a property that must not be zero.
func checkZero(t Type, row *property, v uint32) error {
	if row.nonZero && v == 0 {
		return violation(t, "the %s must not be zero.", row.name)
	}
	return nil
}
