// Package sql is the language of topic rules: the subset of AWS IoT SQL that
// provisioning uses (hooks-and-events.md, section 7.2).
//
// A statement is parsed once and run over each message. Running knows no
// errors: what cannot be computed is Undefined, an Undefined item is left out
// of the output, and WHERE passes on true alone.
package sql

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Statement is a parsed rule.
type Statement struct {
	Filter string // of FROM, with MQTT's wildcards
	picked
	where node // nil: every message passes
}

// picked is what stands between SELECT and FROM.
type picked struct {
	items []item
	value node // of SELECT VALUE; nil otherwise
}

func (p picked) pick(m *Message) Value {
	if p.value != nil {
		return p.value.eval(m)
	}
	out := map[string]any{}
	for _, it := range p.items {
		it.put(out, m)
	}
	return out
}

// An item is one part of what SELECT gives.
type item struct {
	all  bool     // *
	expr node     // unless all
	path []string // where the value goes: AS a.b, or what the expression is called
}

// A Message is what a statement runs over, and what its functions may ask.
type Message struct {
	Topic     string
	Payload   []byte
	ClientID  string // empty: not from an MQTT client
	Principal string // certificate id; empty: Undefined
	Account   string
	TraceID   string
	Now       time.Time
	NewUUID   func() string

	tree any // of the payload, once it was looked at
	read bool
}

// An Error says what is wrong with a statement, and where.
type Error struct {
	At   int // byte of the text, from 0
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.At+1, e.Text) }

// maxText and maxDepth bound what Parse takes (rest-api.md, section 6: an SQL
// text has no bound in the model, a payload has 128 KiB).
const (
	maxText  = 64 << 10
	maxDepth = 64
)

// Parse reads a statement. Its errors are *Error.
func Parse(text string) (s *Statement, err error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	defer p.rescue(&err)
	return p.statement(), nil
}

// ParseExpr reads one expression, such as stands in ${…}.
func ParseExpr(text string) (e *Expr, err error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	defer p.rescue(&err)
	n := p.expr()
	p.end()
	return &Expr{n}, nil
}

// An Expr is one parsed expression.
type Expr struct{ node node }

// Eval gives the expression's value over a message.
func (e *Expr) Eval(m *Message) Value { return e.node.eval(m) }

// Run gives the bytes that the statement makes of a message; false when the
// message does not pass.
func (s *Statement) Run(m *Message) ([]byte, bool) {
	if s.where != nil && truth(s.where.eval(m)) != true {
		return nil, false
	}
	if len(s.items) == 1 && s.items[0].all {
		return m.Payload, true
	}
	v := s.pick(m)
	if raw, ok := v.([]byte); ok {
		return raw, true
	}
	return encode(v)
}

func (it item) put(out map[string]any, m *Message) {
	if it.all {
		if members, ok := m.root().(map[string]any); ok {
			for k, v := range members {
				out[k] = v
			}
		}
		return
	}
	v := it.expr.eval(m)
	if v == Undefined {
		return
	}
	for _, name := range it.path[:len(it.path)-1] {
		inner, ok := out[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			out[name] = inner
		}
		out = inner
	}
	out[it.path[len(it.path)-1]] = v
}

// encode writes JSON. Undefined alone is no output.
func encode(v any) ([]byte, bool) {
	if v == Undefined {
		return nil, false
	}
	b, err := json.Marshal(v)
	return b, err == nil
}
