package sql

import "strings"

// A Template is text with ${expressions} in it, as the fields of actions are
// (hooks-and-events.md, section 7.3).
type Template struct {
	texts []string // one more than exprs
	exprs []*Expr
}

// ParseTemplate reads a template. Its errors are *Error.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	for at := 0; ; {
		open := strings.Index(text[at:], "${")
		if open < 0 {
			t.texts = append(t.texts, text[at:])
			return t, nil
		}
		open += at
		length := closing(text[open+2:])
		if length < 0 {
			return nil, &Error{open, "This ${ is never closed."}
		}
		e, err := ParseExpr(text[open+2 : open+2+length])
		if err != nil {
			inner, ok := err.(*Error)
			if !ok {
				return nil, err
			}
			return nil, &Error{open + 2 + inner.At, inner.Text}
		}
		t.texts, t.exprs = append(t.texts, text[at:open]), append(t.exprs, e)
		at = open + 2 + length + 1
	}
}

// closing finds the brace that ends an expression: not one in a text, and not
// that of an object.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// Fill puts the values over a message in place; false when one is Undefined.
func (t *Template) Fill(m *Message) (string, bool) {
	var b strings.Builder
	for i, e := range t.exprs {
		b.WriteString(t.texts[i])
		s, ok := toText(e.Eval(m))
		if !ok {
			return "", false
		}
		b.WriteString(s)
	}
	b.WriteString(t.texts[len(t.exprs)])
	return b.String(), true
}
