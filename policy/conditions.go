package policy

// A condition is one operator and key with values, ready for binding.
type condition struct {
	*clause
	operator
	key    variable
	values []template
	arns   []arnTemplate
}

// A bound is one value of a condition with its variables replaced.
type bound struct {
	dead bool // a variable has no value: the value equals nothing
	text pattern
	arn  boundARN
}

func compileCondition(c *clause, variables bool) condition {
	op, _ := parseOperator(c.operator) // Parse refused what is not one
	out := condition{clause: c, operator: op}
	out.key, _ = parseVariable(c.key)
	for _, text := range c.values {
		l := lexing{wild: op.wild || op.arn, variables: variables}
		if op.arn {
			out.arns = append(out.arns, compileARN(text, l))
			continue
		}
		out.values = append(out.values, newTemplate(text, l))
	}
	return out
}

// holds says whether the condition is met by a request of the connection;
// connect says whether that is for iot:Connect, which alone has
// iot:ConnectAttributes and iot:LastWillTopic.
func (c *condition) holds(v *values, connect bool) bool {
	got := c.got(v, connect)
	if c.null {
		return c.wantsNull(v, len(got) == 0)
	}
	want := c.bind(v)
	switch {
	case c.quant == forAll:
		return c.every(got, want)
	case len(got) == 0:
		return c.ifExists || c.negate && c.quant != forAny
	case c.quant == forAny:
		return c.any(got, want)
	case c.negate:
		// A set under an operator without prefix: any of its values may meet
		// the test, so its opposite asks that none does.
		return c.every(got, want)
	}
	return c.any(got, want)
}

// got gives the values that the condition's key has for such a request.
func (c *condition) got(v *values, connect bool) []string {
	if c.key.perConnect() && !connect {
		return nil
	}
	return v.keyed(&c.key)
}

// unresolved adds the variables without value among the condition's values.
func (c *condition) unresolved(v *values, names []string) []string {
	for i := range c.values {
		names = c.values[i].unresolved(v, names)
	}
	for i := range c.arns {
		names = c.arns[i].unresolved(v, names)
	}
	return names
}

func (c *condition) wantsNull(v *values, absent bool) bool {
	for _, w := range c.bind(v) {
		if b, ok := parseBool(w.text.text); ok && !w.dead && b == absent {
			return true
		}
	}
	return false
}

func (c *condition) every(got []string, want []bound) bool {
	for _, g := range got {
		if c.meets(g, want) == c.negate {
			return false
		}
	}
	return true
}

func (c *condition) any(got []string, want []bound) bool {
	for _, g := range got {
		if c.meets(g, want) != c.negate {
			return true
		}
	}
	return false
}

// meets says whether any of the values fits; negation is its caller's.
func (c *condition) meets(got string, want []bound) bool {
	if c.nocase {
		got = fold(got)
	}
	for i := range want {
		if !want[i].dead && c.test(got, &want[i]) {
			return true
		}
	}
	return false
}

func (c *condition) bind(v *values) []bound {
	out := make([]bound, 0, len(c.values)+len(c.arns))
	for i := range c.arns {
		a := c.arns[i].bind(v, &[arnParts - 1]string{})
		out = append(out, bound{arn: a, dead: a.dead})
	}
	for i := range c.values {
		p, lacks := c.values[i].bind(v)
		if c.nocase {
			p = newPattern(fold(p.text))
		}
		out = append(out, bound{text: p, dead: lacks != nil})
	}
	return out
}
