package things

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Groups gives the names of the static groups that hold the thing itself, at
// most ten; their ancestors are not among them.
func Groups(ctx context.Context, s Store, t arn.Tenant, thing string) ([]string, error) {
	links, _, err := s.Lefts(ctx, t, ref.GroupThing, thing, ref.All)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.Left
	}
	return names, nil
}

// Join puts a thing into a group; a member is left as it is. A thing is in at
// most ten groups, and not in two of one hierarchy (rest-api.md, section 7.2).
func Join(ctx context.Context, s Store, t arn.Tenant, group, thing string, now time.Time) error {
	up, err := Ancestors(ctx, s, t, group)
	if err != nil {
		return err
	}
	if len(up) == 0 {
		return checkName("Thing group name", group)
	}
	if _, err := s.Thing(ctx, t, thing); err != nil {
		return missing(err, "Thing %s does not exist.", thing)
	}
	held, err := Groups(ctx, s, t, thing)
	if err != nil {
		return err
	}
	root := up[len(up)-1].Name
	for _, other := range held {
		if other == group {
			return nil
		}
		theirs, err := Ancestors(ctx, s, t, other)
		if err != nil {
			return err
		}
		if theirs[len(theirs)-1].Name == root {
			return fault.New(fault.InvalidRequest, "Thing %s is in group %s already, which belongs to the same hierarchy as %s.", thing, other, group)
		}
	}
	most, err := s.Limit(ctx, t, ref.GroupsPerThing)
	if err != nil {
		return err
	}
	if len(held) >= most {
		return fault.New(fault.InvalidRequest, "Thing %s is in %d groups; the limit is %d.", thing, len(held), most)
	}
	if _, err := s.PutLink(ctx, t, ref.GroupThing, ref.Link{Left: group, Right: thing, Created: now}); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.ThingGroups, Tenant: t, ID: thing, Detail: event.Added + " " + group, At: now})
	return nil
}

// Leave takes a thing out of a group; one that is not in it has left already.
func Leave(ctx context.Context, s Store, t arn.Tenant, group, thing string, now time.Time) error {
	if _, err := s.Group(ctx, t, group); err != nil {
		return missing(err, "Thing group %s does not exist.", group)
	}
	if _, err := s.Thing(ctx, t, thing); err != nil {
		return missing(err, "Thing %s does not exist.", thing)
	}
	existed, err := s.DropLink(ctx, t, ref.GroupThing, group, thing)
	if err != nil || !existed {
		return err
	}
	left(s, t, group, thing, Gone{}, now)
	return nil
}

// Gone holds the ids of what went together with a membership, as the Body of
// its event has them.
type Gone struct {
	Group string `json:"group,omitempty"`
	Thing string `json:"thing,omitempty"`
}

func left(s Store, t arn.Tenant, group, thing string, gone Gone, now time.Time) {
	e := event.Event{Kind: event.ThingGroups, Tenant: t, ID: thing, Detail: event.Removed + " " + group, At: now}
	if gone != (Gone{}) {
		e.Body = lastState(event.Deleted, gone)
	}
	s.Emit(e)
}
