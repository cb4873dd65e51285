package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

var errMind = errors.New("changed my mind")

// there says which of the things exist.
func there(t *testing.T, db store.DB, names ...string) []bool {
	t.Helper()
	out := make([]bool, len(names))
	view(t, db, func(ctx context.Context, tx tx) error {
		for i, n := range names {
			_, err := tx.Thing(ctx, arn.Default, n)
			if err != nil && !fault.Is(err, fault.Missing) {
				return err
			}
			out[i] = err == nil
		}
		return nil
	})
	return out
}

func insert(ctx context.Context, tx tx, names ...string) error {
	for _, n := range names {
		if err := tx.InsertThing(ctx, thing(n)); err != nil {
			return err
		}
	}
	return nil
}

func failures(t *testing.T, open Open) {
	t.Run("a function that fails gets its own error back, and nothing was stored", func(t *testing.T) {
		db := open(t)
		err := db.Update(t.Context(), func(ctx context.Context, tx tx) error {
			if err := insert(ctx, tx, "a", "b"); err != nil {
				return err
			}
			tx.Emit(event.Event{Kind: event.ThingChanged, ID: "a"})
			return errMind
		})
		if err != errMind {
			t.Errorf("got %v", err)
		}
		same(t, there(t, db, "a", "b"), []bool{false, false})
		events, _, err := db.Outbox(t.Context(), 10)
		if len(events) != 0 || err != nil {
			t.Errorf("outbox: %v, %v", events, err)
		}
	})
	t.Run("a function sees what it wrote itself", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := insert(ctx, tx, "a"); err != nil {
				return err
			}
			_, err := tx.Thing(ctx, arn.Default, "a")
			return err
		})
	})
	t.Run("a refused Insert does not spoil the function that copes with it", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "a") })
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := insert(ctx, tx, "a"); !fault.Is(err, fault.Exists) {
				t.Errorf("got %v", err)
			}
			return insert(ctx, tx, "b")
		})
		same(t, there(t, db, "a", "b"), []bool{true, true})
	})
	t.Run("text that no database holds is refused, and the function may go on", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			for _, bad := range []string{"a\x00b", "\xff"} {
				if err := insert(ctx, tx, bad); !fault.Is(err, fault.InvalidRequest) {
					t.Errorf("InsertThing(%q): %v", bad, err)
				}
				if _, err := tx.Thing(ctx, arn.Default, bad); !fault.Is(err, fault.InvalidRequest) {
					t.Errorf("Thing(%q): %v", bad, err)
				}
			}
			return insert(ctx, tx, "good")
		})
		same(t, there(t, db, "good"), []bool{true})
	})
	t.Run("a function that fails leaves its neighbours in a shared commit alone", func(t *testing.T) { neighbours(t, open) })
	t.Run("a function that panics does so before its caller alone", func(t *testing.T) { panics(t, open) })
	t.Run("a function may end its goroutine, as a failing test does", func(t *testing.T) { exits(t, open) })
	t.Run("a caller whose context ended is dropped at the door", func(t *testing.T) { dropped(t, open) })
	t.Run("a caller whose context ends in its turn gets the commit's outcome", func(t *testing.T) { inTurn(t, open) })
	t.Run("a View cannot write", func(t *testing.T) { readOnly(t, open) })
	t.Run("a Tx is of no use after its function", func(t *testing.T) { outlived(t, open) })
	t.Run("a closed store says so", func(t *testing.T) { closedStore(t, open) })
	t.Run("Stats counts what was committed", func(t *testing.T) { counted(t, open) })
}

// neighbours lets many callers gather behind one that holds the writer, so
// that a driver which shares commits shares this one.
func neighbours(t *testing.T, open Open) {
	db := open(t)
	const callers = 24
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var once sync.Once
		db.Update(context.Background(), func(context.Context, tx) error {
			once.Do(func() { close(held) })
			<-release
			return nil
		})
	})
	<-held
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			errs[i] = db.Update(context.Background(), func(ctx context.Context, tx tx) error {
				if err := insert(ctx, tx, name(i)); err != nil {
					return err
				}
				tx.Emit(event.Event{Kind: event.ThingChanged, Tenant: arn.Default, ID: name(i), At: noon})
				if i%3 == 0 {
					return fmt.Errorf("caller %d: %w", i, errMind)
				}
				return nil
			})
		})
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	stored := make(map[string]bool)
	for i, err := range errs {
		want := i%3 != 0
		if (err == nil) != want || (err != nil && err.Error() != fmt.Sprintf("caller %d: %v", i, errMind)) {
			t.Errorf("caller %d: %v", i, err)
		}
		if there(t, db, name(i))[0] != want {
			t.Errorf("caller %d: stored is %v", i, !want)
		}
		if want {
			stored[name(i)] = true
		}
	}
	events, _, err := db.Outbox(t.Context(), 100)
	if err != nil || len(events) != len(stored) {
		t.Errorf("outbox: %d events, want %d; %v", len(events), len(stored), err)
	}
	for _, e := range events {
		if !stored[e.ID] {
			t.Errorf("an event of %s, which failed", e.ID)
		}
	}
}

