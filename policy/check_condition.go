package policy

import (
	"fmt"
	"strings"
)

// condition checks one operator and key.
func (c *checker) condition(x *condition) {
	add := func(s Severity, format string, args ...any) {
		c.add(Finding{Severity: s, Where: x.where, Text: fmt.Sprintf(format, args...)})
	}
	_, known := parseVariable(x.clause.key)
	only := x.key.action()
	switch {
	case !known:
		add(Doubtful, "There is no condition key %s: it never has a value.", x.clause.key)
	case x.key.of == nowhere:
		add(Hint, "%s never has a value here.", x.clause.key)
	case only != unknownAction && c.s.known&^(1<<only) != 0:
		add(Doubtful, "%s has a value for %[2]s alone; the statement names other actions too. Give %[2]s a statement of its own.", x.clause.key, knownActions[only].fullName())
	case !x.key.many() && x.quant == forAll && !c.s.deny:
		add(Doubtful, "%s holds one value, and ForAllValues: is also true when it has none. Write %s.", x.clause.key, strings.TrimPrefix(x.clause.operator, "ForAllValues:"))
	}
	if x.key.many() && x.quant == unquantified && !x.null {
		add(Doubtful, "%s holds several values: write ForAllValues:%s or ForAnyValue:%s.", x.clause.key, x.clause.operator, x.clause.operator)
	}
	for _, text := range x.clause.values {
		c.variablesIn(text, x.where, "")
		if want := x.operator.expects(text); want != "" && !strings.Contains(text, "${") {
			add(Broken, "%s expects %s, got %q, which nothing equals.", x.clause.operator, want, text)
		}
	}
}

// expects says what form a value needs that the operator cannot use, or
// nothing.
func (o operator) expects(text string) string {
	ok, want := true, ""
	switch {
	case o.null:
		_, ok = parseBool(text)
		want = `"true" or "false"`
	case o.arn:
		_, ok = splitARN(text, true)
		ok, want = ok || text == "*", "an ARN"
	case o.form == formBool:
		_, ok = parseBool(text)
		want = `"true" or "false"`
	case o.form == formNetwork:
		_, ok = parseNetwork(text)
		want = "an address or a network such as 203.0.113.0/24"
	case o.form == formNumber:
		_, ok = parseNumber(text)
		want = "a number"
	case o.form == formDate:
		_, ok = parseDate(text)
		want = "a date such as 2026-01-31T12:00:00Z"
	}
	if ok {
		return ""
	}
	return want
}
