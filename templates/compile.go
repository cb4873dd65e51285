package templates

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A compiler turns the document into a Template, section by section.
type compiler struct {
	*Template
	refs     refs            // of the field being compiled
	used     map[string]bool // parameters that something refers to
	certRefs []*strict.Value // references to the certificate's id
}

// refs are what a field is made from.
type refs struct {
	parameters []string // declared, or supplied by the service
	resources  []string // logical names
}

type mappings map[string]map[string]map[string]string

func compile(root *strict.Value, kind Kind) (*Template, error) {
	c := &compiler{Template: &Template{kind: kind}, used: map[string]bool{}}
	if inner := root.Get("templateBody"); inner != nil {
		return nil, bad(inner, "this is a request that creates a template; the template itself is what stands here. `slipway template apply` takes the whole.")
	}
	section, err := members(root, "section", "Parameters", "Mappings", "Resources", "DeviceConfiguration")
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		at      *strict.Value
		compile func(*strict.Value) error
	}{
		{section["Parameters"], c.compileParameters},
		{section["Mappings"], c.compileMappings},
		{section["Resources"], c.compileResources},
		{section["DeviceConfiguration"], c.compileConfiguration},
	} {
		if step.at == nil {
			continue
		}
		if err := step.compile(step.at); err != nil {
			return nil, err
		}
	}
	if section["Resources"] == nil {
		return nil, bad(root, "Resources is missing; a template names at least one resource.")
	}
	if err := c.checkReferences(); err != nil {
		return nil, err
	}
	for i := range c.parameters {
		p := &c.parameters[i]
		p.Required = c.used[p.Name] && !p.HasDefault && !reserved(p.Name)
	}
	return c.Template, nil
}

// members gives the members of an object whose keys are all among known.
func members(v *strict.Value, what string, known ...string) (map[string]*strict.Value, error) {
	return spelled(v, what, func(key string) string { return key }, known)
}

// spelled is members with a function that gives a key its proper spelling.
func spelled(v *strict.Value, what string, proper func(string) string, known []string) (map[string]*strict.Value, error) {
	if v.Kind != strict.Object {
		return nil, bad(v, "expected an object, got %s.", v.Kind)
	}
	out := map[string]*strict.Value{}
	for _, m := range v.Members {
		key := proper(m.Key)
		if !slices.Contains(known, key) {
			return nil, bad(m.Value, "unknown %s; expected one of %s.", what, strings.Join(known, ", "))
		}
		if out[key] != nil {
			return nil, bad(m.Value, "%s stands twice, in two spellings.", key)
		}
		out[key] = m.Value
	}
	return out, nil
}

func (c *compiler) compileParameters(v *strict.Value) error {
	if v.Kind != strict.Object {
		return bad(v, "expected an object of parameters, got %s.", v.Kind)
	}
	c.parameters = make([]Parameter, len(v.Members))
	c.declared = make(map[string]*Parameter, len(v.Members))
	for i, m := range v.Members {
		p, err := parameter(m)
		if err != nil {
			return err
		}
		c.parameters[i] = p
		c.declared[p.Name] = &c.parameters[i]
	}
	return nil
}

func parameter(m strict.Member) (Parameter, error) {
	p := Parameter{Name: m.Key}
	if utf8.RuneCountInString(m.Key) > maxKey {
		return p, bad(m.Value, "a parameter's name has at most %d characters.", maxKey)
	}
	got, err := members(m.Value, "member of a parameter", "Type", "Default")
	if err != nil {
		return p, err
	}
	if typ := got["Type"]; typ == nil {
		return p, bad(m.Value, `Type is missing; the only type of parameter is "String".`)
	} else if typ.Kind != strict.String || typ.Text != "String" {
		return p, bad(typ, `the only type of parameter is "String".`)
	}
	def := got["Default"]
	if def == nil {
		return p, nil
	}
	if def.Kind != strict.String {
		return p, bad(def, "a default is a string, got %s.", def.Kind)
	}
	p.Default, p.HasDefault = def.Text, true
	return p, nil
}

