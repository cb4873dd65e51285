package mqtt

import "encoding/binary"

func appendText(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendBlob(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b)))
	return append(dst, b...)
}

// varintLen is the number of bytes that appendVarint writes.
func varintLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// appendVarint writes a variable byte integer (MQTT 5.0, 1.5.5) of at most
// maxBody.
func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// reserve leaves room on dst for the length of what will be written next, and
// gives the place where that begins. The hint is a lower bound of the length:
// if it is good, settle has nothing to move.
func reserve(dst []byte, hint int) (out []byte, at int) {
	var room [4]byte
	out = append(dst, room[:varintLen(hint)]...)
	return out, len(out)
}

// settle writes the length of dst[at:] into the room before it, moving dst[at:]
// up if the room is too small. The hint is the one given to reserve.
func settle(dst []byte, at, hint int) []byte {
	n, room := len(dst)-at, varintLen(hint)
	if short := varintLen(n) - room; short > 0 {
		var more [4]byte
		dst = append(dst, more[:short]...)
		copy(dst[at+short:], dst[at:at+n])
	}
	appendVarint(dst[:at-room], n)
	return dst
}

// flag gives mask if set, else no bits.
func flag(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}
