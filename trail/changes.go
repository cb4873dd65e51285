package trail

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// A Tx is a transaction whose writes are noted. Methods that read are the
// inner one's; each that writes is in tx.go, as a test asserts.
type Tx struct {
	store.Tx
	db      *DB
	cause   *Cause
	touched []*touch
	known   map[place]bool
	links   int // of those touched
	more    int // links written besides
}

// maxLinks bounds the links that one record names: a group that is deleted may
// have a million members. What else a call writes is always named.
const maxLinks = 1000

// A place is where a resource lies. A link has two ends.
type place struct {
	tenant         arn.Tenant
	kind, name, to string
}

// A reader gives a resource as it is now, fault.Missing if it is not.
type reader func(ctx context.Context) (any, error)

// A touch is one resource that the function is about to write or has written.
type touch struct {
	at     place
	read   reader
	before state
}

// A state is a resource at one moment; the zero state is none at all.
type state struct {
	exact string // tells two states apart; it holds secrets and is never kept
	shown any    // it holds none
}

// touch remembers how a resource is before the function first writes it. After
// the function it is read once more: what then is no different was not
// changed, as when a name was taken.
func (tx *Tx) touch(ctx context.Context, at place, read reader) error {
	if tx.known[at] {
		return nil
	}
	before, err := tx.look(ctx, at, read)
	if err != nil {
		return err
	}
	if tx.known == nil {
		tx.known = make(map[place]bool)
	}
	tx.known[at] = true
	tx.touched = append(tx.touched, &touch{at, read, before})
	return nil
}

func (tx *Tx) look(ctx context.Context, at place, read reader) (state, error) {
	v, err := read(ctx)
	if fault.Is(err, fault.Missing) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	exact, err := json.Marshal(v)
	if err != nil {
		return state{}, fault.Wrap(fault.Internal, err, "The audit record of this call cannot be written.")
	}
	if body, ok := v.([]byte); ok {
		return state{string(exact), tx.document(at.kind, body)}, nil
	}
	return state{string(exact), plain(v)}, nil
}

// document shows a document: as its kind's Viewer does, else as the JSON
// object it is. What is neither may be a secret, as a registration code is, and
// only that it is there shows.
func (tx *Tx) document(kind string, body []byte) any {
	if view, ok := tx.db.views[kind]; ok {
		if v, err := view(body); err == nil {
			return v
		}
		return map[string]any{"content": audit.Hidden}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil {
		return json.RawMessage(body)
	}
	return map[string]any{"content": audit.Hidden}
}

// changes gives what became of the resources that were touched, in the order
// in which they were.
func (tx *Tx) changes(ctx context.Context) ([]audit.Change, error) {
	var out []audit.Change
	for _, t := range tx.touched {
		after, err := tx.look(ctx, t.at, t.read)
		if err != nil {
			return nil, err
		}
		if after.exact == t.before.exact {
			continue
		}
		c, err := t.change(after, tx.cause.Tenant)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "The audit record of this call cannot be written.")
		}
		out = append(out, c)
	}
	return out, nil
}

func (t *touch) change(after state, of arn.Tenant) (c audit.Change, err error) {
	c = audit.Change{Kind: strings.ReplaceAll(t.at.kind, " ", ""), Name: t.at.name, To: t.at.to}
	if t.at.tenant.Account != of.Account {
		c.Account = t.at.tenant.Account
	}
	if t.at.tenant.Region != of.Region {
		c.Region = t.at.tenant.Region
	}
	was, is := shorten(t.before.shown, after.shown)
	if c.Before, err = audit.View(was); err != nil {
		return c, err
	}
	if c.After, err = audit.View(is); err != nil || string(c.Before) != string(c.After) {
		return c, err
	}
	c.After, err = audit.View(map[string]any{"hidden": "changed", "shown": c.After}) // what changed is a secret
	return c, err
}
