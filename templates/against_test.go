package templates

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/fault"
)

type attrs = map[string]string

func attributesPlan(o Override, a attrs) *ThingPlan {
	return &ThingPlan{Name: "lock-1", AttributesGiven: a != nil, Attributes: a, Override: ThingOverride{Attributes: o}}
}

func typePlan(o Override, given bool, typ string) *ThingPlan {
	return &ThingPlan{Name: "lock-1", TypeGiven: given, Type: typ, Override: ThingOverride{Type: o}}
}

func groupsPlan(o Override, groups []string) *ThingPlan {
	return &ThingPlan{Name: "lock-1", GroupsGiven: groups != nil, Groups: groups, Override: ThingOverride{Groups: o}}
}

// applied does to a thing what a change says, as the use case does.
func applied(old *Existing, c ThingChange) *Existing {
	next := Existing{}
	if old != nil {
		next = *old
	}
	if c.Type != nil {
		next.Type = *c.Type
	}
	if c.Attributes != nil {
		next.Attributes = c.Attributes
	}
	next.Groups = append(without(next.Groups, c.LeaveGroups), c.JoinGroups...)
	if c.JoinBilling != "" {
		next.BillingGroup = c.JoinBilling
	}
	return &next
}

func TestAgainst(t *testing.T) {
	lab := &Existing{Type: "Lock", Attributes: attrs{"site": "lab", "color": "red"}, Groups: []string{"a", "b"}, BillingGroup: "north"}
	for _, c := range []struct {
		name string
		plan *ThingPlan
		old  *Existing
		want string // the sentences, or the conflict
	}{
		{"a new thing gets everything", &ThingPlan{Name: "lock-1", TypeGiven: true, Type: "Lock", AttributesGiven: true,
			Attributes: attrs{"site": "lab", "empty": ""}, GroupsGiven: true, Groups: []string{"a"}, BillingGroup: "north"}, nil,
			"Thing lock-1 is created. Its thing type becomes Lock. Attribute site becomes lab. It joins thing group a. It joins billing group north."},
		{"a new thing does not mind FAIL", attributesPlan(Fail, attrs{"site": "lab"}), nil, "Thing lock-1 is created. Attribute site becomes lab."},
		{"a new thing does not mind DO_NOTHING", attributesPlan(DoNothing, attrs{"site": "lab"}), nil, "Thing lock-1 is created. Attribute site becomes lab."},
		{"a plan without opinions changes nothing", &ThingPlan{Name: "lock-1"}, lab, ""},

		{"equal attributes are no conflict", attributesPlan("", attrs{"site": "lab", "color": "red"}), lab, ""},
		{"an attribute that differs conflicts", attributesPlan("", attrs{"site": "plant", "color": "red"}), lab,
			"AttributePayload conflicts with AttributePayload in Template: thing lock-1 has site=lab, the template says site=plant, and its OverrideSettings do not say what to do."},
		{"an attribute that is missing conflicts", attributesPlan("", attrs{"site": "lab", "color": "red", "x": "y"}), lab,
			"AttributePayload conflicts with AttributePayload in Template: thing lock-1 has no attribute x, the template says x=y, and its OverrideSettings do not say what to do."},
		{"an attribute too many conflicts", attributesPlan("", attrs{"site": "lab"}), lab,
			"AttributePayload conflicts with AttributePayload in Template: thing lock-1 has color=red, the template has no attribute color, and its OverrideSettings do not say what to do."},
		{"FAIL conflicts over a difference", attributesPlan(Fail, attrs{"site": "plant", "color": "red"}), lab,
			"AttributePayload conflicts with AttributePayload in Template: thing lock-1 has site=lab, the template says site=plant, and its OverrideSettings say FAIL."},
		{"FAIL conflicts over equality too", attributesPlan(Fail, attrs{"site": "lab", "color": "red"}), lab,
			"AttributePayload conflicts with AttributePayload in Template: thing lock-1 exists already, and its OverrideSettings say FAIL."},
		{"FAIL about what the template leaves out is no conflict", attributesPlan(Fail, nil), lab, ""},
		{"DO_NOTHING keeps the attributes", attributesPlan(DoNothing, attrs{"site": "plant"}), lab, ""},
		{"REPLACE removes the old attributes", attributesPlan(Replace, attrs{"site": "plant"}), lab,
			"Attribute color is removed; it was red. Attribute site becomes plant; it was lab."},
		{"REPLACE by nothing removes all", attributesPlan(Replace, nil), lab,
			"Attribute color is removed; it was red. Attribute site is removed; it was lab."},
		{"MERGE keeps the others", attributesPlan(Merge, attrs{"site": "plant", "x": "y"}), lab,
			"Attribute site becomes plant; it was lab. Attribute x becomes y."},
		{"MERGE of an empty value removes it", attributesPlan(Merge, attrs{"site": ""}), lab, "Attribute site is removed; it was lab."},
		{"an empty value is the same as none", attributesPlan("", attrs{"site": "lab", "color": "red", "x": ""}), lab, ""},

		{"an equal type is no conflict", typePlan("", true, "Lock"), lab, ""},
		{"another type conflicts", typePlan("", true, "Door"), lab,
			"ThingTypeName conflicts with ThingTypeName in Template: thing lock-1 has thing type Lock, the template says thing type Door, and its OverrideSettings do not say what to do."},
		{"a type for a thing without one conflicts", typePlan("", true, "Door"), &Existing{},
			"ThingTypeName conflicts with ThingTypeName in Template: thing lock-1 has no thing type, the template says thing type Door, and its OverrideSettings do not say what to do."},
		{"DO_NOTHING keeps the type", typePlan(DoNothing, true, "Door"), lab, ""},
		{"REPLACE changes the type", typePlan(Replace, true, "Door"), lab, "Its thing type becomes Door; it was Lock."},
		{"REPLACE by nothing removes the type", typePlan(Replace, false, ""), lab, "Its thing type Lock is removed."},
		{"REPLACE by nothing leaves a thing without a type alone", typePlan(Replace, false, ""), &Existing{}, ""},

		{"equal groups in another order are no conflict", groupsPlan("", []string{"b", "a"}), lab, ""},
		{"other groups conflict", groupsPlan("", []string{"c"}), lab,
			"ThingGroups conflicts with ThingGroups in Template: thing lock-1 is in thing groups a, b, the template says thing groups c, and its OverrideSettings do not say what to do."},
		{"DO_NOTHING keeps the groups", groupsPlan(DoNothing, []string{"c"}), lab, ""},
		{"REPLACE leaves the other groups", groupsPlan(Replace, []string{"b", "c"}), lab, "It joins thing group c. It leaves thing group a."},
		{"REPLACE by nothing leaves all groups", groupsPlan(Replace, nil), lab, "It leaves thing group a. It leaves thing group b."},
		{"MERGE joins and leaves none", groupsPlan(Merge, []string{"c"}), lab, "It joins thing group c."},

		{"the same billing group is no conflict", &ThingPlan{Name: "lock-1", BillingGroup: "north"}, lab, ""},
		{"a thing without a billing group joins", &ThingPlan{Name: "lock-1", BillingGroup: "north"}, &Existing{}, "It joins billing group north."},
		{"another billing group conflicts", &ThingPlan{Name: "lock-1", BillingGroup: "south"}, lab,
			"BillingGroup conflicts with BillingGroup in Template: thing lock-1 is in billing group north, the template says south."},
	} {
		t.Run(c.name, func(t *testing.T) {
			change, err := c.plan.Against(c.old)
			got := strings.Join(change.Sentences, " ")
			if err != nil {
				got = mustBe(t, err, fault.Conflict)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if (got == "") != cmp.Equal(change, ThingChange{}, cmpopts.IgnoreFields(ThingChange{}, "Sentences")) && err == nil {
				t.Errorf("the sentences and the change disagree: %+v", change)
			}
			if err != nil && !cmp.Equal(change, ThingChange{}) {
				t.Errorf("a conflict changes something: %+v", change)
			}
		})
	}
}

func TestCertificateAgainst(t *testing.T) {
	for _, c := range []struct {
		name, status string
		plan         CertificatePlan
		want         string // empty: conflict
	}{
		{"a waiting certificate is activated", "PENDING_ACTIVATION", CertificatePlan{Status: Active}, Active},
		{"a waiting certificate is activated in spite of DO_NOTHING", "PENDING_ACTIVATION", CertificatePlan{Status: Active, Override: DoNothing}, Active},
		{"a waiting certificate is activated in spite of FAIL", "PENDING_ACTIVATION", CertificatePlan{Status: Active, Override: Fail}, Active},
		{"the same status is no conflict", Active, CertificatePlan{Status: Active}, Active},
		{"another status conflicts", Inactive, CertificatePlan{Status: Active}, ""},
		{"REPLACE sets the status", Inactive, CertificatePlan{Status: Active, Override: Replace}, Active},
		{"DO_NOTHING keeps the status", Inactive, CertificatePlan{Status: Active, Override: DoNothing}, Inactive},
		{"FAIL refuses", Active, CertificatePlan{Status: Active, Override: Fail}, ""},
	} {
		got, err := c.plan.Against(c.status)
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
}

// A plan that was applied has nothing left to do, unless a setting refuses
// to meet an existing thing at all.
func TestApplyingTwiceIsApplyingOnce(t *testing.T) {
	name := rapid.SampledFrom([]string{"", "a", "b", "c"})
	override := rapid.SampledFrom([]Override{DoNothing, Replace, Merge})
	set := rapid.MapOfN(rapid.SampledFrom([]string{"p", "q", "r"}), name, 0, 3)
	groups := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"g", "h", "i"}), rapid.ID[string])
	rapid.Check(t, func(t *rapid.T) {
		plan := &ThingPlan{
			Name: "t", Type: name.Draw(t, "type"), TypeGiven: rapid.Bool().Draw(t, "typeGiven"),
			Attributes: set.Draw(t, "attributes"), AttributesGiven: rapid.Bool().Draw(t, "attributesGiven"),
			Groups: groups.Draw(t, "groups"), GroupsGiven: rapid.Bool().Draw(t, "groupsGiven"),
			BillingGroup: name.Draw(t, "billing"),
			Override:     ThingOverride{override.Draw(t, "oa"), rapid.SampledFrom([]Override{DoNothing, Replace}).Draw(t, "ot"), override.Draw(t, "og")},
		}
		clearNotGiven(plan)
		old := &Existing{Type: name.Draw(t, "old type"), Attributes: present(set.Draw(t, "old attributes")), Groups: groups.Draw(t, "old groups")}
		if rapid.Bool().Draw(t, "new") {
			old = nil
		}
		first, err := plan.Against(old)
		if err != nil {
			t.Fatal(err)
		}
		now := applied(old, first)
		checkOutcome(t, plan, old, now)
		second, err := plan.Against(now)
		if err != nil || !cmp.Equal(second, ThingChange{}) {
			t.Fatalf("after %+v still %+v, %v", first, second, err)
		}
	})
}

