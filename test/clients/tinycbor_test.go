package clients

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// A tinyCBOR reads CBOR as the Embedded C demos do: maps of definite length
// with text for keys, and what they look for as text or an unsigned number. It
// is written from RFC 8949, section 3, and knows nothing else, so that anything
// else is an error here.
type tinyCBOR struct{ rest []byte }

// readMap gives the one map that the payload is.
func readMap(payload []byte) (map[string]any, error) {
	c := &tinyCBOR{payload}
	v, err := c.item()
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok || len(c.rest) > 0 {
		return nil, fmt.Errorf("a %T, and %d bytes behind it", v, len(c.rest))
	}
	return m, nil
}

func (c *tinyCBOR) item() (any, error) {
	major, n, err := c.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case 0:
		return n, nil
	case 3:
		return c.text(n)
	case 5:
		return c.pairs(n)
	}
	return nil, fmt.Errorf("an item of major type %d", major)
}

// head takes a header of the shortest form; indefinite lengths have none.
func (c *tinyCBOR) head() (major byte, n uint64, err error) {
	if len(c.rest) == 0 {
		return 0, 0, fmt.Errorf("the payload ends too early")
	}
	first := c.rest[0]
	c.rest = c.rest[1:]
	major, n = first>>5, uint64(first&0x1F)
	if n < 24 {
		return major, n, nil
	}
	width := 1 << (n - 24)
	if n > 27 || len(c.rest) < width {
		return 0, 0, fmt.Errorf("header 0x%02x has no definite length", first)
	}
	var b [8]byte
	copy(b[8-width:], c.rest[:width])
	c.rest = c.rest[width:]
	n = binary.BigEndian.Uint64(b[:])
	if least := []uint64{1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]; n < least {
		return 0, 0, fmt.Errorf("%d is written in %d bytes", n, width)
	}
	return major, n, nil
}

func (c *tinyCBOR) text(n uint64) (string, error) {
	if n > uint64(len(c.rest)) || !utf8.Valid(c.rest[:n]) {
		return "", fmt.Errorf("a text of %d bytes is no UTF-8 or cut off", n)
	}
	s := string(c.rest[:n])
	c.rest = c.rest[n:]
	return s, nil
}

func (c *tinyCBOR) pairs(n uint64) (map[string]any, error) {
	m := map[string]any{}
	for range n {
		k, err := c.item()
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if _, twice := m[key]; !ok || twice {
			return nil, fmt.Errorf("the key %v is no text, or stands twice", k)
		}
		if m[key], err = c.item(); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return m, nil
}

// writeMap writes a map of text as the demos do, its keys in the given order.
func writeMap(pairs ...any) []byte {
	out := head(5, len(pairs)/2)
	for _, v := range pairs {
		switch v := v.(type) {
		case string:
			out = append(append(out, head(3, len(v))...), v...)
		case []byte: // a map, written already
			out = append(out, v...)
		}
	}
	return out
}

func head(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 256:
		return []byte{major<<5 | 24, byte(n)}
	}
	return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
}