func panics(t *testing.T, open Open) {
	db := open(t)
	func() {
		defer func() {
			if v := recover(); v != "ouch" {
				t.Errorf("recovered %v", v)
			}
		}()
		db.Update(t.Context(), func(ctx context.Context, tx tx) error {
			if err := insert(ctx, tx, "a"); err != nil {
				return err
			}
			panic("ouch")
		})
	}()
	func() {
		defer func() { recover() }()
		db.View(t.Context(), func(context.Context, tx) error { panic("ouch") })
	}()
	same(t, there(t, db, "a"), []bool{false})
	update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "a") })
	same(t, there(t, db, "a"), []bool{true})
}

func exits(t *testing.T, open Open) {
	db := open(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		db.Update(context.Background(), func(ctx context.Context, tx tx) error {
			insert(ctx, tx, "a")
			runtime.Goexit()
			return nil
		})
		t.Error("Update returned")
	})
	wg.Go(func() {
		db.View(context.Background(), func(context.Context, tx) error {
			runtime.Goexit()
			return nil
		})
		t.Error("View returned")
	})
	wg.Wait()
	update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "b") })
	same(t, there(t, db, "a", "b"), []bool{false, true})
}

func dropped(t *testing.T, open Open) {
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := db.Update(ctx, func(ctx context.Context, tx tx) error {
		t.Error("the function ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
	err = db.View(ctx, func(context.Context, tx) error {
		t.Error("the function ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v", err)
	}
}

func inTurn(t *testing.T, open Open) {
	db := open(t)
	caller, cancel := context.WithCancel(t.Context())
	err := db.Update(caller, func(ctx context.Context, tx tx) error {
		cancel()
		if ctx.Err() != nil {
			t.Error("the caller's end reached the function")
		}
		return insert(ctx, tx, "a")
	})
	if err != nil {
		t.Errorf("Update: %v", err)
	}
	same(t, there(t, db, "a"), []bool{true})
}

func readOnly(t *testing.T, open Open) {
	db := open(t)
	view(t, db, func(ctx context.Context, tx tx) error {
		tx.Emit(event.Event{Kind: event.ThingChanged, ID: "a"})
		if err := insert(ctx, tx, "a"); !fault.Is(err, fault.Internal) {
			t.Errorf("InsertThing: %v", err)
		}
		if err := tx.PutPolicy(ctx, policyRecord("p")); !fault.Is(err, fault.Internal) {
			t.Errorf("PutPolicy: %v", err)
		}
		if _, err := tx.PutLink(ctx, arn.Default, ref.GroupThing, ref.Link{}); !fault.Is(err, fault.Internal) {
			t.Errorf("PutLink: %v", err)
		}
		return nil
	})
	same(t, there(t, db, "a"), []bool{false})
}

func outlived(t *testing.T, open Open) {
	db := open(t)
	var kept tx
	keep := func(_ context.Context, tx tx) error { kept = tx; return nil }
	for _, run := range []func(*testing.T, store.DB, func(context.Context, tx) error){update, view} {
		run(t, db, keep)
		if _, err := kept.Thing(t.Context(), arn.Default, "a"); !fault.Is(err, fault.Internal) {
			t.Errorf("Thing: %v", err)
		}
		if err := insert(t.Context(), kept, "a"); !fault.Is(err, fault.Internal) {
			t.Errorf("InsertThing: %v", err)
		}
	}
}

func closedStore(t *testing.T, open Open) {
	db := open(t)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	nothing := func(context.Context, tx) error { return nil }
	for what, err := range map[string]error{
		"Update": db.Update(t.Context(), nothing),
		"View":   db.View(t.Context(), nothing),
		"Ping":   db.Ping(t.Context()),
		"Forget": db.Forget(t.Context(), 1),
	} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := db.Outbox(t.Context(), 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Outbox: %v", err)
	}
}

func counted(t *testing.T, open Open) {
	db := open(t)
	before := db.Stats()
	for i := range 3 {
		update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, name(i)) })
	}
	db.Update(t.Context(), func(ctx context.Context, tx tx) error {
		insert(ctx, tx, name(9))
		return errMind
	})
	view(t, db, func(ctx context.Context, tx tx) error {
		_, _, err := tx.ListThings(ctx, arn.Default, things.Filter{}, ref.All)
		return err
	})
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	after := db.Stats()
	if u, c := after.Updates-before.Updates, after.Commits-before.Commits; u != 3 || c != 3 {
		t.Errorf("%d updates in %d commits, want 3 in 3", u, c)
	}
}
