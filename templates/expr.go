package templates

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// An expr is a place of the template that yields text, and a listExpr one
// that yields a list of texts (templates.md, section 5). Which of the two an
// intrinsic function is never depends on values, so Parse decides it.
//
// The nodes form a tree: none is shared, so one walk is linear in the size of
// the template. What evaluation builds is paid for from the scope's budget.
type (
	expr     interface{ eval(*scope) (string, error) }
	listExpr interface {
		list(*scope) ([]string, error)
	}
)

// A literal stands in the template as it is.
type literal string

func (l literal) eval(*scope) (string, error) { return string(l), nil }

// A paramRef is the value of a parameter, declared or supplied by the service.
type paramRef struct{ name, where string }

func (r paramRef) eval(s *scope) (string, error) {
	v, from := s.lookup(r.name)
	if from == nowhere {
		return "", s.unresolved(r.name, r.where)
	}
	if err := s.guard(r, v, from); err != nil {
		return "", err
	}
	return v, s.spend(len(v))
}

// A resourceRef is the name of another resource of the template.
type resourceRef struct{ logical string }

func (r resourceRef) eval(s *scope) (string, error) { return s.identity(r.logical) }

// join is Fn::Join.
type join struct {
	delim expr
	items listExpr
}

func (j join) eval(s *scope) (string, error) {
	delim, err := j.delim.eval(s)
	if err != nil {
		return "", err
	}
	items, err := j.items.list(s)
	if err != nil {
		return "", err
	}
	size := len(delim) * max(0, len(items)-1)
	for _, it := range items {
		size += len(it)
	}
	if err := s.spend(size); err != nil { // before it is built
		return "", err
	}
	return strings.Join(items, delim), nil
}

// choose is Fn::Select. A nil element stands for a null, which may stand in
// the list but not be chosen.
type choose struct {
	where string
	index expr
	of    []expr   // the list, or
	from  listExpr // what yields it
}

func (c choose) eval(s *scope) (string, error) {
	text, err := c.index.eval(s)
	if err != nil {
		return "", err
	}
	items, null, err := c.items(s)
	if err != nil {
		return "", err
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i >= len(items) {
		return "", c.fail("there is no element %q in a list of %d; the first is 0", arn.Clip(text, 40), len(items))
	}
	if null[i] {
		return "", c.fail("element %d is null", i)
	}
	return items[i], nil
}

func (c choose) fail(format string, args ...any) error {
	return wrong(c.where, "Fn::Select: "+format, args...)
}

// items evaluates the whole list: a reference that cannot be resolved is an
// error even where it is not chosen.
func (c choose) items(s *scope) (items []string, null map[int]bool, err error) {
	if c.from != nil {
		items, err = c.from.list(s)
		return items, nil, err
	}
	null = map[int]bool{}
	items = make([]string, len(c.of))
	for i, e := range c.of {
		if e == nil {
			null[i] = true
		} else if items[i], err = e.eval(s); err != nil {
			return nil, nil, err
		}
	}
	return items, null, nil
}

// find is Fn::FindInMap.
type find struct {
	where            string
	table, key, name expr
}

func (f find) eval(s *scope) (string, error) {
	var at [3]string
	for i, e := range [3]expr{f.table, f.key, f.name} {
		var err error
		if at[i], err = e.eval(s); err != nil {
			return "", err
		}
	}
	v, ok := s.t.mappings[at[0]][at[1]][at[2]]
	if !ok {
		return "", wrong(f.where, "Fn::FindInMap: Mappings has no %s.%s.%s",
			arn.Clip(at[0], 80), arn.Clip(at[1], 80), arn.Clip(at[2], 80))
	}
	return v, s.spend(len(v))
}

// sub is Fn::Sub. Each part is literal text followed by one of the values,
// or by none if its index is negative.
type sub struct {
	parts  []part
	values []expr
}

type part struct {
	text  string
	value int
}

func (b sub) eval(s *scope) (string, error) {
	values := make([]string, len(b.values))
	for i, e := range b.values {
		var err error
		if values[i], err = e.eval(s); err != nil {
			return "", err
		}
	}
	var out strings.Builder
	for _, p := range b.parts {
		add := ""
		if p.value >= 0 {
			add = values[p.value]
		}
		if err := s.spend(len(p.text) + len(add)); err != nil {
			return "", err
		}
		out.WriteString(p.text)
		out.WriteString(add)
	}
	return out.String(), nil
}

// A listOf is a list that the template writes out.
type listOf []expr

func (l listOf) list(s *scope) ([]string, error) {
	out := make([]string, len(l))
	for i, e := range l {
		var err error
		if out[i], err = e.eval(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// split is Fn::Split.
type split struct {
	where      string
	delim, src expr
}

func (p split) list(s *scope) ([]string, error) {
	delim, err := p.delim.eval(s)
	if err != nil {
		return nil, err
	}
	src, err := p.src.eval(s)
	if err != nil {
		return nil, err
	}
	if delim == "" {
		return nil, wrong(p.where, "Fn::Split: the delimiter is empty")
	}
	if err := s.spend(len(src) + overhead*strings.Count(src, delim)); err != nil {
		return nil, err
	}
	return strings.Split(src, delim), nil
}

// wrong is an error of evaluation at one place of the template.
func wrong(where, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidParameters, "%s: %s.", where, fmt.Sprintf(format, args...))
}
