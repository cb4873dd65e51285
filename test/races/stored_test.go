package races

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// stored reads the whole account, each link from both of its ends.
func (a *account) stored(ctx context.Context) (r *registry, err error) {
	err = a.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		r = blank()
		for _, read := range []func(context.Context, store.Tx, *registry) error{a.readThings, a.readRest, a.readLinks} {
			if err := read(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

func (a *account) readThings(ctx context.Context, tx store.Tx, r *registry) error {
	all, _, err := tx.ListThings(ctx, a.tenant, things.Filter{}, ref.All)
	for _, th := range all {
		r.Things[th.Name] = thing{th.Attributes["by"], th.BillingGroup, int(th.Version)}
	}
	return err
}

func (a *account) readRest(ctx context.Context, tx store.Tx, r *registry) error {
	groups, _, err := tx.ListGroups(ctx, a.tenant, ref.All)
	if err != nil {
		return err
	}
	for _, g := range groups {
		r.Groups[g.Name] = g.Parent
	}
	billing, _, err := tx.ListBillingGroups(ctx, a.tenant, ref.All)
	if err != nil {
		return err
	}
	for _, g := range billing {
		r.Billing[g.Name] = true
	}
	policies, _, err := tx.ListPolicies(ctx, a.tenant, ref.All)
	if err != nil {
		return err
	}
	for _, p := range policies {
		var ids []string
		for _, v := range p.Versions {
			ids = append(ids, v.ID)
		}
		r.Policies[p.Name] = docs{strings.Join(ids, " "), p.Next}
	}
	for _, name := range certNames {
		c, err := tx.Certificate(ctx, a.tenant, certID(name))
		if err == nil {
			r.Certs[name] = string(c.Status)
		} else if !fault.Is(err, fault.Missing) {
			return err
		}
	}
	return nil
}

// readLinks asks for the links of every name that there could be, whether or
// not it is there now, so that one that dangles is seen.
func (a *account) readLinks(ctx context.Context, tx store.Tx, r *registry) error {
	targets := map[string]string{}
	for _, name := range append(slices.Clone(certNames), groupNames...) {
		targets[a.target(name)] = name
	}
	return errors.Join(
		a.ends(ctx, tx, ref.ThingPrincipal, thingNames, targets, func(l ref.Link) { r.Holds[pair{l.Left, targets[l.Right]}] = l.Data }),
		a.ends(ctx, tx, ref.PolicyTarget, policyNames, targets, func(l ref.Link) { r.Bound[pair{l.Left, targets[l.Right]}] = true }),
		a.ends(ctx, tx, ref.GroupThing, groupNames, same(thingNames), func(l ref.Link) { r.Members[pair{l.Left, l.Right}] = true }),
		a.ends(ctx, tx, ref.BillingThing, billingNames, same(thingNames), func(l ref.Link) {
			if th, there := r.Things[l.Right]; !there || th.Billing != l.Left {
				r.Members[pair{l.Left, l.Right}] = true // which no model has
			}
		}),
	)
}

func same(names []string) map[string]string {
	m := map[string]string{}
	for _, n := range names {
		m[n] = n
	}
	return m
}

// ends reads the links of a kind from the left and from the right, and says
// when the two do not show the same.
func (a *account) ends(ctx context.Context, tx store.Tx, kind ref.Kind, from []string, to map[string]string, each func(ref.Link)) error {
	seen := map[pair]int{}
	for _, name := range from {
		links, _, err := tx.Rights(ctx, a.tenant, kind, name, ref.All)
		if err != nil {
			return err
		}
		for _, l := range links {
			seen[pair{l.Left, l.Right}]++
			each(l)
		}
	}
	for name := range to {
		links, _, err := tx.Lefts(ctx, a.tenant, kind, name, ref.All)
		if err != nil {
			return err
		}
		for _, l := range links {
			seen[pair{l.Left, l.Right}]--
		}
	}
	for p, n := range seen {
		if n != 0 {
			return fmt.Errorf("the %s link %v is seen from one end only", kind, p)
		}
	}
	return nil
}
