package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// A turn is the writer's connection as the job under way sees it: while the
// writer is wary the first write sets a savepoint, unless there is nothing yet
// that it would protect.
type turn writer

func (t *turn) mark() error {
	if t.wrote {
		return nil
	}
	if t.kept && t.wary > 0 {
		if err := t.conn.run(savepoint); err != nil {
			return err
		}
		t.marked = true
	}
	t.wrote = true
	return nil
}

// Exec is conn.Exec after the mark.
func (t *turn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.mark(); err != nil {
		return 0, err
	}
	return t.conn.Exec(ctx, query, args...)
}

// ExecEach is conn.ExecEach after the mark.
func (t *turn) ExecEach(ctx context.Context, query string, lists [][]any) error {
	if err := t.mark(); err != nil {
		return err
	}
	return t.conn.ExecEach(ctx, query, lists)
}

// Query sees what the group wrote so far: that commits with it, or fails with
// it.
func (t *turn) Query(ctx context.Context, query string, args, dest []any, each func() error) error {
	return t.conn.Query(ctx, query, args, dest, each)
}

// Together is conn.Together after the mark.
func (t *turn) Together(ctx context.Context, all []*records.Statement) {
	if slices.ContainsFunc(all, func(s *records.Statement) bool { return !s.Reads() }) {
		if err := t.mark(); err != nil {
			for _, s := range all {
				s.Err = err
			}
			return
		}
	}
	t.conn.Together(ctx, all)
}

var _ records.Conn = (*turn)(nil)

// finish commits the group and tells its callers.
func (w *writer) finish() {
	err := w.commit()
	if err == nil && len(w.events) > 0 {
		w.db.poke()
	}
	updates := int64(0)
	for _, r := range w.group {
		if err != nil {
			r.err = err
		} else if r.err == nil && r.turn.Load() == taken && !r.exited && r.panicked == nil {
			updates++
		}
	}
	if err == nil && w.kept {
		w.db.commits.Add(1)
		w.db.updates.Add(updates)
	}
	if err == nil && w.swept > 0 {
		w.db.at.swept.Store(w.swept)
		w.db.at.when.Store(time.Now().UnixNano())
	}
	for i, r := range w.group {
		w.group[i] = nil
		close(r.done)
	}
	clear(w.events)
	if w.kept {
		w.wary = max(w.wary-1, 0)
	}
	wrote := err == nil && w.kept
	w.group, w.next, w.events, w.open, w.kept, w.swept, w.lingered = w.group[:0], 0, w.events[:0], false, false, 0, false
	if wrote {
		w.tend()
	}
}

// tend has the log folded when it is long; nobody waits for a group now.
func (w *writer) tend() {
	if w.grown++; w.grown >= often {
		w.grown = 0
		w.db.folder.ring()
	}
	if w.db.folder.tail.Swap(false) {
		_, _, _ = w.conn.logged("PASSIVE") // else the next time
	}
}

// commit makes the group durable, or fails and leaves nothing of it.
func (w *writer) commit() error {
	err := w.conn.broken
	if err == nil && len(w.events) > 0 {
		err = w.post()
	}
	if err == nil && w.open {
		err = w.conn.run(commit)
	}
	if err == nil {
		return nil
	}
	w.held.Forget()
	w.conn.run(rollback) // SQLite may have done so itself; that it then refuses is well
	w.conn.broken = nil
	if !fault.Is(err, fault.Unavailable) {
		err = fault.Wrap(fault.Internal, err, "The commit failed and nothing was stored; try again.")
	}
	return err
}

// post writes the group's events as one row of the outbox.
func (w *writer) post() error {
	body, err := records.PackEvents(w.events)
	if err != nil {
		return err
	}
	if err := w.begin(); err != nil { // a job that failed may have closed it
		return err
	}
	_, err = w.conn.Exec(context.Background(), "INSERT INTO outbox (count, body) VALUES ($1, $2)", int64(len(w.events)), body)
	w.kept = true
	if err != nil {
		return err
	}
	w.posted(body, w.events)
	return w.sweep(context.Background(), w.conn)
}
