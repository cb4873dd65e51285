package settings

import (
	"cmp"
	"context"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// Off is the mode in which nothing is indexed.
const Off = "OFF"

// A Field is one that an index holds. The names in these structures are AWS's,
// on the wire as in the store.
type Field struct {
	Name string `json:"name"`
	Type string `json:"type"` // Number, String, Boolean
}

// Indexing says what the two indexes hold.
type Indexing struct {
	Things ThingIndexing `json:"thingIndexingConfiguration"`
	Groups GroupIndexing `json:"thingGroupIndexingConfiguration"`
}

// ThingIndexing says what the index of things holds.
type ThingIndexing struct {
	Mode          string          `json:"thingIndexingMode"`
	Connectivity  string          `json:"thingConnectivityIndexingMode"`
	Defender      string          `json:"deviceDefenderIndexingMode"`
	NamedShadows  string          `json:"namedShadowIndexingMode"`
	ManagedFields []Field         `json:"managedFields,omitempty"` // follow from the modes
	CustomFields  []Field         `json:"customFields,omitempty"`
	Filter        *IndexingFilter `json:"filter,omitempty"`
}

// GroupIndexing says what the index of thing groups holds.
type GroupIndexing struct {
	Mode          string  `json:"thingGroupIndexingMode"`
	ManagedFields []Field `json:"managedFields,omitempty"`
	CustomFields  []Field `json:"customFields,omitempty"`
}

// An IndexingFilter narrows what of the shadows is indexed.
type IndexingFilter struct {
	NamedShadows []string      `json:"namedShadowNames,omitempty"`
	Locations    []GeoLocation `json:"geoLocations,omitempty"`
}

// A GeoLocation is a field that holds a place.
type GeoLocation struct {
	Name  string `json:"name,omitempty"`
	Order string `json:"order,omitempty"` // LatLon, LonLat
}

// GetIndexing reads what the indexes hold; nothing until it was set.
func GetIndexing(ctx context.Context, s Store, t arn.Tenant) (*Indexing, error) {
	in := new(Indexing)
	if _, err := load(ctx, s, t, indexing, theOne, in); err != nil {
		return nil, err
	}
	in.complete()
	return in, nil
}

// UpdateIndexing changes what the indexes hold. A structure that is nil leaves
// its index as it is. Within one, modes that are not given stay, and lists that
// are not given end: else nobody could take a field out.
func UpdateIndexing(ctx context.Context, s Store, t arn.Tenant, things *ThingIndexing, groups *GroupIndexing) error {
	in, err := GetIndexing(ctx, s, t)
	if err != nil {
		return err
	}
	if things != nil {
		in.Things = things.over(in.Things)
	}
	if groups != nil {
		in.Groups = *groups
	}
	in.complete()
	most, err := s.Limit(ctx, t, ref.CustomFields)
	if err != nil {
		return err
	}
	if err := in.check(most); err != nil {
		return err
	}
	return documents.Put(ctx, s, t, indexing, theOne, in)
}

// over gives the modes that are not set those of old. An index that goes off
// takes what it held beside the registry along.
func (in ThingIndexing) over(old ThingIndexing) ThingIndexing {
	if in.Mode == Off {
		old = ThingIndexing{}
	}
	in.Connectivity = cmp.Or(in.Connectivity, old.Connectivity)
	in.Defender = cmp.Or(in.Defender, old.Defender)
	in.NamedShadows = cmp.Or(in.NamedShadows, old.NamedShadows)
	if f := in.Filter; f != nil && len(f.NamedShadows)+len(f.Locations) == 0 {
		in.Filter = nil
	}
	return in
}

// complete fills in what is not set and what follows from the modes. Callers
// cannot change managed fields, as on AWS.
func (in *Indexing) complete() {
	th, g := &in.Things, &in.Groups
	th.Mode = cmp.Or(th.Mode, Off)
	th.Connectivity = cmp.Or(th.Connectivity, Off)
	th.Defender = cmp.Or(th.Defender, Off)
	th.NamedShadows = cmp.Or(th.NamedShadows, Off)
	g.Mode = cmp.Or(g.Mode, Off)
	th.ManagedFields, g.ManagedFields = th.managed(), g.managed()
}

func (in *Indexing) check(most int) error {
	th := in.Things
	if th.Mode == Off && (th.Connectivity != Off || th.Defender != Off || th.NamedShadows != Off) {
		return fault.New(fault.InvalidRequest, "thingIndexingMode is OFF; expected REGISTRY or REGISTRY_AND_SHADOW with the other modes that are on.")
	}
	if err := checkFields(th.CustomFields, th.ManagedFields, most); err != nil {
		return err
	}
	return checkFields(in.Groups.CustomFields, in.Groups.ManagedFields, most)
}

func checkFields(custom, managed []Field, most int) error {
	if len(custom) > most {
		return fault.New(fault.InvalidRequest, "There are %d custom fields in one index; the limit is %d.", len(custom), most)
	}
	for i, f := range custom {
		if f.Name == "" || f.Type == "" {
			return fault.New(fault.InvalidRequest, "Custom field %d: expected a name and a type.", i+1)
		}
		same := func(other Field) bool { return other.Name == f.Name }
		if slices.ContainsFunc(managed, same) || slices.ContainsFunc(custom[:i], same) {
			return fault.New(fault.InvalidRequest, "Custom field %q is there already.", arn.Clip(f.Name, 120))
		}
	}
	return nil
}
