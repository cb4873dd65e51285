package trail

import (
	"context"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// Acted records what a caller did outside the registry, such as ending a
// connection: no Update of the call shows it. It comes after the act, so that
// a record says what was done; what has no cause leaves none.
func (db *DB) Acted(ctx context.Context, kind, name string, before, after any) error {
	cause := causeOf(ctx)
	if cause == nil {
		return nil
	}
	c := audit.Change{Kind: kind, Name: name}
	var err error
	if c.Before, err = audit.View(before); err == nil {
		c.After, err = audit.View(after)
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "It was done, and its audit record cannot be written.")
	}
	r := db.record(cause)
	r.Outcome, r.Changes = audit.Done, []audit.Change{c}
	err = db.DB.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx store.Tx) error { return tx.AppendAudit(ctx, r) })
	if err == nil {
		db.tell()
	}
	return err
}
