package templates

import (
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A field is a property that yields text and has to keep a rule.
type field struct {
	where string
	expr  expr
	refs  refs
	rule  *rule
}

// eval gives the checked text of f; a property that is not given is empty.
func (f *field) eval(s *scope) (string, error) {
	if f == nil {
		return "", nil
	}
	text, err := f.expr.eval(s)
	if err != nil {
		return "", err
	}
	return text, f.rule.check(f.where, text, f.refs)
}

// check says which value, at which place, made from which parameters, breaks r.
func (r *rule) check(where, text string, from refs) error {
	if r.ok(text) {
		return nil
	}
	made := ""
	switch names := arn.Clip(strings.Join(from.parameters, ", "), 200); len(from.parameters) {
	case 0:
	case 1:
		made = "; it is made from parameter " + names
	default:
		made = "; it is made from parameters " + names
	}
	return wrong(where, "%s%s", r.complain(text), made)
}

func (r *rule) complain(text string) string {
	if r.hidden {
		return "the value is not " + r.what
	}
	return strconv.Quote(arn.Clip(text, 140)) + " is not " + r.what
}

// field compiles a property. Literal text is checked at once.
func (c *compiler) field(v *strict.Value, r *rule) (*field, error) {
	if v == nil {
		return nil, nil
	}
	c.refs = refs{}
	e, err := c.text(v)
	if err != nil {
		return nil, err
	}
	if l, ok := e.(literal); ok && !r.ok(string(l)) {
		return nil, bad(v, "%s.", r.complain(string(l)))
	}
	return &field{place(v), e, c.refs, r}, nil
}

// text compiles what has to yield text.
func (c *compiler) text(v *strict.Value) (expr, error) {
	if v.Kind == strict.String {
		return literal(v.Text), nil
	}
	name, arg, err := function(v)
	if err != nil {
		return nil, err
	}
	switch name {
	case "Ref":
		return c.ref(arg)
	case "Fn::Join":
		return c.join(arg)
	case "Fn::Select":
		return c.choose(arg)
	case "Fn::FindInMap":
		return c.find(arg)
	case "Fn::Sub":
		return c.sub(arg)
	}
	return nil, bad(v, "Fn::Split yields a list, and text is expected here.")
}

// list compiles what has to yield a list.
func (c *compiler) list(v *strict.Value) (listExpr, error) {
	if v.Kind == strict.Array {
		return c.listOf(v)
	}
	if v.Kind == strict.String {
		return nil, bad(v, "expected a list, got a string.")
	}
	name, arg, err := function(v)
	if err != nil {
		return nil, err
	}
	if name != "Fn::Split" {
		return nil, bad(v, "%s yields text, and a list is expected here.", name)
	}
	items, err := c.arguments(arg, name, "[delimiter, text]", 2)
	if err != nil {
		return nil, err
	}
	if items[0] == literal("") {
		return nil, bad(arg, "the delimiter of Fn::Split is empty.")
	}
	return split{place(v), items[0], items[1]}, nil
}

func (c *compiler) listOf(v *strict.Value) (listOf, error) {
	out := make(listOf, len(v.Items))
	for i, it := range v.Items {
		var err error
		if out[i], err = c.text(it); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const functions = "Ref, Fn::Join, Fn::Select, Fn::Split, Fn::FindInMap and Fn::Sub"

// function takes an intrinsic function apart: an object with one key.
func function(v *strict.Value) (name string, arg *strict.Value, err error) {
	if v.Kind != strict.Object {
		return "", nil, bad(v, "expected text or an intrinsic function, got %s.", v.Kind)
	}
	if len(v.Members) != 1 {
		return "", nil, bad(v, "expected text or an intrinsic function, which is an object with one key; this object has %d.", len(v.Members))
	}
	m := v.Members[0]
	switch m.Key {
	case "Ref", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::Sub":
		return m.Key, m.Value, nil
	case "Fn::GetAtt":
		return "", nil, bad(m.Value, `Fn::GetAtt exists only as {"Fn::GetAtt": ["CSR", "certificatePem"]}, and only for the certificate that is at hand in a fleet or JITP template.`)
	}
	if !looksLikeFunction(v) {
		return "", nil, bad(v, "expected text or an intrinsic function, got an object with key %q.", arn.Clip(m.Key, 80))
	}
	return "", nil, bad(m.Value, "%q is not an intrinsic function; there are %s.", arn.Clip(m.Key, 80), functions)
}

// looksLikeFunction says whether an object that need not be a function means
// to be one.
func looksLikeFunction(v *strict.Value) bool {
	if v.Kind != strict.Object {
		return false
	}
	for _, m := range v.Members {
		if strings.HasPrefix(m.Key, "Fn::") || m.Key == "Ref" && len(v.Members) == 1 {
			return true
		}
	}
	return false
}

// arguments compiles a list of exactly n texts.
func (c *compiler) arguments(arg *strict.Value, name, form string, n int) (listOf, error) {
	if arg.Kind != strict.Array || len(arg.Items) != n {
		return nil, malformed(arg, name, form)
	}
	return c.listOf(arg)
}

func malformed(arg *strict.Value, name, form string) error {
	return bad(arg, "the form of %s is %s.", name, form)
}

func (c *compiler) ref(arg *strict.Value) (expr, error) {
	if arg.Kind != strict.String {
		return nil, bad(arg, "Ref takes the name of a parameter or resource, got %s.", arg.Kind)
	}
	return c.name(arg, arg.Text)
}

// name compiles a reference. Parameters and what the service supplies hide a
// resource of the same name.
func (c *compiler) name(v *strict.Value, name string) (expr, error) {
	if c.declared[name] != nil || c.kind.supplies(name) {
		c.used[name] = true
		if !slices.Contains(c.refs.parameters, name) {
			c.refs.parameters = append(c.refs.parameters, name)
		}
		return paramRef{name, place(v)}, nil
	}
	if typ, ok := c.resources[name]; ok {
		if typ == TypeCertificate {
			c.certRefs = append(c.certRefs, v)
		}
		c.refs.resources = append(c.refs.resources, name)
		return resourceRef{name}, nil
	}
	return nil, bad(v, "Cannot resolve reference value: %s. It is no declared parameter, no resource, and nothing the service supplies to this kind of template.", arn.Clip(name, 200))
}

func (c *compiler) join(arg *strict.Value) (expr, error) {
	if arg.Kind != strict.Array || len(arg.Items) != 2 {
		return nil, malformed(arg, "Fn::Join", "[delimiter, [text, …]]")
	}
	delim, err := c.text(arg.Items[0])
	if err != nil {
		return nil, err
	}
	items, err := c.list(arg.Items[1])
	if err != nil {
		return nil, err
	}
	return join{delim, items}, nil
}

func (c *compiler) choose(arg *strict.Value) (expr, error) {
	if arg.Kind != strict.Array || len(arg.Items) != 2 {
		return nil, malformed(arg, "Fn::Select", "[index, list]")
	}
	index, err := c.index(arg.Items[0])
	if err != nil {
		return nil, err
	}
	out := choose{where: place(arg), index: index}
	from := arg.Items[1]
	if from.Kind != strict.Array {
		out.from, err = c.list(from)
		return out, err
	}
	out.of = make([]expr, len(from.Items))
	for i, it := range from.Items {
		if it.Kind == strict.Null {
			continue
		}
		if out.of[i], err = c.text(it); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// index compiles the index of Fn::Select, a number or text that is one.
func (c *compiler) index(v *strict.Value) (expr, error) {
	if v.Kind == strict.Number {
		v = &strict.Value{Kind: strict.String, Text: v.Text, Path: v.Path, Line: v.Line}
	}
	e, err := c.text(v)
	if err != nil {
		return nil, err
	}
	if l, ok := e.(literal); ok {
		if i, err := strconv.Atoi(string(l)); err != nil || i < 0 {
			return nil, bad(v, "the index of Fn::Select is a whole number from 0, got %q.", arn.Clip(string(l), 40))
		}
	}
	return e, nil
}

func (c *compiler) find(arg *strict.Value) (expr, error) {
	items, err := c.arguments(arg, "Fn::FindInMap", "[map, key, name]", 3)
	if err != nil {
		return nil, err
	}
	if l, ok := items[0].(literal); ok && c.mappings[string(l)] == nil {
		return nil, bad(arg, "Mappings has no map %q.", arn.Clip(string(l), 80))
	}
	return find{place(arg), items[0], items[1], items[2]}, nil
}
