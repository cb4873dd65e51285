package tenants

import (
	"maps"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// A bound is what a limit is for those who did not set it, AWS's number
// (rest-api.md, section 7), and the most that it may be set to: what our
// records and lists still bear.
type bound struct{ aws, most int }

var bounds = map[ref.Limit]bound{
	ref.Attributes:           {3, 200},
	ref.TypedAttributes:      {50, 200},
	ref.GroupAttributes:      {50, 200},
	ref.SearchableAttributes: {3, 50},
	ref.GroupsPerThing:       {10, 100},
	ref.GroupDepth:           {7, 32},
	ref.GroupChildren:        {100, 10_000},
	ref.PoliciesPerPrincipal: {10, 100},
	ref.PoliciesPerGroup:     {2, 100},
	ref.PolicyVersions:       {5, 100},
	ref.PolicyCharacters:     {2048, 20_480},
	ref.Tags:                 {50, 200},
	ref.Templates:            {256, 10_000},
	ref.TemplateCharacters:   {10_240, 10_240},
	ref.TemplateVersions:     {5, 100},
	ref.CAsPerSubject:        {10, 100},
	ref.PropagatedAttributes: {20, 100},
	ref.Rules:                {1000, 10_000},
	ref.RoleAliases:          {100, 10_000},
	ref.Authorizers:          {100, 1000},
	ref.ActiveAuthorizers:    {32, 1000},
	ref.DomainConfigurations: {10, 1000},
	ref.CustomFields:         {5, 100},
	ref.RetainedMessages:     {500_000, 5_000_000},
	ref.SessionExpiry:        {3600, 604_800},
}

// Limits are those of an account that are not AWS's.
type Limits map[ref.Limit]int

// Of gives the limit that holds.
func (l Limits) Of(name ref.Limit) int {
	if n, set := l[name]; set {
		return n
	}
	return bounds[name].aws
}

// All gives every limit that holds.
func (l Limits) All() Limits {
	all := make(Limits, len(bounds))
	for name := range bounds {
		all[name] = l.Of(name)
	}
	return all
}

// with gives the limits after a change; a null takes AWS's number again.
func (l Limits) with(change map[ref.Limit]*int) (Limits, error) {
	out := Limits{}
	maps.Copy(out, l)
	for _, name := range slices.Sorted(maps.Keys(change)) {
		b, known := bounds[name]
		if !known {
			return nil, fault.New(fault.InvalidRequest, "There is no limit %q; there are %s.", clip(string(name)), limitNames())
		}
		n := change[name]
		if n == nil || *n == b.aws {
			delete(out, name)
			continue
		}
		if *n < 1 || *n > b.most {
			return nil, fault.New(fault.InvalidRequest, "Limit %s cannot be %d: expected 1 to %d.", name, *n, b.most)
		}
		out[name] = *n
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func limitNames() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}
