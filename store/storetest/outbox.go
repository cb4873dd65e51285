package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wills"
)

func happened(id string) event.Event {
	return event.Event{Kind: event.CertificateStatus, Tenant: elsewhere, ID: id, Detail: "REVOKED", At: noon}
}

func emit(t *testing.T, db store.DB, ids ...string) {
	t.Helper()
	update(t, db, func(_ context.Context, tx tx) error {
		for _, id := range ids {
			tx.Emit(happened(id))
		}
		return nil
	})
}

func ids(events []event.Event) []string {
	out := []string{}
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

func waitingEvents(t *testing.T, db store.DB, limit int) ([]event.Event, int64) {
	t.Helper()
	events, position, err := db.Outbox(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return events, position
}

func forget(t *testing.T, db store.DB, position int64) {
	t.Helper()
	if err := db.Forget(t.Context(), position); err != nil {
		t.Fatal(err)
	}
}

func outbox(t *testing.T, open Open) {
	t.Run("an event comes back as it was emitted", func(t *testing.T) {
		db := open(t)
		emit(t, db, "a")
		events, _ := waitingEvents(t, db, 10)
		same(t, events, []event.Event{happened("a")})
	})
	t.Run("an event without a time gets one", func(t *testing.T) {
		db := open(t)
		update(t, db, func(_ context.Context, tx tx) error {
			tx.Emit(event.Event{Kind: event.ThingChanged, ID: "a"})
			return nil
		})
		if events, _ := waitingEvents(t, db, 1); events[0].At.IsZero() {
			t.Error("no time")
		}
	})
	t.Run("events come in commit order, and again until they are forgotten", func(t *testing.T) {
		db := open(t)
		emit(t, db, "a", "b")
		emit(t, db, "c")
		first, position := waitingEvents(t, db, 10)
		same(t, ids(first), []string{"a", "b", "c"})
		emit(t, db, "d")
		again, _ := waitingEvents(t, db, 10)
		same(t, ids(again), []string{"a", "b", "c", "d"})
		forget(t, db, position)
		rest, position := waitingEvents(t, db, 10)
		same(t, ids(rest), []string{"d"})
		forget(t, db, position)
		forget(t, db, position)
		none, _ := waitingEvents(t, db, 10)
		same(t, ids(none), []string{})
	})
	t.Run("a limit parts the events between Updates, not within one", func(t *testing.T) {
		db := open(t)
		emit(t, db, "a", "b", "c")
		emit(t, db, "d")
		events, position := waitingEvents(t, db, 2)
		same(t, ids(events), []string{"a", "b", "c"})
		forget(t, db, position)
		events, _ = waitingEvents(t, db, 2)
		same(t, ids(events), []string{"d"})
	})
	t.Run("Committed has a token when Update returns, and only for events", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "a") })
		select {
		case <-db.Committed():
			t.Error("a token without events")
		default:
		}
		emit(t, db, "a")
		emit(t, db, "b")
		select {
		case <-db.Committed():
		default:
			t.Error("no token")
		}
	})
	t.Run("whoever drains while others emit misses nothing", func(t *testing.T) { drained(t, open(t)) })
	t.Run("there is nothing to adopt while the node lives", func(t *testing.T) {
		db := open(t)
		emit(t, db, "a")
		if n, err := db.Adopt(t.Context()); n != 0 || err != nil {
			t.Errorf("adopted %d, %v", n, err)
		}
	})
}

// drained drains in small bites while four callers emit, and asserts that each
// caller's events came in its own order and none was lost.
func drained(t *testing.T, db store.DB) {
	const callers, each = 4, 15
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(callers, func(i int) {
			for j := range each {
				emit(t, db, fmt.Sprintf("%d-%03d", i, 2*j), fmt.Sprintf("%d-%03d", i, 2*j+1))
			}
		})
	}()
	last := make(map[byte]string)
	seen := 0
	take := func() int {
		events, position := waitingEvents(t, db, 5)
		for _, e := range events {
			if e.ID <= last[e.ID[0]] {
				t.Errorf("%s came after %s", e.ID, last[e.ID[0]])
			}
			last[e.ID[0]] = e.ID
			seen++
		}
		if len(events) > 0 {
			forget(t, db, position)
		}
		return len(events)
	}
	for emitting := true; emitting; {
		select {
		case <-db.Committed():
			take()
		case <-done:
			emitting = false
		case <-time.After(30 * time.Second):
			t.Fatal("no token for 30 s")
		}
	}
	for take() > 0 {
	}
	same(t, seen, callers*each*2)
}

// A Place is where a database lives; opening it again finds what was stored.
// The test closes what it opens.
type Place func(t *testing.T) store.DB

// Reopened asserts that what was stored outlives Close, and that events which
// nobody carried away are adopted by the next process.
func Reopened(t *testing.T, open Place) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "a") })
	emit(t, db, "a", "b")
	orphan := will("a", "1")
	orphan.Due = noon
	update(t, db, func(ctx context.Context, tx tx) error { return tx.PutWill(ctx, orphan) })
	shut(t, db)

	db = open(t)
	defer shut(t, db)
	same(t, there(t, db, "a"), []bool{true})
	emit(t, db, "c")
	<-db.Committed()
	own, position := waitingEvents(t, db, 10)
	same(t, ids(own), []string{"c"})
	forget(t, db, position)
	n, err := db.Adopt(t.Context())
	if err != nil || n != 2 {
		t.Errorf("adopted %d, %v", n, err)
	}
	<-db.Committed()
	left, position := waitingEvents(t, db, 10)
	same(t, ids(left), []string{"a", "b"})
	forget(t, db, position)
	if n, err := db.Adopt(t.Context()); n != 0 || err != nil {
		t.Errorf("adopted %d more, %v", n, err)
	}
	none, _ := waitingEvents(t, db, 10)
	same(t, ids(none), []string{})
	for _, want := range [][]*wills.Will{{orphan}, nil} { // whoever puts it, holds it
		update(t, db, func(ctx context.Context, tx tx) error {
			got, err := tx.LeftWills(ctx, 10)
			same(t, got, want)
			for _, w := range got {
				err = errors.Join(err, tx.PutWill(ctx, w))
			}
			return err
		})
	}
}

func shut(t *testing.T, db store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