// clearNotGiven makes the plan one that Render can make.
func clearNotGiven(p *ThingPlan) {
	if !p.TypeGiven {
		p.Type = ""
	}
	if !p.AttributesGiven {
		p.Attributes = nil
	}
	if !p.GroupsGiven {
		p.Groups = nil
	}
}

// checkOutcome says what the settings promise, from the outside.
func checkOutcome(t *rapid.T, p *ThingPlan, old, now *Existing) {
	want := present(p.Attributes)
	switch o := p.Override.Attributes; {
	case old == nil || o == Replace:
	case o == DoNothing || !p.AttributesGiven:
		want = old.Attributes
	default:
		want = present(merged(old.Attributes, p.Attributes))
	}
	if !maps.Equal(want, now.Attributes) {
		t.Fatalf("attributes: got %v, want %v", now.Attributes, want)
	}
	for _, g := range p.Groups {
		if (old == nil || p.Override.Groups != DoNothing) && !slices.Contains(now.Groups, g) {
			t.Fatalf("group %s was not joined: %v", g, now.Groups)
		}
	}
	if old != nil && p.Override.Groups != Replace && len(without(old.Groups, now.Groups)) > 0 {
		t.Fatalf("groups were left: %v, then %v", old.Groups, now.Groups)
	}
}
