// Package trail writes down what callers of the control plane change.
//
// A DB is a store.DB that looks over the shoulder of every Update whose context
// carries a Cause: it notes each resource that the function writes, as it was
// and as it became, and appends one audit record to the same transaction. What
// has no cause, as whatever devices do, passes by untouched.
package trail

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/store"
)

// A Cause is the call on whose behalf something is written.
type Cause struct {
	Tenant    arn.Tenant // of the caller: its trail gets the record
	Who       audit.Who
	From      string // address of the caller
	Action    string // such as iot:CreateThing
	RequestID string
}

type causeKey struct{}

// With gives a context whose Updates are recorded.
func With(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, &c)
}

func causeOf(ctx context.Context) *Cause {
	c, _ := ctx.Value(causeKey{}).(*Cause)
	return c
}

// A Viewer shows a document without its secrets.
type Viewer func(body []byte) (any, error)

// DB is a store whose Updates are recorded.
type DB struct {
	store.DB
	now   func() time.Time
	views map[string]Viewer // by kind of document, for those that are not plain JSON
	news  chan struct{}
	noes  refusals
}

// New makes a DB that stamps its records with now.
func New(db store.DB, now func() time.Time, views map[string]Viewer) *DB {
	return &DB{DB: db, now: now, views: views, news: make(chan struct{}, 1)}
}

// Update runs f as the store does. What f writes on behalf of a cause is on
// disk together with its record, or not at all; a function that writes nothing,
// or fails, leaves none. Where the store runs f again, noting begins anew.
func (db *DB) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	cause := causeOf(ctx)
	if cause == nil {
		return db.DB.Update(ctx, f)
	}
	recorded := false
	err := db.DB.Update(ctx, func(ctx context.Context, inner store.Tx) error {
		recorded = false
		tx := &Tx{Tx: inner, db: db, cause: cause}
		if err := f(ctx, tx); err != nil {
			return err
		}
		changes, err := tx.changes(ctx)
		if err != nil || len(changes) == 0 {
			return err
		}
		r := db.record(cause)
		r.Outcome, r.Changes, r.More = audit.Done, changes, tx.more
		recorded = true
		return inner.AppendAudit(ctx, r)
	})
	if err == nil && recorded {
		db.tell()
	}
	return err
}

func (db *DB) record(c *Cause) *audit.Record {
	return &audit.Record{
		At: db.now(), Account: c.Tenant.Account, Region: c.Tenant.Region,
		Who: c.Who, From: c.From, Action: c.Action, RequestID: c.RequestID,
	}
}

// Recorded receives a token after a record was written that is to be sealed.
func (db *DB) Recorded() <-chan struct{} { return db.news }

func (db *DB) tell() {
	select {
	case db.news <- struct{}{}:
	default:
	}
}
