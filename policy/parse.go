package policy

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// Parse reads a policy document and refuses everything that policies.md,
// section 5.1 lists, and keys that stand twice. Its errors are of kind
// fault.MalformedPolicy and name element, path and line.
func Parse(text string) (*Document, error) { return parse(text, MaxCharacters) }

// parse is Parse for an account whose documents may have so many characters.
func parse(text string, most int) (*Document, error) {
	if err := checkLength(text, most); err != nil {
		return nil, err
	}
	root, err := strict.Parse([]byte(text))
	if err != nil {
		return nil, fault.New(fault.MalformedPolicy, "Policy document is Malformed: Invalid policy syntax. %s", upperFirst(err.Error())+".")
	}
	return parseDocument(root)
}

func checkLength(text string, most int) error {
	if len(text) > maxRaw {
		return fault.New(fault.MalformedPolicy, "Policy document is Malformed: it has %d bytes, expected at most %d.", len(text), maxRaw)
	}
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	if n > most {
		return fault.New(fault.MalformedPolicy, "Policy document is Malformed: it has %d characters without white space, expected at most %d.", n, most)
	}
	return nil
}

// malformed is the one shape of refusal: the place, then what was expected.
func malformed(at *strict.Value, format string, args ...any) error {
	e := fault.New(fault.MalformedPolicy, format, args...)
	e.Text = "Policy document is Malformed: " + at.Where() + ": " + e.Text + "."
	return e
}

func parseDocument(root *strict.Value) (*Document, error) {
	if root.Kind != strict.Object {
		return nil, malformed(root, "expected an object, got %s", root.Kind)
	}
	if err := onlyKeys(root, "Version", "Id", "Statement"); err != nil {
		return nil, err
	}
	d := &Document{}
	if err := parseVersion(root, d); err != nil {
		return nil, err
	}
	if _, err := optionalText(root, "Id"); err != nil {
		return nil, err
	}
	return d, parseStatements(root, d)
}

func parseVersion(root *strict.Value, d *Document) error {
	v := root.Get("Version")
	if v == nil {
		return malformed(root, "Version is missing: expected %q", versionWithVariables)
	}
	if v.Kind != strict.String || v.Text != versionWithVariables && v.Text != versionWithoutVariables {
		return malformed(v, "expected %q or %q, got %s", versionWithVariables, versionWithoutVariables, shown(v))
	}
	d.version = v.Text
	return nil
}

func parseStatements(root *strict.Value, d *Document) error {
	v := root.Get("Statement")
	if v == nil {
		return malformed(root, "Statement is missing: expected a statement or a list of statements")
	}
	list := []*strict.Value{v}
	if v.Kind == strict.Array {
		list = v.Items
	}
	if len(list) == 0 {
		return malformed(v, "the list is empty: expected at least one statement")
	}
	for _, s := range list {
		st, err := parseStatement(s)
		if err != nil {
			return err
		}
		d.statements = append(d.statements, st)
	}
	return nil
}

func parseStatement(v *strict.Value) (statement, error) {
	var s statement
	if v.Kind != strict.Object {
		return s, malformed(v, "expected a statement, which is an object, got %s", v.Kind)
	}
	err := onlyKeys(v, "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err == nil {
		s.sid, err = optionalText(v, "Sid")
	}
	if err == nil {
		s.deny, err = parseEffect(v)
	}
	if err == nil {
		s.actions, s.notAction, err = oneOf(v, "Action", "NotAction", checkAction)
	}
	if err == nil {
		s.resources, s.notResource, err = oneOf(v, "Resource", "NotResource", checkResource)
	}
	if err == nil {
		s.conditions, err = parseConditions(v.Get("Condition"))
	}
	return s, err
}

func parseEffect(v *strict.Value) (deny bool, err error) {
	e := v.Get("Effect")
	if e == nil {
		return false, malformed(v, `Effect is missing: expected "Allow" or "Deny"`)
	}
	if e.Kind != strict.String || e.Text != "Allow" && e.Text != "Deny" {
		return false, malformed(e, `expected "Allow" or "Deny", got %s`, shown(e))
	}
	return e.Text == "Deny", nil
}

// oneOf reads the member called name, or its negation, and wants exactly one of
// the two.
func oneOf(v *strict.Value, name, negation string, check func(*strict.Value) error) ([]element, bool, error) {
	plain, not := v.Get(name), v.Get(negation)
	switch {
	case plain == nil && not == nil:
		return nil, false, malformed(v, "%s is missing: expected %s or %s", name, name, negation)
	case plain != nil && not != nil:
		return nil, false, malformed(v, "%s and %s exclude each other: expected one of them", name, negation)
	case not != nil:
		list, err := texts(not, check)
		return list, true, err
	}
	list, err := texts(plain, check)
	return list, false, err
}

// texts reads a string or a list of strings, at least one.
func texts(v *strict.Value, check func(*strict.Value) error) ([]element, error) {
	list := []*strict.Value{v}
	if v.Kind == strict.Array {
		list = v.Items
	}
	if len(list) == 0 {
		return nil, malformed(v, "the list is empty: expected at least one string")
	}
	out := make([]element, 0, len(list))
	for _, s := range list {
		if s.Kind != strict.String {
			return nil, malformed(s, "expected a string, got %s", s.Kind)
		}
		if err := check(s); err != nil {
			return nil, err
		}
		out = append(out, element{s.Text, s.Where()})
	}
	return out, nil
}

