package sqlite

import (
	"context"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// markLeft remembers which rows of the outbox were there at the start. They
// are an earlier process's, and wait for Adopt.
func (db *DB) markLeft(_ context.Context, c *conn) error {
	last, err := c.number("SELECT COALESCE(MAX(id), 0) FROM outbox")
	db.left.Store(last)
	return err
}

// Outbox gives committed events in commit order. The events of one commit are
// never parted: the last row may bring more than limit asks for.
func (db *DB) Outbox(ctx context.Context, limit int) ([]event.Event, int64, error) {
	c, err := db.reader(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() { db.readers <- c }()
	var (
		events       []event.Event
		id, position int64
		body         string
	)
	position = db.left.Load()
	err = c.Query(ctx, "SELECT id, body FROM outbox WHERE id > $1 ORDER BY id LIMIT $2",
		[]any{position, int64(limit)}, []any{&id, &body}, func() error {
			if len(events) >= limit {
				return nil
			}
			some, err := records.OpenEvents(body)
			events, position = append(events, some...), id
			return err
		})
	return events, position, err
}

// Forget deletes what Outbox gave up to the position.
func (db *DB) Forget(ctx context.Context, position int64) error {
	return db.writer.update(ctx, func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		_, err := c.Exec(ctx, "DELETE FROM outbox WHERE id <= $1 AND id > $2", position, db.left.Load())
		return err
	})
}

// Adopt takes over what an earlier process on this file left behind.
func (db *DB) Adopt(ctx context.Context) (int, error) {
	var count int64
	err := db.writer.update(ctx, func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		return c.Query(ctx, "SELECT COALESCE(SUM(count), 0) FROM outbox WHERE id <= $1",
			[]any{db.left.Load()}, []any{&count}, func() error { return nil })
	})
	if err != nil || count == 0 {
		return 0, err
	}
	db.left.Store(0)
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
