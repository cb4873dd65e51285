package sql

import "math"

// A node is one part of an expression.
type node interface{ eval(*Message) Value }

type (
	whole   struct{} // the payload
	literal struct{ v Value }
	member  struct {
		of   node
		name string
	}
	element struct{ of, at node }
	not     struct{ of node }
	// An operation has two sides.
	operation struct {
		op          string
		left, right node
	}
	array  []node
	object []pair
	pair   struct {
		name string
		v    node
	}
	call struct {
		name string
		f    function
		args []node
	}
	choice struct {
		of        node // nil: each WHEN is a condition
		whens     []when
		otherwise node
	}
	when struct{ is, then node }
	// A query picks from each element of an array.
	query struct {
		picked
		from, where node
	}
)

// eval makes an array of what is picked from the elements that pass; each
// stands where the payload stands outside.
func (q query) eval(m *Message) Value {
	list, ok := q.from.eval(m).([]any)
	if !ok {
		return Undefined
	}
	out := []any{}
	for _, e := range list {
		inner := *m
		inner.tree, inner.read = e, true
		if q.where != nil && truth(q.where.eval(&inner)) != true {
			continue
		}
		if v := q.pick(&inner); v != Undefined {
			out = append(out, v)
		}
	}
	return out
}

// nameOf is what an item without AS is called: the member, or the function.
func nameOf(n node) string {
	switch n := n.(type) {
	case member:
		return n.name
	case call:
		return n.name
	}
	return "value"
}

func (whole) eval(m *Message) Value     { return m.root() }
func (l literal) eval(*Message) Value   { return l.v }
func (n member) eval(m *Message) Value  { return memberOf(n.of.eval(m), n.name) }
func (n element) eval(m *Message) Value { return elementOf(n.of.eval(m), n.at.eval(m)) }

func memberOf(of Value, name string) Value {
	members, ok := of.(map[string]any)
	if !ok {
		return Undefined
	}
	v, there := members[name]
	if !there {
		return Undefined
	}
	return v
}

// elementOf gives a member by a text, or an element by its number, from 0.
func elementOf(of, at Value) Value {
	if name, ok := at.(string); ok {
		if s, isText := of.(string); isText {
			return elementOf(s, decimalIndex(name))
		}
		return memberOf(of, name)
	}
	i, ok := at.(int64)
	if !ok || i < 0 {
		return Undefined
	}
	switch of := of.(type) {
	case []any:
		if i < int64(len(of)) {
			return of[i]
		}
	case string:
		if r := []rune(of); i < int64(len(r)) {
			return string(r[i])
		}
	}
	return Undefined
}

func decimalIndex(text string) Value {
	if v, ok := number(text).(int64); ok {
		return v
	}
	return Undefined
}

func (n not) eval(m *Message) Value {
	if b, ok := truth(n.of.eval(m)).(bool); ok {
		return !b
	}
	return Undefined
}

func (a array) eval(m *Message) Value {
	out := make([]any, 0, len(a))
	for _, n := range a {
		v := n.eval(m)
		if v == Undefined {
			v = nil
		}
		out = append(out, v)
	}
	return out
}

func (o object) eval(m *Message) Value {
	out := make(map[string]any, len(o))
	for _, p := range o {
		if v := p.v.eval(m); v != Undefined {
			out[p.name] = v
		}
	}
	return out
}

func (c choice) eval(m *Message) Value {
	for _, w := range c.whens {
		is := w.is.eval(m)
		if c.of == nil {
			if truth(is) == true {
				return w.then.eval(m)
			}
			continue
		}
		if of := c.of.eval(m); of != Undefined && is != Undefined && equal(of, is) {
			return w.then.eval(m)
		}
	}
	return c.otherwise.eval(m)
}

func (o operation) eval(m *Message) Value {
	switch o.op {
	case "AND", "OR":
		return o.logic(m)
	}
	a, b := o.left.eval(m), o.right.eval(m)
	if a == Undefined || b == Undefined {
		return Undefined
	}
	switch o.op {
	case "=":
		return equal(a, b)
	case "<>", "!=":
		return !equal(a, b)
	case "<", "<=", ">", ">=":
		return ordered(o.op, a, b)
	}
	return arithmetic(o.op, a, b)
}

// logic asks the right side only when the left one does not decide.
func (o operation) logic(m *Message) Value {
	decides := o.op == "OR"
	a, ok := truth(o.left.eval(m)).(bool)
	if ok && a == decides {
		return a
	}
	b, bOK := truth(o.right.eval(m)).(bool)
	switch {
	case bOK && b == decides:
		return b
	case ok && bOK:
		return b
	}
	return Undefined
}

// ordered compares as decimals; what converts to none is Undefined.
func ordered(op string, a, b Value) Value {
	x, ok := toFloat(a)
	y, bOK := toFloat(b)
	if !ok || !bOK {
		return Undefined
	}
	switch op {
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	}
	return x >= y
}

// arithmetic keeps integers while they fit. + joins texts.
func arithmetic(op string, a, b Value) Value {
	_, aText := a.(string)
	_, bText := b.(string)
	if op == "+" && (aText || bText) {
		x, ok := toText(a)
		y, bOK := toText(b)
		if !ok || !bOK {
			return Undefined
		}
		return x + y
	}
	x, xInt := a.(int64)
	y, yInt := b.(int64)
	if xInt && yInt {
		if v, ok := integers(op, x, y); ok {
			return v
		}
	}
	return decimals(op, a, b)
}

// integers computes without overflow, or not at all.
func integers(op string, x, y int64) (Value, bool) {
	const half = math.MaxInt32
	small := x <= half && x >= -half && y <= half && y >= -half
	switch {
	case y == 0 && (op == "/" || op == "%"):
		return Undefined, true
	case op == "%" && y != -1:
		return x % y, true
	case op == "/" && y != -1 && x%y == 0:
		return x / y, true
	case !small:
		return nil, false
	case op == "+":
		return x + y, true
	case op == "-":
		return x - y, true
	case op == "*":
		return x * y, true
	}
	return nil, false
}

func decimals(op string, a, b Value) Value {
	x, ok := toFloat(a)
	y, bOK := toFloat(b)
	if !ok || !bOK {
		return Undefined
	}
	var f float64
	switch op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		f = x / y
	case "%":
		f = math.Mod(x, y)
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return Undefined
	}
	return f
}
