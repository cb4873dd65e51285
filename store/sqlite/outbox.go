package sqlite

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// positions are those of rows in the outbox, by their ids.
type positions struct {
	left  atomic.Int64 // up to here they are an earlier process's
	told  atomic.Int64 // up to here they were forgotten …
	swept atomic.Int64 // … and up to here they are deleted
	// when is the last deletion, in nanoseconds.
	when atomic.Int64
}

// sweepEvery is how often rows are deleted, if there is no commit to do it in.
const sweepEvery = 500 * time.Millisecond

// here is the one node that a file has.
const here = "here"

// markLeft remembers which rows of the outbox were there at the start. They
// are an earlier process's, and wait for Adopt.
func (db *DB) markLeft(_ context.Context, c *conn) error {
	last, err := c.number("SELECT COALESCE(MAX(id), 0) FROM outbox")
	db.at.left.Store(last)
	if err != nil {
		return err
	}
	return c.run("UPDATE wills SET holder = '' WHERE holder <> ''")
}

// Outbox gives committed events in commit order. The events of one commit are
// never parted: the last row may bring more than limit asks for.
func (db *DB) Outbox(ctx context.Context, limit int) (events []event.Event, position int64, err error) {
	err = db.writer.peek(ctx, func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		var (
			id   int64
			body string
		)
		position = max(db.at.left.Load(), db.at.told.Load())
		// A bare parameter as the limit would compile the statement anew each time.
		return c.Query(ctx, "SELECT id, body FROM outbox WHERE id > $1 ORDER BY id LIMIT 0 + $2",
			[]any{position, int64(limit)}, []any{&id, &body}, func() error {
				if len(events) >= limit {
					return nil
				}
				some, err := db.writer.opened(body)
				events, position = append(events, some...), id
				return err
			})
	})
	if err == nil && len(events) == 0 && db.dusty() {
		err = db.sweep(ctx)
	}
	return events, position, err
}

// lately bounds the rows whose events the writer still has.
const lately = 64

// posted remembers what the row says that is about to be committed: it is read
// at once, as a rule, and only once.
func (w *writer) posted(body string, events []event.Event) {
	if w.rows == nil || len(w.rows) >= lately {
		w.rows = map[string][]event.Event{}
	}
	if stored := records.StoredEvents(events); stored != nil {
		w.rows[body] = stored
	}
}

// opened gives the events of a row.
func (w *writer) opened(body string) ([]event.Event, error) {
	if events, ok := w.rows[body]; ok {
		delete(w.rows, body)
		return events, nil
	}
	return records.OpenEvents(body)
}

// Forget lets Outbox give nothing up to the position any more. The rows are
// deleted by the next commit that brings events, or while there are none.
func (db *DB) Forget(_ context.Context, position int64) error {
	select {
	case <-db.closed:
		return errClosed()
	default:
	}
	db.at.told.Store(max(position, db.at.told.Load()))
	return nil
}

// dusty says that told rows wait, and have done so for a while.
func (db *DB) dusty() bool {
	return db.at.swept.Load() < db.at.told.Load() && time.Now().UnixNano()-db.at.when.Load() > int64(sweepEvery)
}

func (db *DB) sweep(ctx context.Context) error {
	return db.writer.update(ctx, func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		return db.writer.sweep(ctx, c)
	})
}

// sweep deletes the rows that were told. They count as deleted after the
// commit.
func (w *writer) sweep(ctx context.Context, c records.Conn) error {
	told := w.db.at.told.Load()
	if told <= w.db.at.swept.Load() {
		return nil
	}
	_, err := c.Exec(ctx, "DELETE FROM outbox WHERE id <= $1 AND id > $2", told, w.db.at.left.Load())
	w.swept = told
	return err
}

// Adopt takes over what an earlier process on this file left behind.
func (db *DB) Adopt(ctx context.Context) (int, error) {
	var count int64
	err := db.writer.update(ctx, func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		if db.at.left.Load() == 0 {
			return nil
		}
		if err := db.writer.sweep(ctx, c); err != nil { // told rows stand above theirs
			return err
		}
		return c.Query(ctx, "SELECT COALESCE(SUM(count), 0) FROM outbox WHERE id <= $1",
			[]any{db.at.left.Load()}, []any{&count}, func() error { return nil })
	})
	if err != nil || count == 0 {
		return 0, err
	}
	db.at.told.Store(0)
	db.at.swept.Store(0)
	db.at.left.Store(0)
	db.poke()
	return int(count), nil
}

// Committed receives a token after a commit that left events in the outbox.
func (db *DB) Committed() <-chan struct{} { return db.committed }

func (db *DB) poke() {
	select {
	case db.committed <- struct{}{}:
	default:
	}
}
