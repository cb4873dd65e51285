package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// A node says every beat that it lives, and counts as dead when it was silent
// for three. Both are measured by the database's clock.
const beat = 5 * time.Second

const sayAlive = "INSERT INTO nodes (name, seen) VALUES ($1, now()) ON CONFLICT (name) DO UPDATE SET seen = now()"

// join gives the node its name, says that it lives, and keeps saying so until
// Close.
func (db *DB) join(ctx context.Context) error {
	if db.node == "" {
		if err := db.pool.QueryRow(ctx, "SELECT gen_random_uuid()::text").Scan(&db.node); err != nil {
			return unreachable(err)
		}
	}
	if _, err := db.pool.Exec(ctx, sayAlive, db.node); err != nil {
		return unreachable(err)
	}
	db.heart.Go(db.live)
	return nil
}

func (db *DB) live() {
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			ctx, cancel := context.WithTimeout(context.Background(), beat)
			db.pool.Exec(ctx, sayAlive, db.node) // a miss is made good at the next beat
			cancel()
		case <-db.closed:
			return
		}
	}
}

// leave lets other nodes adopt at once what this one did not carry away.
func (db *DB) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), beat)
	defer cancel()
	db.pool.Exec(ctx, "DELETE FROM nodes WHERE name = $1", db.node) // else they wait until it counts as dead
}

// handed remembers which rows of the outbox were handed out at which
// position. Their ids do not say: a transaction that drew a low id may commit
// after one with a higher id was carried away.
type handed struct {
	mu       sync.Mutex
	position int64
	rows     []handout // the last few, oldest first
}

type handout struct {
	position int64
	ids      []int64
}

// handouts bounds how many are remembered. Rows of a forgotten handout are
// handed out again.
const handouts = 16

func (h *handed) out(ids []int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position++
	h.rows = append(h.rows, handout{h.position, ids})
	if len(h.rows) > handouts {
		h.rows = slices.Delete(h.rows, 0, len(h.rows)-handouts)
	}
	return h.position
}

// back gives the rows handed out up to the position, and remembers them no
// longer.
func (h *handed) back(position int64) []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []int64
	h.rows = slices.DeleteFunc(h.rows, func(o handout) bool {
		if o.position > position {
			return false
		}
		ids = append(ids, o.ids...)
		return true
	})
	return ids
}

// Outbox gives committed events of this node. An Update that saw the effect of
// another comes after it; two that knew nothing of each other come in any
// order. The events of one Update are never parted: the last row may bring
// more than limit asks for.
func (db *DB) Outbox(ctx context.Context, limit int) ([]event.Event, int64, error) {
	c, err := db.acquire(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer c.Release()
	rows, err := c.Query(ctx, "SELECT id, body FROM outbox WHERE node = $1 ORDER BY id LIMIT $2", db.node, limit)
	if err != nil {
		return nil, 0, unreachable(err)
	}
	defer rows.Close()
	var (
		events []event.Event
		ids    []int64
	)
	for len(events) < limit && rows.Next() {
		var (
			id   int64
			body string
		)
		if err := rows.Scan(&id, &body); err != nil {
			return nil, 0, unreachable(err)
		}
		some, err := records.OpenEvents(body)
		if err != nil {
			return nil, 0, err
		}
		events, ids = append(events, some...), append(ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, 0, unreachable(err)
	}
	return events, db.outbox.out(ids), nil
}

// Forget deletes what Outbox handed out up to the position.
func (db *DB) Forget(ctx context.Context, position int64) error {
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	ids := db.outbox.back(position)
	if len(ids) == 0 {
		return nil
	}
	if _, err := c.Exec(ctx, "DELETE FROM outbox WHERE id = ANY($1)", ids); err != nil {
		return unreachable(err) // they are handed out again
	}
	return nil
}

// Adopt takes over the outbox of nodes that are not alive, and marks the wills
// that they held as left.
func (db *DB) Adopt(ctx context.Context) (int, error) {
	c, err := db.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Release()
	var count int
	err = c.QueryRow(ctx, `
		WITH taken AS (
			UPDATE outbox SET node = $1
			WHERE node <> $1 AND NOT EXISTS (SELECT 1 FROM nodes WHERE name = outbox.node AND seen > now() - $2 * interval '1 second')
			RETURNING count)
		SELECT COALESCE(SUM(count), 0)::bigint FROM taken`, db.node, (3 * beat).Seconds()).Scan(&count)
	if err != nil {
		return 0, unreachable(err)
	}
	if count > 0 {
		db.poke()
	}
	_, err = c.Exec(ctx, `UPDATE wills SET holder = ''
		WHERE holder <> '' AND holder <> $1 AND NOT EXISTS (SELECT 1 FROM nodes WHERE name = wills.holder AND seen > now() - $2 * interval '1 second')`, db.node, (3 * beat).Seconds())
	if err != nil {
		return count, unreachable(err)
	}
	return count, nil
}

// Committed receives a token after a commit that left events in the outbox.
func (db *DB) Committed() <-chan struct{} { return db.committed }

func (db *DB) poke() {
	select {
	case db.committed <- struct{}{}:
	default:
	}
}
