package records

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/things"
)

const thingColumns = "name, id, type, billing, attributes, version, created"

// A thingRow receives thingColumns.
type thingRow struct {
	name, id, kind, billing, attributes string
	version, created                    int64
}

func (r *thingRow) dest() []any {
	return []any{&r.name, &r.id, &r.kind, &r.billing, &r.attributes, &r.version, &r.created}
}

func (r *thingRow) thing(t arn.Tenant) (*things.Thing, error) {
	th := &things.Thing{
		Tenant: t, Name: r.name, ID: r.id, Type: r.kind, BillingGroup: r.billing,
		Version: r.version, Created: moment(r.created),
	}
	if r.attributes == "" {
		return th, nil
	}
	if err := json.Unmarshal([]byte(r.attributes), &th.Attributes); err != nil {
		return nil, damaged(err, "thing "+r.name)
	}
	return th, nil
}

func damaged(err error, what string) error {
	return fault.Wrap(fault.Internal, err, "The record of %s is damaged.", what)
}

// attributesText is empty where there are no attributes.
func attributesText(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}

func noThing(name string) error {
	return fault.New(fault.Missing, "Thing %s does not exist.", arn.Clip(name, 128))
}

// Thing gives the thing with the name.
func (tx *Tx) Thing(ctx context.Context, t arn.Tenant, name string) (*things.Thing, error) {
	var r thingRow
	found, err := tx.get(ctx, "SELECT "+thingColumns+" FROM things WHERE tenant = $1 AND name = $2",
		[]any{t.String(), name}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noThing(name)
	}
	return r.thing(t)
}

// InsertThing writes a thing whose name is free.
func (tx *Tx) InsertThing(ctx context.Context, th *things.Thing) error {
	attributes, err := attributesText(th.Attributes)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "INSERT INTO things (tenant, "+thingColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
		th.Tenant.String(), th.Name, th.ID, th.Type, th.BillingGroup, attributes, th.Version, micros(th.Created))
	return expect(n, err, fault.Exists, "Thing %s exists already.", th.Name)
}

// UpdateThing writes type, billing group, attributes and version.
func (tx *Tx) UpdateThing(ctx context.Context, th *things.Thing) error {
	attributes, err := attributesText(th.Attributes)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "UPDATE things SET type = $1, billing = $2, attributes = $3, version = $4 WHERE tenant = $5 AND name = $6",
		th.Type, th.BillingGroup, attributes, th.Version, th.Tenant.String(), th.Name)
	if err == nil && n == 0 {
		return noThing(th.Name)
	}
	return err
}

// DeleteThing removes the thing alone; its links are the caller's.
func (tx *Tx) DeleteThing(ctx context.Context, t arn.Tenant, name string) error {
	n, err := tx.exec(ctx, "DELETE FROM things WHERE tenant = $1 AND name = $2", t.String(), name)
	if err == nil && n == 0 {
		return noThing(name)
	}
	return err
}

// ListThings orders by name. A type is found by its index; attributes are
// compared row by row, part of the list at a time, until the page is full.
func (tx *Tx) ListThings(ctx context.Context, t arn.Tenant, f things.Filter, p ref.Page) ([]*things.Thing, string, error) {
	if f.Attribute == "" {
		return tx.thingsOfType(ctx, t, f.Type, p)
	}
	const stride = 500
	var out []*things.Thing
	part := p
	part.Limit = stride
	for {
		some, next, err := tx.thingsOfType(ctx, t, f.Type, part)
		if err != nil {
			return nil, "", err
		}
		for i, th := range some {
			if v, ok := th.Attributes[f.Attribute]; !ok || v != f.Value {
				continue
			}
			if out = append(out, th); len(out) < max(p.Limit, 1) {
				continue
			}
			if next == "" && i == len(some)-1 {
				return out, "", nil
			}
			return out, thingList(t, f.Type).cursor(mark{th.Name}, p.Descending), nil
		}
		if next == "" {
			return out, "", nil
		}
		part.After = next
	}
}

func thingList(t arn.Tenant, kind string) list {
	l := list{
		name:  "things",
		query: "SELECT " + thingColumns + " FROM things WHERE tenant = $1",
		args:  []any{t.String()},
		order: []string{"name"},
	}
	if kind != "" {
		l.query += " AND type <> '' AND type = $2"
		l.args = append(l.args, kind)
	}
	return l
}

func (tx *Tx) thingsOfType(ctx context.Context, t arn.Tenant, kind string, p ref.Page) ([]*things.Thing, string, error) {
	var r thingRow
	return pages(ctx, tx, thingList(t, kind), p, r.dest(), func() (*things.Thing, mark, bool, error) {
		th, err := r.thing(t)
		return th, mark{r.name}, true, err
	})
}
