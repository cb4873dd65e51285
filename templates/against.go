package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// Existing is a thing as the registry has it. Groups are the static groups it
// is a direct member of. Version is the caller's, for its own expectations.
type Existing struct {
	Type         string
	Attributes   map[string]string
	Groups       []string
	BillingGroup string
	Version      int64
}

// A ThingChange is what has to be done to the registry so that it agrees with
// a plan. The zero value is: nothing.
type ThingChange struct {
	Create      bool              `json:"create"`
	Type        *string           `json:"type,omitempty"`       // new type, empty to remove it; nil: no change
	Attributes  map[string]string `json:"attributes,omitempty"` // full new set; nil: no change
	JoinGroups  []string          `json:"joinGroups,omitempty"`
	LeaveGroups []string          `json:"leaveGroups,omitempty"`
	JoinBilling string            `json:"joinBilling,omitempty"`
	Sentences   []string          `json:"sentences,omitempty"` // what changes, for people
}

// Against compares the plan with the thing that exists, or with nothing if
// old is nil, and decides by the plan's OverrideSettings what to do
// (templates.md, section 2.4). It is pure.
//
// Its errors are Conflict, if a setting is FAIL, or if there is none and the
// values differ. Limits are the account's: whoever carries the change out meets
// them.
func (p *ThingPlan) Against(old *Existing) (ThingChange, error) {
	d := &difference{plan: p, old: old}
	if old == nil {
		d.old = &Existing{}
		d.change.Create = true
		d.say("Thing %s is created.", p.Name)
	}
	for _, step := range []func() error{d.compareType, d.compareAttributes, d.compareGroups, d.compareBilling} {
		if err := step(); err != nil {
			return ThingChange{}, err
		}
	}
	return d.change, nil
}

// A difference is one comparison on its way.
type difference struct {
	plan   *ThingPlan
	old    *Existing
	change ThingChange
}

func (d *difference) say(format string, args ...any) {
	d.change.Sentences = append(d.change.Sentences, fmt.Sprintf(format, args...))
}

// A verdict says what a setting makes of one property.
type verdict uint8

const (
	keep verdict = iota
	write
	union
)

// decide applies an override setting to one property of the thing. A property
// that the template leaves out has no opinion, except that REPLACE empties it.
// why completes "thing NAME …" where values differ.
func (d *difference) decide(o Override, property string, given, differs bool, why func() string) (verdict, error) {
	switch {
	case d.change.Create:
		return write, nil
	case o == Replace:
		return write, nil
	case o == DoNothing || !given:
		return keep, nil
	case o == Merge:
		return union, nil
	case o == Fail && !differs:
		return keep, d.conflict(property, "exists already, and its OverrideSettings say FAIL")
	case o == Fail:
		return keep, d.conflict(property, why()+", and its OverrideSettings say FAIL")
	case differs:
		return keep, d.conflict(property, why()+", and its OverrideSettings do not say what to do")
	}
	return keep, nil
}

func (d *difference) conflict(property, why string) error {
	return fault.New(fault.Conflict, "%s conflicts with %s in Template: thing %s %s.", property, property, d.plan.Name, why)
}

func (d *difference) compareType() error {
	p, old := d.plan, d.old.Type
	differs := p.Type != old
	v, err := d.decide(p.Override.Type, "ThingTypeName", p.TypeGiven, differs, func() string {
		return fmt.Sprintf("has %s, the template says %s", typeText(old), typeText(p.Type))
	})
	if err != nil || v == keep || !differs {
		return err
	}
	typ := p.Type
	d.change.Type = &typ
	switch {
	case old == "":
		d.say("Its thing type becomes %s.", typ)
	case typ == "":
		d.say("Its thing type %s is removed.", old)
	default:
		d.say("Its thing type becomes %s; it was %s.", typ, old)
	}
	return nil
}

func typeText(typ string) string {
	if typ == "" {
		return "no thing type"
	}
	return "thing type " + typ
}

// compareAttributes treats an attribute with an empty value as absent, which
// is what the registry's own operations make of it.
func (d *difference) compareAttributes() error {
	p := d.plan
	old, want := present(d.old.Attributes), present(p.Attributes)
	v, err := d.decide(p.Override.Attributes, "AttributePayload", p.AttributesGiven, !maps.Equal(old, want), func() string {
		return attributesDiffer(old, want)
	})
	if err != nil || v == keep {
		return err
	}
	if v == union {
		want = merged(d.old.Attributes, p.Attributes)
	}
	if maps.Equal(old, want) {
		return nil
	}
	d.change.Attributes = want
	for _, name := range keys(old, want) {
		d.sayAttribute(name, old, want)
	}
	return nil
}

func (d *difference) sayAttribute(name string, old, want map[string]string) {
	was, had := old[name]
	is, has := want[name]
	switch {
	case !had:
		d.say("Attribute %s becomes %s.", name, is)
	case !has:
		d.say("Attribute %s is removed; it was %s.", name, was)
	case was != is:
		d.say("Attribute %s becomes %s; it was %s.", name, is, was)
	}
}

func present(attributes map[string]string) map[string]string {
	out := make(map[string]string, len(attributes))
	for k, v := range attributes {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

func merged(old, add map[string]string) map[string]string {
	out := make(map[string]string, len(old)+len(add))
	maps.Copy(out, old)
	maps.Copy(out, add)
	return present(out)
}

// keys gives the keys of both maps, sorted.
func keys(a, b map[string]string) []string {
	return slices.Sorted(maps.Keys(merged(a, b)))
}

// attributesDiffer names the first attribute that differs.
func attributesDiffer(old, want map[string]string) string {
	for _, name := range keys(old, want) {
		was, had := old[name]
		is, has := want[name]
		switch {
		case !had:
			return fmt.Sprintf("has no attribute %s, the template says %s=%s", name, name, arn.Clip(is, 80))
		case !has:
			return fmt.Sprintf("has %s=%s, the template has no attribute %s", name, arn.Clip(was, 80), name)
		case was != is:
			return fmt.Sprintf("has %s=%s, the template says %s=%s", name, arn.Clip(was, 80), name, arn.Clip(is, 80))
		}
	}
	return "has other attributes"
}

func (d *difference) compareGroups() error {
	p, old := d.plan, d.old.Groups
	join, leave := without(p.Groups, old), without(old, p.Groups)
	v, err := d.decide(p.Override.Groups, "ThingGroups", p.GroupsGiven, len(join)+len(leave) > 0, func() string {
		return fmt.Sprintf("is in %s, the template says %s", groupsText(old), groupsText(p.Groups))
	})
	if err != nil || v == keep {
		return err
	}
	if v == union {
		leave = nil
	}
	d.change.JoinGroups, d.change.LeaveGroups = join, leave
	for _, g := range join {
		d.say("It joins thing group %s.", g)
	}
	for _, g := range leave {
		d.say("It leaves thing group %s.", g)
	}
	return nil
}

func groupsText(groups []string) string {
	if len(groups) == 0 {
		return "no thing group"
	}
	return "thing groups " + strings.Join(slices.Sorted(slices.Values(groups)), ", ")
}

// without gives what is in a and not in b, or nil.
func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// compareBilling has no setting to obey: a thing has one billing group, and
// is not taken out of another.
func (d *difference) compareBilling() error {
	want, old := d.plan.BillingGroup, d.old.BillingGroup
	switch {
	case want == "" || want == old:
		return nil
	case old != "":
		return d.conflict("BillingGroup", fmt.Sprintf("is in billing group %s, the template says %s", old, want))
	}
	d.change.JoinBilling = want
	d.say("It joins billing group %s.", want)
	return nil
}
