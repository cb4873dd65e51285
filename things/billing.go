package things

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// CreateBillingGroup makes a billing group. g gives name, description, tags
// and the moment; the same content again succeeds and leaves g as stored.
func CreateBillingGroup(ctx context.Context, s Store, t arn.Tenant, g *BillingGroup) error {
	if err := checkName("Billing group name", g.Name); err != nil {
		return err
	}
	if _, err := ref.Retag(ctx, s, t, nil, g.Tags, nil); err != nil {
		return err
	}
	old, err := s.BillingGroup(ctx, t, g.Name)
	if err == nil {
		if old.Description != g.Description {
			return exists(t, "Billing Group", "billinggroup", g.Name)
		}
		*g = *old
		return nil
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	g.ID, g.Version = ref.ID(t.String(), "billinggroup", g.Name, g.Created), 1
	return s.PutBillingGroup(ctx, t, g)
}

// UpdateBillingGroup changes the description and gives the new version.
func UpdateBillingGroup(ctx context.Context, s Store, t arn.Tenant, name, description string, expectedVersion int64) (int64, error) {
	g, err := s.BillingGroup(ctx, t, name)
	if err != nil {
		return 0, missing(err, "Billing group %s does not exist.", name)
	}
	if err := checkVersion("billing group", name, expectedVersion, g.Version); err != nil {
		return 0, err
	}
	g.Description = description
	g.Version++
	return g.Version, s.PutBillingGroup(ctx, t, g)
}

// TagBillingGroup writes the tags of set and removes the keys of remove.
func TagBillingGroup(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	g, err := s.BillingGroup(ctx, t, name)
	if err != nil {
		return missing(err, "Billing group %s does not exist.", name)
	}
	if g.Tags, err = ref.Retag(ctx, s, t, g.Tags, set, remove); err != nil {
		return err
	}
	return s.PutBillingGroup(ctx, t, g)
}

// DeleteBillingGroup removes a billing group and lets its members go. An
// absent one is deleted already.
func DeleteBillingGroup(ctx context.Context, s Store, t arn.Tenant, name string, expectedVersion int64, now time.Time) error {
	g, err := s.BillingGroup(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkVersion("billing group", name, expectedVersion, g.Version); err != nil {
		return err
	}
	for {
		links, next, err := s.Rights(ctx, t, ref.BillingThing, name, ref.All)
		if err != nil {
			return err
		}
		for _, l := range links {
			if err := LeaveBilling(ctx, s, t, name, l.Right, now); err != nil {
				return err
			}
		}
		if next == "" {
			return s.DeleteBillingGroup(ctx, t, name)
		}
	}
}

// JoinBilling puts a thing into a billing group. A thing is in at most
// one; joining another moves it nowhere and fails.
func JoinBilling(ctx context.Context, s Store, t arn.Tenant, group, thing string, now time.Time) error {
	if _, err := s.BillingGroup(ctx, t, group); err != nil {
		return missing(err, "Billing group %s does not exist.", group)
	}
	th, err := s.Thing(ctx, t, thing)
	if err != nil {
		return missing(err, "Thing %s does not exist.", thing)
	}
	if th.BillingGroup == group {
		return nil
	}
	if th.BillingGroup != "" {
		return fault.New(fault.InvalidRequest, "Thing %s is in billing group %s already; it must leave that first.", thing, th.BillingGroup)
	}
	if _, err := s.PutLink(ctx, t, ref.BillingThing, ref.Link{Left: group, Right: thing, Created: now}); err != nil {
		return err
	}
	return moveBilling(ctx, s, th, group, now)
}

// LeaveBilling takes a thing out of a billing group; one that is not in
// it has left already.
func LeaveBilling(ctx context.Context, s Store, t arn.Tenant, group, thing string, now time.Time) error {
	if _, err := s.BillingGroup(ctx, t, group); err != nil {
		return missing(err, "Billing group %s does not exist.", group)
	}
	th, err := s.Thing(ctx, t, thing)
	if err != nil {
		return missing(err, "Thing %s does not exist.", thing)
	}
	existed, err := s.DropLink(ctx, t, ref.BillingThing, group, thing)
	if err != nil || !existed {
		return err
	}
	return moveBilling(ctx, s, th, "", now)
}

func moveBilling(ctx context.Context, s Store, th *Thing, group string, now time.Time) error {
	th.BillingGroup = group
	th.Version++
	if err := s.UpdateThing(ctx, th); err != nil {
		return err
	}
	changed(s, th, event.Updated, now)
	return nil
}
