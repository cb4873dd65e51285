package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The oracle is a second evaluator, written from spec/policies.md alone, slow
// and obvious: it walks the JSON of the documents again for every question, and
// compares character by character. The package is held against it.

// facts are the values of a connection by lower-case variable name. Names that
// stand for sets are in sets.
type facts struct {
	values map[string][]string
	sets   map[string][]string
}

// verdict is what the oracle answers; policy and statement are -1 if no
// statement decided.
type verdict struct {
	allowed, explicit bool
	policy, statement int
}

// ask follows policies.md, section 4: the first Deny that applies, else the
// first Allow.
func (f facts) ask(docs []string, action, resource string) verdict {
	allow := verdict{policy: -1, statement: -1}
	for i, doc := range docs {
		var d map[string]any
		if err := json.Unmarshal([]byte(doc), &d); err != nil {
			panic(err)
		}
		variables := d["Version"] == "2012-10-17"
		for j, s := range listOf(d["Statement"]) {
			st := s.(map[string]any)
			if !f.applies(st, variables, action, resource) {
				continue
			}
			if st["Effect"] == "Deny" {
				return verdict{false, true, i, j}
			}
			if !allow.allowed {
				allow = verdict{true, false, i, j}
			}
		}
	}
	return allow
}

func (f facts) applies(st map[string]any, variables bool, action, resource string) bool {
	return f.actionFits(st, action) && f.resourceFits(st, variables, resource) && f.conditionsHold(st, variables, action)
}

func (f facts) actionFits(st map[string]any, action string) bool {
	list, plain := st["Action"]
	if !plain {
		list = st["NotAction"]
	}
	names := []string{action}
	// policies.md, section 1: the jobs actions go by two prefixes.
	for _, job := range []string{"DescribeJobExecution", "GetPendingJobExecutions", "UpdateJobExecution", "StartNextPendingJobExecution"} {
		for _, prefix := range []string{"iot:", "iotjobsdata:"} {
			if strings.EqualFold(action, prefix+job) {
				names = []string{"iot:" + job, "iotjobsdata:" + job}
			}
		}
	}
	for _, p := range listOf(list) {
		for _, n := range names {
			if tokensMatch(f.tokens(strings.ToLower(p.(string)), false, true), strings.ToLower(n)) {
				return plain
			}
		}
	}
	return !plain
}

func (f facts) resourceFits(st map[string]any, variables bool, resource string) bool {
	list, plain := st["Resource"]
	if !plain {
		list = st["NotResource"]
	}
	for _, p := range listOf(list) {
		if f.arnFits(p.(string), variables, resource) {
			return plain
		}
	}
	return !plain
}

// arnFits compares part by part: wildcards do not reach across the five colons
// of an ARN.
func (f facts) arnFits(pattern string, variables bool, resource string) bool {
	if pattern == "*" {
		return true
	}
	tokens := f.tokens(pattern, variables, true)
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) != 6 || tokens == nil {
		return false
	}
	for i := 0; i < 5; i++ {
		cut := slices.Index(tokens, token{char: ":"})
		if cut < 0 || !tokensMatch(tokens[:cut], parts[i]) {
			return false
		}
		tokens = tokens[cut+1:]
	}
	return tokensMatch(tokens, parts[5])
}

// A token is one character of a pattern, or a wildcard.
type token struct {
	char        string
	wild        byte // '*' or '?'
	substituted bool
}

// tokens expands a pattern. It gives nil if a variable has no value.
func (f facts) tokens(text string, variables, wild bool) []token {
	out := []token{}
	for text != "" {
		if variables {
			special := ""
			for _, s := range []string{"*", "?", "$"} {
				if strings.HasPrefix(text, "${"+s+"}") || strings.HasPrefix(text, "$("+s+")") {
					special = s
				}
			}
			if special != "" {
				out, text = append(out, token{char: special}), text[4:]
				continue
			}
			if strings.HasPrefix(text, "${") && strings.Contains(text, "}") {
				name, rest, _ := strings.Cut(text[2:], "}")
				value, ok := f.substituted(name)
				if !ok {
					return nil
				}
				for _, c := range value {
					out = append(out, token{char: string(c), substituted: true})
				}
				text = rest
				continue
			}
		}
		_, n := utf8.DecodeRuneInString(text)
		c := text[:n]
		text = text[n:]
		if wild && (c == "*" || c == "?") {
			out = append(out, token{wild: c[0]})
			continue
		}
		out = append(out, token{char: c})
	}
	return out
}

