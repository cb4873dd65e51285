package policy

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A quantifier says how the values of a key that has several are treated.
type quantifier uint8

const (
	unquantified quantifier = iota
	forAll
	forAny
)

// A form is what the values of an operator are, if not any text.
type form uint8

const (
	formText form = iota
	formBool
	formNetwork
	formNumber
	formDate
)

// An operator is a condition operator's name taken apart: a test, perhaps its
// opposite, a quantifier, and what an absent key means.
type operator struct {
	test     func(got string, want *bound) bool
	negate   bool
	wild     bool // * and ? in the value are wildcards
	nocase   bool
	form     form
	arn      bool
	null     bool
	quant    quantifier
	ifExists bool
}

// operators are the names without prefix and suffix (policies.md, section 3).
var operators = map[string]operator{
	"StringEquals":              {test: equalText},
	"StringNotEquals":           {test: equalText, negate: true},
	"StringEqualsIgnoreCase":    {test: equalText, nocase: true},
	"StringNotEqualsIgnoreCase": {test: equalText, nocase: true, negate: true},
	"StringLike":                {test: likeText, wild: true},
	"StringNotLike":             {test: likeText, wild: true, negate: true},
	"StringLikeIgnoreCase":      {test: likeText, wild: true, nocase: true},
	"StringNotLikeIgnoreCase":   {test: likeText, wild: true, nocase: true, negate: true},
	"ArnEquals":                 {test: likeARN, arn: true},
	"ArnLike":                   {test: likeARN, arn: true},
	"ArnNotEquals":              {test: likeARN, arn: true, negate: true},
	"ArnNotLike":                {test: likeARN, arn: true, negate: true},
	"Bool":                      {form: formBool, test: equalBool},
	"IpAddress":                 {form: formNetwork, test: inNetwork},
	"NotIpAddress":              {form: formNetwork, test: inNetwork, negate: true},
	"NumericEquals":             {form: formNumber, test: numeric(func(c int) bool { return c == 0 })},
	"NumericNotEquals":          {form: formNumber, test: numeric(func(c int) bool { return c == 0 }), negate: true},
	"NumericLessThan":           {form: formNumber, test: numeric(func(c int) bool { return c < 0 })},
	"NumericLessThanEquals":     {form: formNumber, test: numeric(func(c int) bool { return c <= 0 })},
	"NumericGreaterThan":        {form: formNumber, test: numeric(func(c int) bool { return c > 0 })},
	"NumericGreaterThanEquals":  {form: formNumber, test: numeric(func(c int) bool { return c >= 0 })},
	"DateEquals":                {form: formDate, test: date(func(c int) bool { return c == 0 })},
	"DateNotEquals":             {form: formDate, test: date(func(c int) bool { return c == 0 }), negate: true},
	"DateLessThan":              {form: formDate, test: date(func(c int) bool { return c < 0 })},
	"DateLessThanEquals":        {form: formDate, test: date(func(c int) bool { return c <= 0 })},
	"DateGreaterThan":           {form: formDate, test: date(func(c int) bool { return c > 0 })},
	"DateGreaterThanEquals":     {form: formDate, test: date(func(c int) bool { return c >= 0 })},
	"Null":                      {null: true},
}

// parseOperator takes ForAllValues:StringLikeIfExists apart. Null asks whether a
// key exists, so it takes neither prefix nor suffix.
func parseOperator(name string) (operator, bool) {
	base, quant, ifExists := name, unquantified, false
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, quant = rest, forAll
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, quant = rest, forAny
	}
	base, ifExists = strings.CutSuffix(base, "IfExists")
	op, ok := operators[base]
	if op.null && (quant != unquantified || ifExists) {
		return operator{}, false
	}
	op.quant, op.ifExists = quant, ifExists
	return op, ok
}

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

func equalText(got string, want *bound) bool { return got == want.text.text }

func likeText(got string, want *bound) bool { return want.text.match(got) }

func likeARN(got string, want *bound) bool { return want.arn.match(request{whole: got}) }

func equalBool(got string, want *bound) bool {
	g, ok := parseBool(got)
	w, ok2 := parseBool(want.text.text)
	return ok && ok2 && g == w
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// inNetwork compares an address with a network (203.0.113.0/24) or a single
// address.
func inNetwork(got string, want *bound) bool {
	ip, err := netip.ParseAddr(got)
	if err != nil {
		return false
	}
	net, ok := parseNetwork(want.text.text)
	return ok && net.Contains(ip.Unmap())
}

func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()), true
}

// numeric compares numbers; what is not a number meets no comparison.
func numeric(is func(int) bool) func(string, *bound) bool {
	return func(got string, want *bound) bool {
		g, ok := parseNumber(got)
		w, ok2 := parseNumber(want.text.text)
		return ok && ok2 && is(compare(g, w))
	}
}

func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.+-eE") != "" {
		return 0, false // no Inf, no NaN, no hexadecimal, no underscores
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// date compares points in time; what is not a date meets no comparison.
func date(is func(int) bool) func(string, *bound) bool {
	return func(got string, want *bound) bool {
		g, ok := parseDate(got)
		w, ok2 := parseDate(want.text.text)
		return ok && ok2 && is(g.Compare(w))
	}
}

// parseDate reads the forms of ISO 8601 that IAM takes, or seconds since 1970.
func parseDate(s string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(sec, 0), true
}
