package records

import (
	"context"
	"encoding/json"
	"strings"

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
	if r, ok := recall[thingRow](tx.held, named{t, name}); ok && !tx.ended {
		return r.thing(t)
	}
	var r thingRow
	found, err := tx.get(ctx, "SELECT "+thingColumns+" FROM things WHERE tenant = $1 AND name = $2",
		[]any{t.String(), name}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noThing(name)
	}
	tx.held.keepThing(t, r)
	return r.thing(t)
}

// InsertThing writes a thing whose name is free.
func (tx *Tx) InsertThing(ctx context.Context, th *things.Thing) error {
	attributes, err := attributesText(th.Attributes)
	if err != nil {
		return err
	}
	r := thingRow{th.Name, th.ID, th.Type, th.BillingGroup, attributes, th.Version, micros(th.Created)}
	n, err := tx.exec(ctx, "INSERT INTO things (tenant, "+thingColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
		th.Tenant.String(), r.name, r.id, r.kind, r.billing, r.attributes, r.version, r.created)
	if err == nil && n > 0 {
		tx.held.keepThing(th.Tenant, r)
	}
	return expect(n, err, fault.Exists, "Thing %s exists already.", th.Name)
}

// UpdateThing writes type, billing group, attributes and version.
func (tx *Tx) UpdateThing(ctx context.Context, th *things.Thing) error {
	attributes, err := attributesText(th.Attributes)
	if err != nil {
		return err
	}
	tx.held.drop(named{th.Tenant, th.Name})
	n, err := tx.exec(ctx, "UPDATE things SET type = $1, billing = $2, attributes = $3, version = $4 WHERE tenant = $5 AND name = $6",
		th.Type, th.BillingGroup, attributes, th.Version, th.Tenant.String(), th.Name)
	if err == nil && n == 0 {
		return noThing(th.Name)
	}
	return err
}

// DeleteThing removes the thing alone; its links are the caller's.
func (tx *Tx) DeleteThing(ctx context.Context, t arn.Tenant, name string) error {
	tx.held.drop(named{t, name})
	n, err := tx.exec(ctx, "DELETE FROM things WHERE tenant = $1 AND name = $2", t.String(), name)
	if err == nil && n == 0 {
		return noThing(name)
	}
	return err
}

// ListThings orders by name, and by value before name where the filter leaves
// the value open.
func (tx *Tx) ListThings(ctx context.Context, t arn.Tenant, f things.Filter, p ref.Page) ([]*things.Thing, string, error) {
	if f.Attribute != "" {
		return tx.thingsWith(ctx, t, f, p)
	}
	var r thingRow
	return pages(ctx, tx, thingList(t, f.Type), p, r.dest(), func() (*things.Thing, mark, bool, error) {
		th, err := r.thing(t)
		return th, mark{r.name}, true, err
	})
}

func thingList(t arn.Tenant, kind string) list {
	if kind == "" {
		return list{
			name:  "things",
			query: "SELECT " + thingColumns + " FROM things WHERE tenant = $1",
			args:  []any{t.String()},
			order: []string{"name"},
		}
	}
	// The names come from the index of types alone: asked for whole things of a
	// type, SQLite rather reads all things in the order of their names.
	return list{
		name: "things of a type",
		query: "SELECT t." + strings.ReplaceAll(thingColumns, ", ", ", t.") + " FROM things k CROSS JOIN things t" +
			" WHERE t.tenant = k.tenant AND t.name = k.name AND k.tenant = $1 AND k.type <> '' AND k.type = $2",
		args:  []any{t.String(), kind},
		order: []string{"k.name"},
	}
}

// patience is how many things one list looks at for those of a type among
// those with an attribute; stride is how many it reads at a time.
const (
	patience = 1000
	stride   = 100
)

// thingsWith goes along the index of attributes. Where a type is asked for as
// well it reads on until the page is full or its patience ends: then the page
// is short, and the next one goes on from there.
func (tx *Tx) thingsWith(ctx context.Context, t arn.Tenant, f things.Filter, p ref.Page) ([]*things.Thing, string, error) {
	var (
		l     = attributeList(t, f)
		limit = max(p.Limit, 1)
		r     thingRow
		value string
		found []*things.Thing
		last  mark // of found
		more  bool // came after it
	)
	look := func() (none struct{}, at mark, keep bool, err error) {
		at = mark{value, r.name}[2-len(l.order):]
		if more = len(found) == limit; more || (f.Type != "" && r.kind != f.Type) {
			return none, at, false, nil
		}
		th, err := r.thing(t)
		found, last = append(found, th), at
		return none, at, false, err
	}
	part := p
	if f.Type != "" {
		part.Limit = max(limit, stride)
	}
	for seen := 0; seen < patience; seen += part.Limit {
		_, next, err := pages(ctx, tx, l, part, append(r.dest(), &value), look)
		if err != nil {
			return nil, "", err
		}
		if len(found) == limit && (more || next != "") {
			return found, l.cursor(last, p.Descending), nil
		}
		if part.After = next; next == "" {
			break
		}
	}
	return found, part.After, nil
}

// attributeList orders by name where the value is given, and by value where
// its beginning is. The cross join makes SQLite begin with the attributes.
func attributeList(t arn.Tenant, f things.Filter) list {
	l := list{
		name: "things by attribute",
		query: "SELECT " + thingColumns + ", value FROM thing_attributes a CROSS JOIN things t" +
			" WHERE t.tenant = a.tenant AND t.name = a.thing AND a.tenant = $1 AND attribute = $2 AND ",
		args:  []any{t.String(), f.Attribute, f.Value},
		order: []string{"value", "thing"},
	}
	if f.Prefix {
		l.query += "value >= $3 AND value < $4"
		l.args = append(l.args, f.Value+"\U0010FFFF") // no attribute goes on with that
	} else {
		l.query += "value = $3"
		l.order = l.order[1:]
	}
	return l
}
