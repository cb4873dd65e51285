package postgres

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/internal/records"
)

const (
	// tries bounds how often a function runs. Of those in a conflict one wins
	// every time, so it bounds how many may fight over one record.
	tries = 60
	// patience bounds one run, so that a connection which hangs is given up.
	patience = 30 * time.Second
	// longest is the longest pause between two runs.
	longest = 64 * time.Millisecond
)

// A job is one function that Update runs.
type job func(context.Context, store.Tx) error

// errAgain says that nothing was stored and the function may run again.
var errAgain = errors.New("run it again")

func (db *DB) update(ctx context.Context, j job) error {
	for n := range tries {
		err := db.attempt(ctx, j)
		if !errors.Is(err, errAgain) {
			return err
		}
		db.retries.Add(1)
		if err := db.pause(ctx, n); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "Too many changes met on the same records; nothing was stored; try again.")
}

// attempt runs the function once. It gives errAgain where another run is safe
// and may help.
func (db *DB) attempt(ctx context.Context, j job) error {
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	t, err := c.BeginTx(own, pgx.TxOptions{IsoLevel: pgx.Serializable})
	if err != nil {
		return lost(err)
	}
	over := false
	defer func() {
		if !over { // refused, failed, panicked or gone
			t.Rollback(own)
		}
	}()
	run := &conn{tx: t}
	tx := records.New(run, &db.memory, nil, db.now, db.node)
	events, err := perform(own, j, tx)
	switch {
	case run.again:
		return errAgain
	case err != nil:
		return err
	case run.failed != nil:
		return run.failed
	}
	if err := db.post(own, run, events); err != nil {
		if run.again {
			return errAgain
		}
		return err
	}
	over = true
	if err := committed(t.Commit(own)); err != nil {
		return err
	}
	if run.wrote {
		db.commits.Add(1)
	}
	if len(events) > 0 {
		db.poke()
	}
	return nil
}

// perform ends the Tx also when the function panics or ends its goroutine.
func perform(ctx context.Context, j job, tx *records.Tx) (events []event.Event, err error) {
	defer func() { events = tx.End() }()
	return nil, j(ctx, tx)
}

// committed judges what COMMIT answered. It does not ask pgconn.SafeToRetry:
// that says yes to the "conn closed" which Commit gives for a connection that
// broke after COMMIT was sent.
func committed(err error) error {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.SeverityUnlocalized == "ERROR":
		if conflict(e) {
			return errAgain
		}
		return fault.Wrap(fault.Internal, err, "The commit failed and nothing was stored; try again.")
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return fault.Wrap(fault.Internal, err, "The commit failed and nothing was stored; try again.")
	}
	return fault.Wrap(fault.Unavailable, err, "The database was lost while it committed; the outcome is unknown; ask again.")
}

// conflict says whether the transaction lost against another.
func conflict(e *pgconn.PgError) bool {
	return e.Code == "40001" || e.Code == "40P01" // serialization_failure, deadlock_detected
}

// lost judges an error of a connection on which no COMMIT was sent yet.
func lost(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.SeverityUnlocalized == "ERROR" {
		return fault.Wrap(fault.Internal, err, "The database refused a statement.")
	}
	return errAgain
}

// pause waits before the next run, the longer the more often there was one,
// unless the caller leaves first.
func (db *DB) pause(ctx context.Context, n int) error {
	limit := min(time.Millisecond<<min(n, 10), longest)
	t := time.NewTimer(db.jitter(limit))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return callerLeft(ctx.Err())
	case <-db.closed:
		return errClosed()
	}
}

// jitter gives some duration below the limit. It need not be unpredictable,
// only different from its neighbours'.
func (db *DB) jitter(limit time.Duration) time.Duration {
	var h maphash.Hash
	h.SetSeed(db.seed)
	maphash.WriteComparable(&h, db.shake.Add(1))
	return time.Duration(h.Sum64() % uint64(limit))
}

// post writes the events of one transaction as one row of the outbox.
func (db *DB) post(ctx context.Context, c *conn, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	body, err := records.PackEvents(events)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "INSERT INTO outbox (node, count, body) VALUES ($1, $2, $3)", db.node, int64(len(events)), body)
	return err
}
