package things

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Create makes a thing. th gives tenant, name, type, billing group,
// attributes and the moment; Create fills the ID and the version.
//
// A thing of the same name and content is taken for the one asked for: th then
// holds it as stored. With other content Create fails with fault.Exists.
func Create(ctx context.Context, s Store, th *Thing) error {
	if err := checkShape(ctx, s, th); err != nil {
		return err
	}
	old, err := s.Thing(ctx, th.Tenant, th.Name)
	if err == nil {
		return reuse(th, old)
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	if err := checkParts(ctx, s, th); err != nil {
		return err
	}
	return insert(ctx, s, th)
}

// Insert adds a thing whose absence, type and billing group the caller has
// looked up in the same transaction.
func Insert(ctx context.Context, s Store, th *Thing) error {
	if err := checkShape(ctx, s, th); err != nil {
		return err
	}
	return insert(ctx, s, th)
}

func insert(ctx context.Context, s Store, th *Thing) error {
	if th.ID == "" {
		th.ID = ref.ID(th.Tenant.String(), "thing", th.Name, th.Created)
	}
	th.Version = 1
	if err := s.InsertThing(ctx, th); err != nil {
		return err
	}
	if th.BillingGroup != "" {
		link := ref.Link{Left: th.BillingGroup, Right: th.Name, Created: th.Created}
		if _, err := s.PutLink(ctx, th.Tenant, ref.BillingThing, link); err != nil {
			return err
		}
	}
	changed(s, th, event.Created, th.Created)
	return nil
}

// checkParts looks up what a new thing names.
func checkParts(ctx context.Context, s Store, th *Thing) error {
	if th.Type != "" {
		ty, err := s.ThingType(ctx, th.Tenant, th.Type)
		if err != nil {
			return missing(err, "Thing type %s does not exist.", th.Type)
		}
		if ty.Deprecated {
			// The spelling is AWS's (rest-api.md, section 7.1).
			return fault.New(fault.InvalidRequest, "Can not create new thing with depreated thing type:%s", th.Type)
		}
	}
	if th.BillingGroup != "" {
		if _, err := s.BillingGroup(ctx, th.Tenant, th.BillingGroup); err != nil {
			return missing(err, "Billing group %s does not exist.", th.BillingGroup)
		}
	}
	return nil
}

// checkShape checks what needs no look at other resources.
func checkShape(ctx context.Context, s Store, th *Thing) error {
	if err := checkName("Thing name", th.Name); err != nil {
		return err
	}
	th.Attributes = nextAttributes(nil, th.Attributes, false)
	return checkOwn(ctx, s, th)
}

func reuse(th, old *Thing) error {
	if old.Type == th.Type && old.BillingGroup == th.BillingGroup && maps.Equal(old.Attributes, th.Attributes) {
		*th = *old
		return nil
	}
	e := fault.New(fault.Exists, "Thing %s already exists in account with different attributes", th.Name)
	e.ResourceID, e.ResourceARN = th.Name, th.Tenant.Thing(th.Name)
	return e
}

// A Change is what Update does to a thing; zero members change nothing.
type Change struct {
	Type            string            // the new type
	RemoveType      bool              // excludes Type
	Attributes      map[string]string // nil: they stay
	Merge           bool              // else Attributes replace; an empty value removes
	ExpectedVersion int64             // 0: any
}

// Update changes a thing and gives it as stored.
func Update(ctx context.Context, s Store, t arn.Tenant, name string, ch Change, now time.Time) (*Thing, error) {
	th, err := s.Thing(ctx, t, name)
	if err != nil {
		return nil, missing(err, "Thing %s does not exist.", name)
	}
	if err := checkVersion("thing", name, ch.ExpectedVersion, th.Version); err != nil {
		return nil, err
	}
	was := th.Type
	if err := retype(ctx, s, th, ch); err != nil {
		return nil, err
	}
	if ch.Attributes != nil {
		th.Attributes = nextAttributes(th.Attributes, ch.Attributes, ch.Merge)
	}
	th.Version++
	if err := Save(ctx, s, th, now); err != nil {
		return nil, err
	}
	Retyped(s, th, was, now)
	return th, nil
}

// Retyped tells that a thing that was there already has another type now, if
// it has.
func Retyped(s Store, th *Thing, was string, now time.Time) {
	for _, step := range []struct{ what, ty string }{{event.Removed, was}, {event.Added, th.Type}} {
		if was != th.Type && step.ty != "" {
			s.Emit(event.Event{Kind: event.ThingTyped, Tenant: th.Tenant, ID: th.Name, Detail: step.what + " " + step.ty, At: now})
		}
	}
}

// Save stores a thing whose content the caller worked out, with the version
// that the caller gave it.
func Save(ctx context.Context, s Store, th *Thing, now time.Time) error {
	if err := checkOwn(ctx, s, th); err != nil {
		return err
	}
	if err := s.UpdateThing(ctx, th); err != nil {
		return err
	}
	changed(s, th, event.Updated, now)
	return nil
}

func retype(ctx context.Context, s Store, th *Thing, ch Change) error {
	if ch.RemoveType && ch.Type != "" {
		return fault.New(fault.InvalidRequest, "removeThingType and thingTypeName exclude each other.")
	}
	if ch.RemoveType {
		th.Type = ""
	}
	if ch.Type == "" {
		return nil
	}
	ty, err := s.ThingType(ctx, th.Tenant, ch.Type)
	if err != nil {
		return missing(err, "Thing type %s does not exist.", ch.Type)
	}
	if ty.Deprecated {
		return fault.New(fault.InvalidRequest, "Can not update a thing to use deprecated thing type: %s", ch.Type)
	}
	th.Type = ch.Type
	return nil
}

// Delete removes a thing with its memberships. A thing that is absent is
// deleted already; one that holds a principal cannot be deleted.
func Delete(ctx context.Context, s Store, t arn.Tenant, name string, expectedVersion int64, now time.Time) error {
	th, err := s.Thing(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkVersion("thing", name, expectedVersion, th.Version); err != nil {
		return err
	}
	held, _, err := s.Rights(ctx, t, ref.ThingPrincipal, name, ref.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fault.New(fault.InvalidRequest, "Cannot delete. Thing %s is still attached to one or more principals", name)
	}
	err = leaveAll(ctx, s, t, ref.GroupThing, name, func(group string) { left(s, t, group, name, Gone{Thing: th.ID}, now) })
	if err != nil {
		return err
	}
	if err := leaveAll(ctx, s, t, ref.BillingThing, name, func(string) {}); err != nil {
		return err
	}
	if err := s.DeleteThing(ctx, t, name); err != nil {
		return err
	}
	changed(s, th, event.Deleted, now)
	return nil
}

func leaveAll(ctx context.Context, s Store, t arn.Tenant, kind ref.Kind, thing string, gone func(left string)) error {
	links, _, err := s.Lefts(ctx, t, kind, thing, ref.All)
	if err != nil {
		return err
	}
	for _, l := range links {
		if _, err := s.DropLink(ctx, t, kind, l.Left, thing); err != nil {
			return err
		}
		gone(l.Left)
	}
	return nil
}

func changed(s Store, th *Thing, what string, now time.Time) {
	s.Emit(event.Event{Kind: event.ThingChanged, Tenant: th.Tenant, ID: th.Name, Detail: what, Body: lastState(what, th), At: now})
}

// lastState is what an event tells of something that nobody can read any more.
func lastState(what string, v any) string {
	if what != event.Deleted {
		return ""
	}
	body, _ := json.Marshal(v) // texts, numbers and moments: it cannot fail
	return string(body)
}

// missing puts a sentence on a fault.Missing and leaves other errors alone.
func missing(err error, format string, args ...any) error {
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Missing, err, format, args...)
	}
	return err
}
