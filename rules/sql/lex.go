package sql

import (
	"strings"
	"unicode/utf8"
)

type kind int

const (
	end    kind = iota
	word        // a name or a keyword
	text        // '…' or "…"
	digits      // 12, 1.5
	sign        // ( ) , . * = <> …
)

// A token is one word of a statement.
type token struct {
	kind kind
	at   int
	text string // of a text, without its quotes
}

// signs from the longest on.
var signs = []string{"<>", "<=", ">=", "!=", "(", ")", "{", "}", "[", "]", ",", ".", ":", "*", "=", "<", ">", "+", "-", "/", "%"}

// lex cuts a text into tokens; the last one is end.
func lex(s string) ([]token, error) {
	if len(s) > maxText {
		return nil, &Error{maxText, "The statement is too long."}
	}
	if !utf8.ValidString(s) {
		return nil, &Error{0, "The statement is not UTF-8."}
	}
	var out []token
	for at := 0; ; {
		at += len(s[at:]) - len(strings.TrimLeft(s[at:], " \t\r\n"))
		if at == len(s) {
			return append(out, token{end, at, ""}), nil
		}
		t, n, err := next(s, at)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		at += n
	}
}

// next cuts the token at a place that is no space, and says how long it is.
func next(s string, at int) (token, int, error) {
	rest := s[at:]
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return quoted(s, at)
	case isLetter(c):
		n := span(rest, func(c byte) bool { return isLetter(c) || isDigit(c) })
		return token{word, at, rest[:n]}, n, nil
	case isDigit(c):
		n := span(rest, isDigit)
		if n+1 < len(rest) && rest[n] == '.' && isDigit(rest[n+1]) {
			n += 1 + span(rest[n+1:], isDigit)
		}
		return token{digits, at, rest[:n]}, n, nil
	}
	for _, g := range signs {
		if strings.HasPrefix(rest, g) {
			return token{sign, at, g}, len(g), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, 0, &Error{at, "Unexpected " + string(r) + "."}
}

// quoted cuts a text; its own quote stands twice in it.
func quoted(s string, at int) (token, int, error) {
	q := s[at]
	var b strings.Builder
	for i := at + 1; i < len(s); i++ {
		switch {
		case s[i] != q:
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == q:
			b.WriteByte(q)
			i++
		default:
			return token{text, at, b.String()}, i + 1 - at, nil
		}
	}
	return token{}, 0, &Error{at, "This quote is never closed."}
}

func span(s string, in func(byte) bool) (n int) {
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= utf8.RuneSelf
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
