package sql

import (
	"fmt"
	"slices"
	"strings"
)

// A parser goes through the tokens once. Errors leave by panic and are caught
// in rescue, so that the grammar reads as such.
type parser struct {
	tokens []token
	depth  int
}

func newParser(text string) (*parser, error) {
	tokens, err := lex(text)
	return &parser{tokens: tokens}, err
}

func (p *parser) rescue(err *error) {
	switch v := recover().(type) {
	case nil:
	case *Error:
		*err = v
	default:
		panic(v)
	}
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{p.tokens[0].at, fmt.Sprintf(format, args...)})
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is says whether the next token is this sign, or this keyword in any case.
func (p *parser) is(what string) bool {
	t := p.peek()
	return t.kind == sign && t.text == what || t.kind == word && strings.EqualFold(t.text, what)
}

func (p *parser) accept(what string) bool {
	if !p.is(what) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(what string) {
	if !p.accept(what) {
		p.fail("Expected %s, found %s.", what, p.found())
	}
}

func (p *parser) found() string {
	if t := p.peek(); t.kind != end {
		return fmt.Sprintf("%q", t.text)
	}
	return "the end"
}

func (p *parser) end() {
	if p.peek().kind != end {
		p.fail("Unexpected %s.", p.found())
	}
}

// deeper bounds how far expressions nest.
func (p *parser) deeper() (back func()) {
	if p.depth++; p.depth > maxDepth {
		p.fail("Expressions nest deeper than %d.", maxDepth)
	}
	return func() { p.depth-- }
}

func (p *parser) statement() *Statement {
	s := &Statement{}
	p.expect("SELECT")
	p.what(&s.picked)
	p.expect("FROM")
	s.Filter = p.filter()
	if p.accept("WHERE") {
		s.where = p.expr()
	}
	p.end()
	return s
}

// endsItem says whether a token may follow a whole item, which makes the word
// before it a name.
func (p *parser) endsItem(t token) bool {
	return t.kind == end || t.kind == sign && slices.Contains([]string{",", ".", "=", "+"}, t.text) ||
		t.kind == word && (strings.EqualFold(t.text, "AS") || strings.EqualFold(t.text, "FROM"))
}

// filter reads what FROM names: one topic filter (MQTT 5.0, 4.7).
func (p *parser) filter() string {
	t := p.peek()
	if t.kind != text || t.text == "" {
		p.fail("Expected a topic filter in quotes, found %s.", p.found())
	}
	levels := strings.Split(t.text, "/")
	for i, l := range levels {
		if strings.Contains(l, "#") && (l != "#" || i != len(levels)-1) || strings.Contains(l, "+") && l != "+" {
			p.fail("Topic filter %q: + stands for a whole level, # for all that follow, at the end.", t.text)
		}
	}
	p.take()
	return t.text
}

func (p *parser) items() (out []item) {
	for {
		out = append(out, p.item())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) item() item {
	if p.is("*") {
		p.take()
		return item{all: true}
	}
	e := p.expr()
	it := item{expr: e, path: []string{nameOf(e)}}
	if p.accept("AS") {
		it.path = []string{p.name()}
		for p.accept(".") {
			it.path = append(it.path, p.name())
		}
	}
	return it
}

// selectable is an expression, or * for the whole payload.
func (p *parser) selectable() node {
	if p.accept("*") {
		return whole{}
	}
	return p.expr()
}

func (p *parser) name() string {
	t := p.peek()
	if t.kind != word && t.kind != text || t.text == "" {
		p.fail("Expected a name, found %s.", p.found())
	}
	return p.take().text
}

func (p *parser) expr() node {
	defer p.deeper()()
	return p.binary(0)
}

// levels are the binary operators, from the loosest on. NOT stands between
// logic and comparison.
var levels = [][]string{
	{"OR"}, {"AND"}, {"=", "<>", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/", "%"},
}

const comparison = 2

func (p *parser) binary(level int) node {
	if level == len(levels) {
		return p.unary()
	}
	if level == comparison && p.accept("NOT") {
		defer p.deeper()()
		return not{p.binary(comparison)}
	}
	left := p.binary(level + 1)
	for {
		i := slices.IndexFunc(levels[level], p.is)
		if i < 0 {
			return left
		}
		p.take()
		left = operation{levels[level][i], left, p.operand(level)}
	}
}

// operand is the right side of an operator.
func (p *parser) operand(level int) node {
	if level < comparison {
		return p.binary(level + 1)
	}
	defer p.deeper()()
	return p.binary(level + 1)
}

func (p *parser) unary() node {
	if p.accept("-") {
		defer p.deeper()()
		return operation{"-", literal{int64(0)}, p.unary()}
	}
	n := p.primary()
	for {
		switch {
		case p.accept("."):
			n = member{n, p.name()}
		case p.accept("["):
			n = element{n, p.expr()}
			p.expect("]")
		default:
			return n
		}
	}
}

func (p *parser) primary() node {
	switch t := p.peek(); {
	case t.kind == text:
		return literal{p.take().text}
	case t.kind == digits:
		return literal{number(p.take().text)}
	case p.accept("("):
		n := p.inBrackets()
		p.expect(")")
		return n
	case p.is("["):
		return p.array()
	case p.is("{"):
		return p.object()
	case p.is("CASE"):
		return p.choice()
	case t.kind == word:
		return p.named()
	}
	p.fail("Expected an expression, found %s.", p.found())
	return nil
}

// inBrackets reads an expression, or a query over an array.
func (p *parser) inBrackets() node {
	if !p.accept("SELECT") {
		return p.expr()
	}
	defer p.deeper()()
	var q query
	p.what(&q.picked)
	p.expect("FROM")
	q.from = p.expr()
	if p.accept("WHERE") {
		q.where = p.expr()
	}
	return q
}

// what reads that which stands between SELECT and FROM.
func (p *parser) what(to *picked) {
	if p.is("VALUE") && !p.endsItem(p.tokens[1]) {
		p.take()
		to.value = p.selectable()
		return
	}
	to.items = p.items()
}

// reserved words name no member unless they stand after a dot.
var reserved = []string{"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "WHEN", "THEN", "ELSE", "END"}

func (p *parser) named() node {
	t := p.peek()
	if slices.ContainsFunc(reserved, p.is) {
		p.fail("Expected an expression, found %s.", p.found())
	}
	p.take()
	switch strings.ToLower(t.text) {
	case "true":
		return literal{true}
	case "false":
		return literal{false}
	case "null":
		return literal{nil}
	case "undefined":
		return literal{Undefined}
	}
	if p.is("(") {
		return p.call(t)
	}
	return member{whole{}, t.text}
}

func (p *parser) call(name token) node {
	f, ok := functions[strings.ToLower(name.text)]
	if !ok {
		panic(&Error{name.at, fmt.Sprintf("There is no function %s here.", name.text)})
	}
	p.expect("(")
	c := call{name: name.text, f: f}
	for !p.accept(")") {
		if len(c.args) > 0 {
			p.expect(",")
		}
		if p.is("*") {
			p.take()
			c.args = append(c.args, whole{})
		} else {
			c.args = append(c.args, p.expr())
		}
		if p.accept("AS") { // cast(x AS Decimal)
			c.args = append(c.args, literal{p.name()})
		}
	}
	if n := len(c.args); n < f.least || n > f.most {
		panic(&Error{name.at, fmt.Sprintf("Function %s takes %s, not %d.", name.text, f.count(), n)})
	}
	return c
}

func (p *parser) array() node {
	p.expect("[")
	var a array
	for !p.accept("]") {
		if len(a) > 0 {
			p.expect(",")
		}
		a = append(a, p.expr())
	}
	return a
}

func (p *parser) object() node {
	p.expect("{")
	var o object
	for !p.accept("}") {
		if len(o) > 0 {
			p.expect(",")
		}
		name := p.name()
		p.expect(":")
		o = append(o, pair{name, p.expr()})
	}
	return o
}

// choice reads CASE v WHEN t THEN r … [ELSE r] END.
func (p *parser) choice() node {
	p.expect("CASE")
	c := choice{otherwise: literal{Undefined}}
	if !p.is("WHEN") {
		c.of = p.expr()
	}
	for p.accept("WHEN") {
		w := when{is: p.expr()}
		p.expect("THEN")
		w.then = p.expr()
		c.whens = append(c.whens, w)
	}
	if len(c.whens) == 0 {
		p.fail("Expected WHEN, found %s.", p.found())
	}
	if p.accept("ELSE") {
		c.otherwise = p.expr()
	}
	p.expect("END")
	return c
}