// substituted follows policies.md, section 2.3.
func (f facts) substituted(name string) (string, bool) {
	name = f.canonical(name)
	v := f.values[name]
	if len(v) == 0 || utf8.RuneCountInString(v[0]) > 1024 {
		return "", false
	}
	value := v[0]
	thing := strings.HasPrefix(name, "iot:connection.thing.")
	cert := strings.HasPrefix(name, "iot:certificate.")
	if (thing || cert) && name != "iot:connection.thing.isattached" && strings.ContainsAny(value, "*$+?#") {
		return "", false
	}
	if cert {
		out := ""
		for _, c := range value {
			if strings.ContainsRune(`,"\+=<>;`, c) {
				out += `\`
			}
			out += string(c)
		}
		value = out
	}
	return value, true
}

// canonical lowers a name, except what stands in the brackets of an attribute.
func (f facts) canonical(name string) string {
	open := strings.IndexByte(name, '[')
	if open < 0 {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:open]) + name[open:]
}

// tokensMatch tries every way, remembering what it tried.
func tokensMatch(pattern []token, s string) bool {
	type at struct{ p, s int }
	seen := map[at]bool{}
	var try func(p, i int) bool
	try = func(p, i int) bool {
		if p == len(pattern) {
			return i == len(s)
		}
		if seen[at{p, i}] {
			return false
		}
		seen[at{p, i}] = true
		switch {
		case pattern[p].wild == '*':
			return try(p+1, i) || i < len(s) && try(p, i+1)
		case i == len(s):
			return false
		case pattern[p].wild == '?':
			_, n := utf8.DecodeRuneInString(s[i:])
			return utf8.RuneStart(s[i]) && try(p+1, i+n)
		}
		return strings.HasPrefix(s[i:], pattern[p].char) && try(p+1, i+len(pattern[p].char))
	}
	return try(0, 0)
}

func (f facts) conditionsHold(st map[string]any, variables bool, action string) bool {
	block, _ := st["Condition"].(map[string]any)
	for op, keys := range block {
		for key, want := range keys.(map[string]any) {
			if !f.holds(op, key, listOf(want), variables, action) {
				return false
			}
		}
	}
	return true
}

func (f facts) holds(op, key string, want []any, variables bool, action string) bool {
	got, set := f.key(key, action)
	if op == "Null" {
		return slices.ContainsFunc(want, func(w any) bool {
			return strings.EqualFold(textOf(w), strconv.FormatBool(len(got) == 0))
		})
	}
	all := strings.HasPrefix(op, "ForAllValues:")
	anyOf := strings.HasPrefix(op, "ForAnyValue:")
	op = strings.TrimPrefix(strings.TrimPrefix(op, "ForAllValues:"), "ForAnyValue:")
	ifExists := strings.HasSuffix(op, "IfExists")
	op = strings.TrimSuffix(op, "IfExists")
	negative := strings.Contains(op, "Not")
	op = strings.Replace(op, "Not", "", 1)

	one := func(g string) bool { // one request value against the list
		fits := slices.ContainsFunc(want, func(w any) bool { return f.fits(op, g, textOf(w), variables) })
		return fits != negative
	}
	none := func(g string) bool { return !one(g) }
	switch {
	case all: // true for an empty request set
		return !slices.ContainsFunc(got, none)
	case len(got) == 0 && ifExists:
		return true
	case anyOf: // false for an empty request set
		return slices.ContainsFunc(got, one)
	case len(got) == 0:
		return negative
	case set && negative:
		return !slices.ContainsFunc(got, none)
	}
	return slices.ContainsFunc(got, one)
}

// key gives a condition key's values, and whether it is a set.
func (f facts) key(name, action string) ([]string, bool) {
	name = f.canonical(name)
	if strings.Contains(name, "connectattributes") || strings.Contains(name, "lastwilltopic") {
		if !strings.EqualFold(action, "iot:Connect") {
			return nil, false
		}
	}
	if s, ok := f.sets[name]; ok {
		return s, true
	}
	return f.values[name], false
}

// fits compares one request value with one policy value under a positive
// operator.
func (f facts) fits(op, got, want string, variables bool) bool {
	if strings.HasPrefix(op, "Arn") {
		return f.arnFits(want, variables, got)
	}
	if strings.HasSuffix(op, "IgnoreCase") {
		op, got = strings.TrimSuffix(op, "IgnoreCase"), strings.ToLower(got)
		tokens := f.tokens(want, variables, op == "StringLike")
		for i := range tokens {
			tokens[i].char = strings.ToLower(tokens[i].char)
		}
		return tokens != nil && tokensMatch(tokens, got)
	}
	tokens := f.tokens(want, variables, op == "StringLike")
	if tokens == nil {
		return false
	}
	if op == "StringLike" || op == "StringEquals" {
		return tokensMatch(tokens, got)
	}
	plain := ""
	for _, t := range tokens {
		plain += t.char
	}
	return typedFits(op, got, plain)
}

func typedFits(op, got, want string) bool {
	switch {
	case op == "Bool":
		return strings.EqualFold(got, want) && (strings.EqualFold(got, "true") || strings.EqualFold(got, "false"))
	case op == "IpAddress":
		ip, err := netip.ParseAddr(got)
		if err != nil {
			return false
		}
		if single, err := netip.ParseAddr(want); err == nil {
			return single == ip
		}
		net, err := netip.ParsePrefix(want)
		return err == nil && net.Contains(ip)
	case strings.HasPrefix(op, "Numeric"):
		g, err := strconv.ParseFloat(got, 64)
		w, err2 := strconv.ParseFloat(want, 64)
		return err == nil && err2 == nil && ordered(strings.TrimPrefix(op, "Numeric"), g-w)
	case strings.HasPrefix(op, "Date"):
		g, err := point(got)
		w, err2 := point(want)
		return err == nil && err2 == nil && ordered(strings.TrimPrefix(op, "Date"), float64(g.Sub(w)))
	}
	panic("the oracle does not know " + op)
}

// point reads a date, or seconds since 1970, which IAM takes too.
func point(s string) (time.Time, error) {
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0), nil
	}
	return time.Parse(time.RFC3339, s)
}

func ordered(op string, difference float64) bool {
	switch op {
	case "Equals":
		return difference == 0
	case "LessThan":
		return difference < 0
	case "LessThanEquals":
		return difference <= 0
	case "GreaterThan":
		return difference > 0
	case "GreaterThanEquals":
		return difference >= 0
	}
	panic("the oracle does not know " + op)
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	panic("not a value of a condition")
}
