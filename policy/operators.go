package policy

import (
	"cmp"
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
		return ok && ok2 && is(cmp.Compare(g, w))
	}
}

func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.+-eE") != "" {
		return 0, false // no Inf, no NaN, no hexadecimal, no underscores
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0)
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
