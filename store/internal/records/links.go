package records

import (
	"context"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// PutLink ties two names together. A link that was there keeps its data.
func (tx *Tx) PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (bool, error) {
	n, err := tx.exec(ctx, "INSERT INTO links (tenant, kind, left_end, right_end, data, created) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		t.String(), string(k), l.Left, l.Right, l.Data, micros(l.Created))
	if err == nil && n > 0 {
		tx.held.tie(t, k, l)
	}
	return n > 0, err
}

// DropLink unties two names, and says whether they were tied.
func (tx *Tx) DropLink(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (bool, error) {
	tx.held.drop(tied{t, k, right})
	n, err := tx.exec(ctx, "DELETE FROM links WHERE tenant = $1 AND kind = $2 AND left_end = $3 AND right_end = $4",
		t.String(), string(k), left, right)
	return n > 0, err
}

// Link gives one link.
func (tx *Tx) Link(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (ref.Link, error) {
	l := ref.Link{Left: left, Right: right}
	var created int64
	found, err := tx.get(ctx, "SELECT data, created FROM links WHERE tenant = $1 AND kind = $2 AND left_end = $3 AND right_end = $4",
		[]any{t.String(), string(k), left, right}, &l.Data, &created)
	if err == nil && !found {
		err = fault.New(fault.Missing, "%s and %s are not tied together.", arn.Clip(left, 256), arn.Clip(right, 256))
	}
	l.Created = moment(created)
	return l, err
}

// Lefts gives what is tied to the right name, ordered by the left one.
func (tx *Tx) Lefts(ctx context.Context, t arn.Tenant, k ref.Kind, right string, p ref.Page) ([]ref.Link, string, error) {
	at, whole := tied{t, k, right}, p.After == "" && !p.Descending
	if known, ok := recall[[]ref.Link](tx.held, at); ok && whole && len(known) <= p.Limit && !tx.ended {
		return slices.Clone(known), "", nil
	}
	links, next, err := tx.links(ctx, t, k, "right_end", right, []string{"left_end"}, p)
	if err == nil && next == "" && whole {
		tx.held.keepTies(at, slices.Clone(links))
	}
	return links, next, err
}

// Rights gives what is tied to the left name, in the order in which it was tied.
func (tx *Tx) Rights(ctx context.Context, t arn.Tenant, k ref.Kind, left string, p ref.Page) ([]ref.Link, string, error) {
	return tx.links(ctx, t, k, "left_end", left, []string{"#created", "right_end"}, p)
}

// links gives what one end is tied to; the order names columns of links.
func (tx *Tx) links(ctx context.Context, t arn.Tenant, k ref.Kind, end, name string, order []string, p ref.Page) ([]ref.Link, string, error) {
	l := list{
		name:  "links by " + end,
		query: "SELECT left_end, right_end, data, created FROM links WHERE tenant = $1 AND kind = $2 AND " + end + " = $3",
		args:  []any{t.String(), string(k), name},
		order: order,
	}
	var (
		r       ref.Link
		created int64
	)
	return pages(ctx, tx, l, p, []any{&r.Left, &r.Right, &r.Data, &created}, func() (ref.Link, mark, bool, error) {
		r.Created = moment(created)
		if end == "left_end" {
			return r, mark{created, r.Right}, true, nil
		}
		return r, mark{r.Left}, true, nil
	})
}
