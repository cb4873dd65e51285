package templates

import (
	"strings"

	"github.com/slipway-iot/slipway/wire/strict"
)

// sub compiles Fn::Sub in both forms: "text ${Name}", and the list of such a
// text with an object of variables, which come before parameters.
func (c *compiler) sub(arg *strict.Value) (expr, error) {
	b := subBuilder{c: c, at: arg, vars: map[string]*strict.Value{}, index: map[string]int{}}
	text := arg
	if arg.Kind == strict.Array && len(arg.Items) == 2 {
		text = arg.Items[0]
		if arg.Items[1].Kind != strict.Object || looksLikeFunction(arg.Items[1]) {
			return nil, bad(arg.Items[1], "the variables of Fn::Sub are an object of names and values.")
		}
		for _, m := range arg.Items[1].Members {
			b.vars[m.Key] = m.Value
		}
	}
	if text.Kind != strict.String {
		return nil, malformed(arg, "Fn::Sub", `"text ${Name}" or ["text ${Name}", {"Name": value}]`)
	}
	return b.build(text.Text)
}

// A subBuilder cuts the text of one Fn::Sub into parts. A variable that
// stands several times in the text is compiled, and later evaluated, once.
type subBuilder struct {
	c     *compiler
	at    *strict.Value
	vars  map[string]*strict.Value
	out   sub
	index map[string]int // of a variable, in out.values
}

// build reads the text from left to right. ${!Name} stands for ${Name}, and
// the variables of policies pass untouched: they are the broker's to fill in.
func (b *subBuilder) build(text string) (expr, error) {
	plain := ""
	for {
		before, rest, found := strings.Cut(text, "${")
		plain += before
		if !found {
			b.out.parts = append(b.out.parts, part{plain, -1})
			return b.out, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, bad(b.at, "the text of Fn::Sub has ${ without }.")
		}
		text = after
		if own, ok := strings.CutPrefix(name, "!"); ok {
			plain += "${" + own + "}"
			continue
		}
		if policyVariable(name) {
			plain += "${" + name + "}"
			continue
		}
		i, err := b.value(name)
		if err != nil {
			return nil, err
		}
		b.out.parts = append(b.out.parts, part{plain, i})
		plain = ""
	}
}

// value compiles the variable called name, or finds it compiled.
func (b *subBuilder) value(name string) (int, error) {
	if i, ok := b.index[name]; ok {
		return i, nil
	}
	var e expr
	var err error
	if v := b.vars[name]; v != nil {
		e, err = b.c.text(v)
	} else if name == "" {
		err = bad(b.at, "the text of Fn::Sub has ${} without a name.")
	} else {
		e, err = b.c.name(b.at, name)
	}
	if err != nil {
		return 0, err
	}
	b.out.values = append(b.out.values, e)
	b.index[name] = len(b.out.values) - 1
	return b.index[name], nil
}

// policyVariable says whether ${name} belongs to the language of policies.
func policyVariable(name string) bool {
	return strings.HasPrefix(name, "iot:") || strings.HasPrefix(name, "aws:") || strings.HasPrefix(name, "cognito")
}