// compileMappings reads map → key → name → text. Nothing is evaluated here
// (templates.md, section 3).
func (c *compiler) compileMappings(v *strict.Value) error {
	c.mappings = mappings{}
	return eachObject(v, func(table strict.Member) error {
		keys := map[string]map[string]string{}
		c.mappings[table.Key] = keys
		return eachObject(table.Value, func(key strict.Member) error {
			names := map[string]string{}
			keys[key.Key] = names
			return eachObject(key.Value, func(name strict.Member) error {
				if name.Value.Kind != strict.String {
					return bad(name.Value, "Mappings has two levels and strings below them, got %s.", name.Value.Kind)
				}
				names[name.Key] = name.Value.Text
				return nil
			})
		})
	})
}

func eachObject(v *strict.Value, visit func(strict.Member) error) error {
	if v.Kind != strict.Object {
		return bad(v, "expected an object, got %s.", v.Kind)
	}
	if looksLikeFunction(v) {
		return bad(v, "Mappings holds no intrinsic functions.")
	}
	for _, m := range v.Members {
		if err := visit(m); err != nil {
			return err
		}
	}
	return nil
}

// compileConfiguration reads DeviceConfiguration. It is checked in every kind
// of template, and used only where a reply carries it.
func (c *compiler) compileConfiguration(v *strict.Value) error {
	pairs, err := c.pairs(v, configText)
	if c.kind == Fleet {
		c.config = pairs
	}
	return err
}

// A pair is a member of a flat object whose values are evaluated.
type pair struct {
	key   string
	value *field
}

func (c *compiler) pairs(v *strict.Value, r *rule) ([]pair, error) {
	if v.Kind != strict.Object {
		return nil, bad(v, "expected an object of names and texts, got %s.", v.Kind)
	}
	if looksLikeFunction(v) {
		return nil, bad(v, "intrinsic functions yield text or lists; here an object of names and texts is expected.")
	}
	out := make([]pair, len(v.Members))
	for i, m := range v.Members {
		f, err := c.field(m.Value, r)
		if err != nil {
			return nil, err
		}
		out[i] = pair{m.Key, f}
	}
	return out, nil
}

func evalPairs(pairs []pair, s *scope) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, p := range pairs {
		v, err := p.value.eval(s)
		if err != nil {
			return nil, err
		}
		out[p.key] = v
	}
	return out, nil
}

// checkReferences finds what can be seen only when everything is compiled.
func (c *compiler) checkReferences() error {
	for _, v := range c.certRefs {
		if c.cert != nil && c.cert.id == nil {
			return bad(v, "the certificate has no id before it is made; only one named by CertificateId can be referred to.")
		}
	}
	needs := map[string]*field{}
	if c.cert != nil {
		needs[c.cert.logical] = c.cert.id
	}
	if c.thing != nil {
		needs[c.thing.logical] = c.thing.name
	}
	for _, p := range c.policies {
		needs[p.logical] = p.identity()
	}
	return c.checkCycles(needs)
}

// checkCycles follows, from each resource, what its name is made from. Each
// resource needs at most one field, and a field names few others, so marking
// the finished ones keeps the walk linear.
func (c *compiler) checkCycles(needs map[string]*field) error {
	const walking, done = 1, 2
	state := map[string]int{}
	var walk func(logical string) error
	walk = func(logical string) error {
		f := needs[logical]
		if f == nil || state[logical] == done {
			return nil
		}
		if state[logical] == walking {
			return invalid("%s: resource %q is named after itself.", f.where, arn.Clip(logical, 80))
		}
		state[logical] = walking
		for _, name := range f.refs.resources {
			if err := walk(name); err != nil {
				return err
			}
		}
		state[logical] = done
		return nil
	}
	for _, logical := range slices.Sorted(maps.Keys(needs)) {
		if err := walk(logical); err != nil {
			return err
		}
	}
	return nil
}
