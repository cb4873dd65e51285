package templates

import (
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A thing, certificate or policy is a compiled resource of the template. Its
// nil fields are properties that the template leaves out.
type (
	thing struct {
		logical         string
		name            *field
		typ             *field
		billing         *field
		attributes      []pair
		attributesGiven bool
		groups          *groups
		override        ThingOverride
	}
	certificate struct {
		logical            string
		id, csr, pem, ca   *field
		status, attachment *field
		override           Override
	}
	policy struct {
		logical        string
		name, document *field // exactly one
	}
	// groups is the list of thing groups.
	groups struct {
		where string
		list  listExpr
		refs  refs
	}
)

// identity is the field that Ref to the policy depends on.
func (p *policy) identity() *field {
	if p.name != nil {
		return p.name
	}
	return p.document
}

// What AWS IoT lets a thing and a certificate have (provisioning-mqtt-api.md,
// section 7) bounds what one template gives, whatever the account's limits.
const (
	maxGroups     = 10
	maxPolicies   = 10
	maxAttributes = 50
)

// compileResources first learns every name and type, since a resource may
// refer to one that stands below it.
func (c *compiler) compileResources(v *strict.Value) error {
	if v.Kind != strict.Object {
		return bad(v, "expected an object of resources, got %s.", v.Kind)
	}
	if len(v.Members) == 0 {
		return bad(v, "Resources is empty; a template names at least one resource.")
	}
	c.resources = make(map[string]string, len(v.Members))
	bodies := make([]map[string]*strict.Value, len(v.Members))
	for i, m := range v.Members {
		body, err := members(m.Value, "member of a resource", "Type", "Properties", "OverrideSettings")
		if err != nil {
			return err
		}
		if c.resources[m.Key], err = resourceType(m.Value, body["Type"]); err != nil {
			return err
		}
		bodies[i] = body
	}
	for i, m := range v.Members {
		if err := c.compileResource(m, bodies[i]); err != nil {
			return err
		}
	}
	return nil
}

func resourceType(at, v *strict.Value) (string, error) {
	const types = TypeThing + ", " + TypeCertificate + " or " + TypePolicy
	if v == nil {
		return "", bad(at, "Type is missing; expected %s.", types)
	}
	if v.Kind != strict.String {
		return "", bad(v, "expected %s, got %s.", types, v.Kind)
	}
	switch v.Text {
	case TypeThing, TypeCertificate, TypePolicy:
		return v.Text, nil
	}
	return "", bad(v, "unknown type of resource %q; expected %s.", arn.Clip(v.Text, 80), types)
}

func (c *compiler) compileResource(m strict.Member, body map[string]*strict.Value) error {
	props := body["Properties"]
	if props == nil {
		props = &strict.Value{Kind: strict.Object, Path: m.Value.Path, Line: m.Value.Line}
	}
	switch c.resources[m.Key] {
	case TypeThing:
		if c.thing != nil {
			return bad(m.Value, "a template has at most one resource of type %s, and %q is one.", TypeThing, arn.Clip(c.thing.logical, 80))
		}
		return c.compileThing(m.Key, props, body["OverrideSettings"])
	case TypeCertificate:
		if c.cert != nil {
			return bad(m.Value, "a template has at most one resource of type %s, and %q is one.", TypeCertificate, arn.Clip(c.cert.logical, 80))
		}
		return c.compileCertificate(m.Key, props, body["OverrideSettings"])
	}
	if over := body["OverrideSettings"]; over != nil {
		return bad(over, "a policy has no OverrideSettings.")
	}
	return c.compilePolicy(m, props)
}

// properties reads Properties. A first letter in lower case is accepted: it
// is how the names look in the rest of the API.
func properties(v *strict.Value, known ...string) (map[string]*strict.Value, error) {
	return spelled(v, "property", properName, known)
}

func properName(key string) string {
	switch {
	case key == "caCertificatePem":
		return "CACertificatePem"
	case key != "" && key[0] >= 'a' && key[0] <= 'z':
		return strings.ToUpper(key[:1]) + key[1:]
	}
	return key
}

func (c *compiler) compileThing(logical string, props, over *strict.Value) error {
	got, err := properties(props, "ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup", "PackageVersions")
	if err != nil {
		return err
	}
	if v := got["PackageVersions"]; v != nil {
		return bad(v, "PackageVersions is not supported; leave it out.")
	}
	if got["ThingName"] == nil {
		return bad(props, "ThingName is missing.")
	}
	c.thing = &thing{logical: logical}
	if err := c.compileFields([]assignment{
		{&c.thing.name, got["ThingName"], thingName},
		{&c.thing.typ, got["ThingTypeName"], typeName},
		{&c.thing.billing, got["BillingGroup"], billingName},
	}); err != nil {
		return err
	}
	if err := c.compileAttributes(got["AttributePayload"]); err != nil {
		return err
	}
	if err := c.compileGroups(got["ThingGroups"]); err != nil {
		return err
	}
	return c.compileOverrides(over, thingOverrideName, []setting{
		{"AttributePayload", &c.thing.override.Attributes, true},
		{"ThingTypeName", &c.thing.override.Type, false},
		{"ThingGroups", &c.thing.override.Groups, true},
	})
}

// An assignment compiles one property into its field.
type assignment struct {
	to   **field
	from *strict.Value
	rule *rule
}

func (c *compiler) compileFields(all []assignment) (err error) {
	for _, a := range all {
		if *a.to, err = c.field(a.from, a.rule); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) compileAttributes(v *strict.Value) (err error) {
	if v == nil {
		return nil
	}
	c.thing.attributesGiven = true
	if c.thing.attributes, err = c.pairs(v, attribute); err != nil {
		return err
	}
	for _, m := range v.Members {
		if !isAttributeName(m.Key) {
			return bad(m.Value, "the name of an attribute has 1 to 128 letters, digits or '_.,@/:#-'.")
		}
	}
	if len(v.Members) > maxAttributes {
		return bad(v, "a thing has at most %d attributes, here are %d.", maxAttributes, len(v.Members))
	}
	return nil
}

func (c *compiler) compileGroups(v *strict.Value) error {
	if v == nil {
		return nil
	}
	c.refs = refs{}
	l, err := c.list(v)
	if err != nil {
		return err
	}
	written, _ := l.(listOf)
	if len(written) > maxGroups {
		return bad(v, "a thing is in at most %d groups, here are %d.", maxGroups, len(written))
	}
	for i, e := range written {
		if text, ok := e.(literal); ok && !groupName.ok(string(text)) {
			return bad(v.Items[i], "%s.", groupName.complain(string(text)))
		}
	}
	c.thing.groups = &groups{place(v), l, c.refs}
	return nil
}

func (g *groups) eval(s *scope) ([]string, error) {
	if g == nil {
		return nil, nil
	}
	all, err := g.list.list(s)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range all {
		if err := groupName.check(g.where, name, g.refs); err != nil {
			return nil, err
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
		if len(out) > maxGroups {
			return nil, wrong(g.where, "a thing is in at most %d groups", maxGroups)
		}
	}
	return out, nil
}
