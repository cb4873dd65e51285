package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// diagnose says where a payload that the CBOR library refused is wrong, in one
// or more sentences, or nothing if it finds no fault. It judges nothing that
// is accepted: it only explains. It walks the items of RFC 8949, section 3, by
// hand, because a device engineer is helped by "byte 29" and by the name of
// the member, and the library knows neither.
func diagnose(payload []byte) string {
	w := &walker{data: payload}
	w.whole()
	if w.wrong == "" {
		return ""
	}
	sentence := fmt.Sprintf("The CBOR is malformed at byte %d", w.at)
	if w.in != "" {
		sentence += fmt.Sprintf(", in %q", clip(w.in))
	}
	return sentence + ": " + w.wrong + "." + w.hint()
}

// A walker reads items until the first fault, which it keeps.
type walker struct {
	data []byte
	pos  int
	in   string // name of the top-level member being read

	keys []keyAt // of the top-level map, up to the fault

	at    int    // where the fault is
	wrong string // what it is; empty while there is none
}

// A keyAt is a top-level key: its header's offset, and what it spells.
type keyAt struct {
	header, start int
	name          string
}

func (w *walker) fail(at int, format string, args ...any) {
	if w.wrong == "" {
		w.at, w.wrong = at, fmt.Sprintf(format, args...)
	}
}

// whole walks a payload: one map and nothing behind it.
func (w *walker) whole() {
	if len(w.data) == 0 {
		w.fail(0, "there are no bytes, where a map is expected")
		return
	}
	w.item(1)
	if w.wrong == "" && w.pos < len(w.data) {
		w.fail(w.pos, "%d bytes follow the end of the map", len(w.data)-w.pos)
	}
}

const indefinite = 31 // RFC 8949, section 3.2

// head reads an item's first byte and argument.
func (w *walker) head() (major, info byte, n uint64) {
	start := w.pos
	if start >= len(w.data) {
		w.fail(start, "the payload ends where an item is expected")
		return 0, 0, 0
	}
	major, info = w.data[start]>>5, w.data[start]&31
	w.pos++
	switch {
	case info < 24:
		return major, info, uint64(info)
	case info <= 27:
		return major, info, w.argument(start, 1<<(info-24))
	case info == indefinite && major >= majorBytes && major != majorTag:
		return major, info, 0
	}
	w.fail(start, "0x%02x starts no item", w.data[start])
	return 0, 0, 0
}

func (w *walker) argument(start, size int) uint64 {
	if len(w.data)-w.pos < size {
		w.fail(start, "the payload ends inside this item's length")
		return 0
	}
	var b [8]byte
	copy(b[8-size:], w.data[w.pos:w.pos+size])
	w.pos += size
	return binary.BigEndian.Uint64(b[:])
}

// item walks one item. Depth counts as the library counts it.
func (w *walker) item(depth int) {
	start := w.pos
	major, info, n := w.head()
	if w.wrong != "" {
		return
	}
	if depth > maxCBORDepth && major >= majorArray && major <= majorTag {
		w.fail(start, "it is nested deeper than %d levels", maxCBORDepth)
		return
	}
	switch major {
	case majorBytes, majorText:
		w.str(start, major, info, n)
	case majorArray:
		w.items(start, info, n, "an array", func() { w.item(depth + 1) })
	case majorMap:
		w.pairs(start, info, n, depth)
	case majorTag:
		w.item(depth + 1)
	case majorSimple:
		w.simple(start, info, n)
	}
}

// simple checks a simple value (RFC 8949, section 3.3).
func (w *walker) simple(start int, info byte, n uint64) {
	switch {
	case info == indefinite:
		w.fail(start, "0xff ends something that was not begun")
	case info == 24 && n < 32:
		w.fail(start, "a simple value below 32 takes one byte, not two")
	}
}

// str walks a byte or text string and returns its bytes.
func (w *walker) str(start int, major, info byte, n uint64) []byte {
	if info == indefinite {
		return w.chunks(start, major)
	}
	noun := "text"
	if major == majorBytes {
		noun = "byte string"
	}
	left := len(w.data) - w.pos
	if n > uint64(left) {
		w.fail(start, "the %s says it has %d bytes, but %d follow", noun, n, left)
		return nil
	}
	b := w.data[w.pos : w.pos+int(n)]
	w.pos += int(n)
	if major == majorText && !utf8.Valid(b) {
		w.fail(start, "the %s of %d bytes is not UTF-8", noun, n)
	}
	return b
}

// chunks walks a string of indefinite length: definite ones of its own kind
// up to a break (section 3.2.3).
func (w *walker) chunks(start int, major byte) (whole []byte) {
	for w.wrong == "" && !w.brk() {
		at := w.pos
		m, info, n := w.head()
		if w.wrong == "" && (m != major || info == indefinite) {
			w.fail(at, "the string begun at byte %d has a part that is no string of its kind", start)
		}
		if w.wrong == "" {
			whole = append(whole, w.str(at, m, info, n)...)
		}
	}
	return whole
}

// brk takes the break that ends an item of indefinite length.
func (w *walker) brk() bool {
	if w.pos < len(w.data) && w.data[w.pos] == 0xff {
		w.pos++
		return true
	}
	return false
}

// items walks n members, or members up to a break.
func (w *walker) items(start int, info byte, n uint64, noun string, each func()) {
	for i := uint64(0); w.wrong == ""; i++ {
		switch {
		case info == indefinite && w.brk(), info != indefinite && i == n:
			return
		case i == maxCBORItems:
			w.fail(start, "%s has more than %d members", noun, maxCBORItems)
		case w.pos >= len(w.data) && info != indefinite:
			w.fail(w.pos, "the payload ends after %d of the %d members of %s begun at byte %d", i, n, noun, start)
		default:
			each()
		}
	}
}

func (w *walker) pairs(start int, info byte, n uint64, depth int) {
	seen := map[string]bool{}
	w.items(start, info, n, "a map", func() {
		key := w.key(depth)
		if w.wrong != "" {
			return
		}
		if seen[key.name] {
			w.fail(key.header, "the key %q stands twice in the same map", clip(key.name))
			return
		}
		seen[key.name] = true
		if depth == 1 {
			w.in = key.name
		}
		w.item(depth + 1)
		if depth == 1 && w.wrong == "" {
			w.in = ""
		}
	})
}

// key walks a map's key. Where this protocol looks into a map, keys are text;
// elsewhere they may be anything, and stand for themselves.
func (w *walker) key(depth int) (k keyAt) {
	k.header = w.pos
	major, info, n := w.head()
	if w.wrong != "" {
		return k
	}
	if major != majorText {
		return w.oddKey(k.header, depth)
	}
	k.start = w.pos
	k.name = string(w.str(k.header, major, info, n))
	if depth == 1 && info != indefinite {
		w.keys = append(w.keys, k)
	}
	return k
}

func (w *walker) oddKey(start, depth int) keyAt {
	if depth == 1 || depth == 2 && w.in == memberParameters {
		w.fail(start, "the key is not a text")
		return keyAt{}
	}
	w.pos = start
	w.item(depth + 1)
	return keyAt{header: start, name: string(w.data[start:w.pos])}
}
