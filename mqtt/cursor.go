package mqtt

import (
	"bytes"
	"encoding/binary"
)

// A cursor takes fields from the body of one packet. The first failure sticks:
// from then on there is nothing left to take and every field reads as zero, so
// a parse function may go on to its end without looking at err.
type cursor struct {
	rest  []byte
	t     Type  // names the packet in failures
	alias bool  // binary fields may share memory with rest
	err   error // an *Error, or nil
}

func (c *cursor) fail(err error) {
	if c.err == nil && err != nil {
		c.err, c.rest = err, nil
	}
}

// more says whether something is left to take.
func (c *cursor) more() bool { return len(c.rest) > 0 }

func (c *cursor) take(n int, field string) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.rest) {
		c.fail(malformed(c.t, "the %s needs %d bytes where %d are left.", field, n, len(c.rest)))
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) u8(field string) byte {
	if b := c.take(1, field); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16(field string) uint16 {
	if b := c.take(2, field); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32(field string) uint32 {
	if b := c.take(4, field); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// varint takes a variable byte integer, which must be in its shortest form
// (MQTT 5.0, 1.5.5).
func (c *cursor) varint(field string) uint32 {
	var n uint32
	for i := 0; i < 4; i++ {
		b := c.u8(field)
		n |= uint32(b&0x7f) << (7 * i)
		if b&0x80 != 0 {
			continue
		}
		if b == 0 && i > 0 {
			c.fail(malformed(c.t, "the %s is not in its shortest form.", field))
			return 0
		}
		return n
	}
	c.fail(malformed(c.t, "the %s is longer than 4 bytes.", field))
	return 0
}

// text takes a UTF-8 encoded string. Whether it is one is left to the packet's
// check.
func (c *cursor) text(field string) string {
	return string(c.take(int(c.u16(field)), field))
}

// blob takes binary data; it is never nil, since nil means absent.
func (c *cursor) blob(field string) []byte {
	return c.own(c.take(int(c.u16(field)), field))
}

// own gives b in memory that the packet may keep; it is never nil.
func (c *cursor) own(b []byte) []byte {
	switch {
	case b == nil:
		return []byte{}
	case c.alias:
		return b
	}
	return bytes.Clone(b)
}

// payload takes what is left, nil if that is nothing.
func (c *cursor) payload(n int, field string) []byte {
	if b := c.take(n, field); len(b) > 0 {
		return c.own(b)
	}
	return nil
}
