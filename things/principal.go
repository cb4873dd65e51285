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

// AttachPrincipal ties a principal to a thing; an empty kind is NonExclusive.
// The caller has made sure that the principal exists.
//
// A principal that is attached exclusively belongs to that one thing: no other
// attachment may exist or be added (methods.md, section 1.3). Attaching again
// the same way changes nothing; the other way needs a detach first.
func AttachPrincipal(ctx context.Context, s Store, t arn.Tenant, thing, principal, kind string, now time.Time) error {
	if _, err := s.Thing(ctx, t, thing); err != nil {
		return missing(err, "Thing %s does not exist.", thing)
	}
	return BindPrincipal(ctx, s, t, thing, principal, kind, now)
}

// BindPrincipal is AttachPrincipal for a caller that has seen the thing in the
// same transaction.
func BindPrincipal(ctx context.Context, s Store, t arn.Tenant, thing, principal, kind string, now time.Time) error {
	if kind == "" {
		kind = NonExclusive
	}
	if kind != NonExclusive && kind != Exclusive {
		return fault.New(fault.InvalidRequest, "thingPrincipalType %q: expected %s or %s.", arn.Clip(kind, 40), Exclusive, NonExclusive)
	}
	there, _, err := s.Lefts(ctx, t, ref.ThingPrincipal, principal, ref.All)
	if err != nil {
		return err
	}
	for _, l := range there {
		if l.Left == thing && l.Data == kind {
			return nil
		}
		if l.Left == thing {
			return fault.New(fault.InvalidRequest, "The principal is attached to thing %s as %s; detach it before attaching it as %s.", thing, l.Data, kind)
		}
		if kind == Exclusive || l.Data == Exclusive {
			return fault.New(fault.InvalidRequest, "The principal is attached to thing %s as %s and cannot be attached to %s as %s.", l.Left, l.Data, thing, kind)
		}
	}
	link := ref.Link{Left: thing, Right: principal, Data: kind, Created: now}
	if _, err := s.PutLink(ctx, t, ref.ThingPrincipal, link); err != nil {
		return err
	}
	principalChanged(s, t, thing, principal, now)
	return nil
}

// DetachPrincipal unties a principal from a thing; one that is not attached is
// detached already. An exclusive one spoke for the thing whatever it called
// itself, so its end is told apart: connections are cut.
func DetachPrincipal(ctx context.Context, s Store, t arn.Tenant, thing, principal string, now time.Time) error {
	there, _, err := s.Lefts(ctx, t, ref.ThingPrincipal, principal, ref.All)
	if err != nil {
		return err
	}
	existed, err := s.DropLink(ctx, t, ref.ThingPrincipal, thing, principal)
	if err != nil || !existed {
		return err
	}
	principalChanged(s, t, thing, principal, now)
	if slices.ContainsFunc(there, func(l ref.Link) bool { return l.Left == thing && l.Data == Exclusive }) {
		s.Emit(event.Event{Kind: event.PrincipalUnbound, Tenant: t, ID: thing, Detail: principal, At: now})
	}
	return nil
}

func principalChanged(s Store, t arn.Tenant, thing, principal string, now time.Time) {
	s.Emit(event.Event{Kind: event.PrincipalChanged, Tenant: t, ID: thing, Detail: principal, At: now})
}
