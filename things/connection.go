package things

import (
	"context"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// An Association is the thing that a connection has.
type Association struct {
	Thing       *Thing // nil: none
	Exclusive   bool   // the principal is bound to it, whatever the client id
	Attachments int    // things that the principal is attached to, with this one
}

// OfConnection finds the thing of a connection: the one that its principal is
// bound to exclusively, else the attached one that the client id names
// (policies.md, section 2.1). An unattached thing never counts: DESIGN.md,
// decision 6, strict mode.
func OfConnection(ctx context.Context, s Store, t arn.Tenant, principal, clientID string) (a Association, err error) {
	links, _, err := s.Lefts(ctx, t, ref.ThingPrincipal, principal, ref.All)
	if err != nil {
		return a, err
	}
	a.Attachments = len(links)
	i := slices.IndexFunc(links, func(l ref.Link) bool { return l.Data == Exclusive })
	if i < 0 {
		i = slices.IndexFunc(links, func(l ref.Link) bool { return l.Left == clientID })
	}
	if i < 0 {
		return a, nil
	}
	a.Thing, err = s.Thing(ctx, t, links[i].Left)
	if fault.Is(err, fault.Missing) {
		return a, nil
	}
	a.Exclusive = links[i].Data == Exclusive
	return a, err
}

// Lineage gives the groups of a thing and all that stand above them, each
// once: those whose policies count for it.
func Lineage(ctx context.Context, s Store, t arn.Tenant, thing string) ([]string, error) {
	held, err := Groups(ctx, s, t, thing)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range held {
		for name != "" && !slices.Contains(out, name) {
			out = append(out, name)
			g, err := s.Group(ctx, t, name)
			if fault.Is(err, fault.Missing) {
				break
			}
			if err != nil {
				return nil, err
			}
			name = g.Parent
		}
	}
	return out, nil
}
