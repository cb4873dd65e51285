package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// In the text of a pattern these bytes stand for the wildcards. Neither occurs
// in UTF-8, so no literal text can be taken for one.
const (
	anyRun  = '\xff' // any run of characters, of any length
	oneChar = '\xfe' // exactly one character
)

// A pattern is a text with wildcards, ready to be compared.
type pattern struct {
	text    string
	literal int // how many bytes stand before the first wildcard
}

func newPattern(text string) pattern {
	for i := 0; i < len(text); i++ {
		if text[i] >= oneChar {
			return pattern{text, i}
		}
	}
	return pattern{text, len(text)}
}

// match says whether the pattern describes the whole of s. Its time is bounded
// by the product of the two lengths, and by their sum where no ? stands: between
// two stars the leftmost fit is always as good as any other, so nothing is tried
// twice.
func (p pattern) match(s string) bool {
	if len(s) < p.literal || s[:p.literal] != p.text[:p.literal] {
		return false
	}
	rest, s := p.text[p.literal:], s[p.literal:]
	if len(rest) == 0 {
		return len(s) == 0
	}
	if rest == "\xff" {
		return true
	}
	return matchRuns(rest, s)
}

// matchRuns compares the pieces between stars in order: the first must stand at
// the start, the last at the end, each other at its leftmost place.
func matchRuns(rest, s string) bool {
	star := strings.IndexByte(rest, anyRun)
	if star < 0 {
		n, ok := prefix(rest, s)
		return ok && n == len(s)
	}
	n, ok := prefix(rest[:star], s)
	if !ok {
		return false
	}
	rest, s = rest[star+1:], s[n:]
	for {
		star = strings.IndexByte(rest, anyRun)
		if star < 0 {
			return suffix(rest, s)
		}
		end := find(rest[:star], s)
		if end < 0 {
			return false
		}
		rest, s = rest[star+1:], s[end:]
	}
}

// prefix says whether s begins with piece, and how many bytes that takes.
func prefix(piece, s string) (int, bool) {
	at := 0
	for i := 0; i < len(piece); i++ {
		if at == len(s) {
			return 0, false
		}
		if piece[i] == oneChar {
			_, n := utf8.DecodeRuneInString(s[at:])
			at += n
			continue
		}
		if piece[i] != s[at] {
			return 0, false
		}
		at++
	}
	return at, true
}

// suffix says whether s ends with piece.
func suffix(piece, s string) bool {
	end := len(s)
	for i := len(piece) - 1; i >= 0; i-- {
		if end == 0 {
			return false
		}
		if piece[i] == oneChar {
			_, n := utf8.DecodeLastRuneInString(s[:end])
			end -= n
			continue
		}
		if piece[i] != s[end-1] {
			return false
		}
		end--
	}
	return true
}

// find gives the end of the leftmost place in s where piece stands, or -1.
func find(piece, s string) int {
	if strings.IndexByte(piece, oneChar) < 0 {
		i := strings.Index(s, piece)
		if i < 0 {
			return -1
		}
		return i + len(piece)
	}
	for at := 0; at < len(s); {
		if n, ok := prefix(piece, s[at:]); ok {
			return at + n
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		at += n
	}
	return -1
}

// fold makes texts comparable without case and leaves wildcards alone.
func fold(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b.WriteByte(s[0])
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
		s = s[n:]
	}
	return b.String()
}

// arnParts is how many parts an ARN has. The last holds everything after the
// account, colons included.
const arnParts = 6

// splitARN takes a text apart at its first five colons. With variables, a colon
// within ${…} is part of a name.
func splitARN(s string, variables bool) (seg [arnParts]string, ok bool) {
	for i := 0; i < arnParts-1; i++ {
		end := colon(s, variables)
		if end < 0 {
			return seg, false
		}
		seg[i], s = s[:end], s[end+1:]
	}
	seg[arnParts-1] = s
	return seg, true
}

func colon(s string, variables bool) int {
	for i := 0; i < len(s); i++ {
		if variables && strings.HasPrefix(s[i:], "${") {
			if end := strings.IndexByte(s[i:], '}'); end > 0 {
				i += end
				continue
			}
		}
		if s[i] == ':' {
			return i
		}
	}
	return -1
}

// A request is a resource as Decide sees it. Nearly all requests are for the
// connection's own account, and then only the tail needs comparing.
type request struct {
	whole string
	home  bool   // it begins with the tenant's arn:aws:iot:REGION:ACCOUNT:
	tail  string // what follows, if home
}

// A boundARN is one resource pattern of one connection. The parts are compared
// one by one, so that no wildcard reaches across a colon: a client id that holds
// ":topic/secret" cannot make a pattern of one type match another.
type boundARN struct {
	any   bool // the pattern is "*"
	dead  bool // it matches nothing: it is no ARN, or a variable has no value
	home  bool // the first five parts match the tenant's
	tail  pattern
	head  *[arnParts - 1]pattern // for resources elsewhere; nil if any or dead
	lacks *variable              // the first one without value
}

func (b *boundARN) match(r request) bool {
	switch {
	case b.any:
		return true
	case b.dead:
		return false
	case r.home:
		return b.home && b.tail.match(r.tail)
	}
	return b.matchElsewhere(r.whole)
}

func (b *boundARN) matchElsewhere(whole string) bool {
	p := strings.SplitN(whole, ":", arnParts)
	if len(p) != arnParts {
		return false
	}
	for i := range b.head {
		if !b.head[i].match(p[i]) {
			return false
		}
	}
	return b.tail.match(p[arnParts-1])
}
