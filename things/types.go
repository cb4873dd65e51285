package things

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// CreateType makes a thing type. ty gives name, description, searchable
// attributes, tags and the moment; CreateType fills the ID. The same content
// again succeeds and leaves ty as stored, other content is fault.Exists.
func CreateType(ctx context.Context, s Store, t arn.Tenant, ty *Type) error {
	if err := checkName("Thing type name", ty.Name); err != nil {
		return err
	}
	if err := checkType(ctx, s, t, ty); err != nil {
		return err
	}
	if _, err := ref.Retag(ctx, s, t, nil, ty.Tags, nil); err != nil {
		return err
	}
	old, err := s.ThingType(ctx, t, ty.Name)
	if err == nil {
		if old.Description != ty.Description || !slices.Equal(old.Searchable, ty.Searchable) || !slices.Equal(old.Propagating, ty.Propagating) {
			return exists(t, "Thing Type", "thingtype", ty.Name)
		}
		*ty = *old
		return nil
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	ty.ID = ref.ID(t.String(), "thingtype", ty.Name, ty.Created)
	return putType(ctx, s, t, ty, event.Created, ty.Created)
}

func checkType(ctx context.Context, s Store, t arn.Tenant, ty *Type) error {
	if err := checkSearchable(ctx, s, t, ty.Searchable); err != nil {
		return err
	}
	most, err := s.Limit(ctx, t, ref.PropagatedAttributes)
	if err != nil {
		return err
	}
	if len(ty.Propagating) > most {
		return fault.New(fault.InvalidRequest, "There are %d propagating attributes; the limit is %d.", len(ty.Propagating), most)
	}
	for i, p := range ty.Propagating {
		if p.UserProperty == "" || (p.Thing == "") == (p.Connection == "") {
			return fault.New(fault.InvalidRequest, "propagatingAttributes[%d]: expected userPropertyKey and either thingAttribute or connectionAttribute.", i)
		}
	}
	return nil
}

func checkSearchable(ctx context.Context, s Store, t arn.Tenant, names []string) error {
	most, err := s.Limit(ctx, t, ref.SearchableAttributes)
	if err != nil {
		return err
	}
	if len(names) > most {
		return fault.New(fault.InvalidRequest, "There are %d searchable attributes; the limit is %d.", len(names), most)
	}
	for _, name := range names {
		if !attributeForm.MatchString(name) {
			return fault.New(fault.InvalidRequest, "Searchable attribute %q: expected 1 to 128 of letters, digits and _.,@/:#-", arn.Clip(name, 140))
		}
	}
	return nil
}

// A TypeChange is what UpdateType replaces; nil members stay.
type TypeChange struct {
	Description *string
	Searchable  []string
	Propagating []Propagation
}

// UpdateType changes the properties of a type, which nothing else does.
func UpdateType(ctx context.Context, s Store, t arn.Tenant, name string, ch TypeChange, now time.Time) error {
	return changeType(ctx, s, t, name, event.Updated, now, func(ty *Type) error {
		if ch.Description != nil {
			ty.Description = *ch.Description
		}
		if ch.Searchable != nil {
			ty.Searchable = ch.Searchable
		}
		if ch.Propagating != nil {
			ty.Propagating = ch.Propagating
		}
		return checkType(ctx, s, t, ty)
	})
}

// Deprecate says that no further thing may take the type, or takes it back.
func Deprecate(ctx context.Context, s Store, t arn.Tenant, name string, undo bool, now time.Time) error {
	return changeType(ctx, s, t, name, event.Updated, now, func(ty *Type) error {
		if !undo && ty.Deprecated {
			return nil // the date stays that of the first time
		}
		ty.Deprecated, ty.DeprecatedAt = !undo, time.Time{}
		if !undo {
			ty.DeprecatedAt = now
		}
		return nil
	})
}

// TagType writes the tags of set and removes the keys of remove.
func TagType(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string, now time.Time) error {
	return changeType(ctx, s, t, name, "", now, func(ty *Type) (err error) {
		ty.Tags, err = ref.Retag(ctx, s, t, ty.Tags, set, remove)
		return err
	})
}

// DeleteType removes a type that is deprecated and that no thing has. Unlike
// AWS it asks for no five minutes in between.
func DeleteType(ctx context.Context, s Store, t arn.Tenant, name string, now time.Time) error {
	ty, err := s.ThingType(ctx, t, name)
	if err != nil {
		return missing(err, "Thing type %s does not exist.", name)
	}
	if !ty.Deprecated {
		return fault.New(fault.InvalidRequest, "Cannot delete thing type %s: it must be deprecated first.", name)
	}
	users, _, err := s.ListThings(ctx, t, Filter{Type: name}, ref.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fault.New(fault.InvalidRequest, "Cannot delete thing type %s: thing %s still has it.", name, users[0].Name)
	}
	if err := s.DeleteThingType(ctx, t, name); err != nil {
		return err
	}
	typeChanged(s, t, ty, event.Deleted, now)
	return nil
}

func changeType(ctx context.Context, s Store, t arn.Tenant, name, what string, now time.Time, change func(*Type) error) error {
	ty, err := s.ThingType(ctx, t, name)
	if err != nil {
		return missing(err, "Thing type %s does not exist.", name)
	}
	if err := change(ty); err != nil {
		return err
	}
	return putType(ctx, s, t, ty, what, now)
}

func putType(ctx context.Context, s Store, t arn.Tenant, ty *Type, what string, now time.Time) error {
	if err := s.PutThingType(ctx, t, ty); err != nil {
		return err
	}
	typeChanged(s, t, ty, what, now)
	return nil
}

func typeChanged(s Store, t arn.Tenant, ty *Type, what string, now time.Time) {
	s.Emit(event.Event{Kind: event.TypeChanged, Tenant: t, ID: ty.Name, Detail: what, Body: lastState(what, ty), At: now})
}

func exists(t arn.Tenant, what, kind, name string) error {
	e := fault.New(fault.Exists, "%s %s already exists in current account with different properties", what, name)
	e.ResourceID, e.ResourceARN = name, t.Resource(kind, name)
	return e
}