var actionForm = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$`)

// checkAction does not ask whether the action exists: AWS stores policies that
// were written for newer actions and for other services.
func checkAction(v *strict.Value) error {
	if v.Text != "*" && !actionForm.MatchString(v.Text) {
		return malformed(v, "expected an action such as \"iot:Connect\", or \"*\", got %s", shown(v))
	}
	return nil
}

// resourceTypes are the words that may follow the account in an ARN of the
// service. Policies are judged on the first few alone; the others are names that
// AWS takes.
var resourceTypes = []string{
	"client", "topic", "topicfilter", "thing", "rolealias", "cert",
	"authorizer", "billinggroup", "cacert", "certificateprovider", "command", "custommetric",
	"destination", "dimension", "domainconfiguration", "dynamicthinggroup", "fleetmetric", "index",
	"job", "jobtemplate", "mitigationaction", "otaupdate", "package", "policy",
	"provisioningtemplate", "role", "rule", "scheduledaudit", "securityprofile", "stream",
	"thinggroup", "thingtype", "tunnel",
}

func checkResource(v *strict.Value) error {
	if v.Text == "*" {
		return nil
	}
	if why := resourceFault(v.Text); why != "" {
		return fault.New(fault.MalformedPolicy, "Policy document is Malformed: The following resources are invalid : %q. %s: %s.",
			arn.Clip(v.Text, 120), upperFirst(v.Where()), why)
	}
	return nil
}

// resourceFault says what is wrong with a resource's text, or nothing. A type
// with a wildcard (arn:aws:iot:us-east-1:111122223333:*) may become any type.
func resourceFault(text string) string {
	seg, ok := splitARN(text, true)
	switch {
	case !ok || seg[0] != "arn":
		return "expected \"*\" or arn:aws:iot:REGION:ACCOUNT:TYPE/NAME"
	case seg[2] != "iot":
		return "expected the service \"iot\", arn:aws:iot:REGION:ACCOUNT:TYPE/NAME, got \"" + arn.Clip(seg[2], 40) + "\""
	case seg[1] == "":
		return "the partition is empty: expected arn:aws:iot:REGION:ACCOUNT:TYPE/NAME"
	}
	kind, _, slash := strings.Cut(seg[5], "/")
	if strings.ContainsAny(kind, "*?$") {
		return ""
	}
	if !slash {
		return "expected TYPE/NAME after the account, such as topic/sensors/1"
	}
	if !slices.Contains(resourceTypes, kind) {
		return "unknown resource type \"" + arn.Clip(kind, 40) + "\": expected one such as client, topic, topicfilter, thing"
	}
	return ""
}

func parseConditions(v *strict.Value) ([]clause, error) {
	if v == nil {
		return nil, nil
	}
	if v.Kind != strict.Object {
		return nil, malformed(v, "expected an object of condition operators, got %s", v.Kind)
	}
	var out []clause
	for _, op := range v.Members {
		if _, ok := parseOperator(op.Key); !ok {
			return nil, malformed(op.Value, "unknown condition operator %q: expected one such as StringEquals, Bool or ForAllValues:StringLike", arn.Clip(op.Key, 60))
		}
		if op.Value.Kind != strict.Object {
			return nil, malformed(op.Value, "expected an object of condition keys, got %s", op.Value.Kind)
		}
		for _, key := range op.Value.Members {
			c, err := parseClause(op.Key, key)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// parseClause reads the values of one key. An empty list is meaningful: no value
// is among its values. Booleans and numbers count as their text, as in IAM.
func parseClause(operator string, m strict.Member) (clause, error) {
	c := clause{operator: operator, key: m.Key, where: m.Value.Where()}
	list := []*strict.Value{m.Value}
	if m.Value.Kind == strict.Array {
		list = m.Value.Items
	}
	for _, v := range list {
		switch v.Kind {
		case strict.String, strict.Number:
			c.values = append(c.values, v.Text)
		case strict.Bool:
			c.values = append(c.values, map[bool]string{true: "true", false: "false"}[v.Bool])
		default:
			return c, malformed(v, "expected a string or a list of strings, got %s", v.Kind)
		}
	}
	return c, nil
}

func optionalText(v *strict.Value, key string) (string, error) {
	m := v.Get(key)
	if m == nil {
		return "", nil
	}
	if m.Kind != strict.String {
		return "", malformed(m, "expected a string, got %s", m.Kind)
	}
	return m.Text, nil
}

// onlyKeys refuses members that the grammar does not have. Names are compared
// with case, so that "effect" is not taken for "Effect"; the message helps.
func onlyKeys(v *strict.Value, known ...string) error {
	for _, m := range v.Members {
		if slices.Contains(known, m.Key) {
			continue
		}
		if m.Key == "Principal" || m.Key == "NotPrincipal" {
			return malformed(m.Value, "there is no %s in an IoT policy: the principal is whatever the policy is attached to", m.Key)
		}
		for _, k := range known {
			if strings.EqualFold(k, m.Key) {
				return malformed(m.Value, "unknown element %q: did you mean %q?", m.Key, k)
			}
		}
		return malformed(m.Value, "unknown element %q: expected one of %s", arn.Clip(m.Key, 60), strings.Join(known, ", "))
	}
	return nil
}

// shown is a value as a message quotes it.
func shown(v *strict.Value) string {
	if v.Kind == strict.String {
		return "\"" + arn.Clip(v.Text, 80) + "\""
	}
	return v.Kind.String()
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
