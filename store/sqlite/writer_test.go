package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

func private(t *testing.T) *DB {
	t.Helper()
	db, err := Open(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// hold occupies the writer until release is called and returned.
func hold(db *DB) (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var once sync.Once
	wg.Go(func() {
		db.Update(context.Background(), func(context.Context, store.Tx) error {
			once.Do(func() { close(held) })
			<-free
			return nil
		})
	})
	<-held
	return func() {
		close(free)
		wg.Wait()
	}
}

// await returns when n requests wait for the writer.
func (w *writer) await(n int) {
	for {
		w.mu.Lock()
		waiting := len(w.queue)
		w.mu.Unlock()
		if waiting >= n {
			return
		}
		runtime.Gosched()
	}
}

// put stores a thing with the name.
func put(name string) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		return tx.InsertThing(ctx, &things.Thing{Tenant: arn.Default, Name: name})
	}
}

func stored(t *testing.T, db *DB, name string) bool {
	t.Helper()
	err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Thing(ctx, arn.Default, name)
		return err
	})
	if err != nil && !fault.Is(err, fault.Missing) {
		t.Error(err)
	}
	return err == nil
}

// group queues the functions one behind the other while the writer is held,
// lets them share a commit, and gives their outcomes.
func group(db *DB, fs ...func(context.Context, store.Tx) error) []error {
	release := hold(db)
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = db.Update(context.Background(), f) })
		db.writer.await(i + 1)
	}
	release()
	wg.Wait()
	return errs
}

func TestWhatWaitsSharesACommit(t *testing.T) {
	db := private(t)
	before := db.Stats()
	var fs []func(context.Context, store.Tx) error
	for i := range groupLimit + 10 {
		fs = append(fs, put(fmt.Sprint(i)))
	}
	if err := errors.Join(group(db, fs...)...); err != nil {
		t.Fatal(err)
	}
	after := db.Stats()
	want := int64(groupLimit + 10 + 1) // the job that held the writer is of the first group
	if u, c := after.Updates-before.Updates, after.Commits-before.Commits; u != want || c != 2 {
		t.Errorf("%d updates in %d commits, want %d in 2", u, c, want)
	}
}

func TestAFailureIsUndoneBeforeTheNextNeighbourLooks(t *testing.T) {
	for _, place := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("in place %d of three", place), func(t *testing.T) {
			db := private(t)
			sorry := errors.New("sorry")
			fs := []func(context.Context, store.Tx) error{put("a"), put("b"), put("c")}
			keep := fs[place]
			fs[place] = func(ctx context.Context, tx store.Tx) error {
				if err := keep(ctx, tx); err != nil {
					return err
				}
				return sorry
			}
			last := func(ctx context.Context, tx store.Tx) error {
				if _, err := tx.Thing(ctx, arn.Default, string("abc"[place])); !fault.Is(err, fault.Missing) {
					t.Errorf("a neighbour's failure is seen: %v", err)
				}
				return nil
			}
			for i, err := range group(db, append(fs, last)...) {
				if (i == place) != (err == sorry) {
					t.Errorf("function %d: %v", i, err)
				}
			}
			for i, name := range []string{"a", "b", "c"} {
				if stored(t, db, name) != (i != place) {
					t.Errorf("%s: stored is %v", name, i == place)
				}
			}
			if c := db.Stats().Commits; c != 1 {
				t.Errorf("%d commits, want one shared", c)
			}
		})
	}
}

func TestEventsOfAGroupThatStoredNothingElse(t *testing.T) {
	db := private(t)
	sorry := errors.New("sorry")
	errs := group(db, func(_ context.Context, tx store.Tx) error {
		tx.Emit(event.Event{Kind: event.ThingChanged, ID: "a"})
		return nil
	}, func(ctx context.Context, tx store.Tx) error {
		tx.Emit(event.Event{Kind: event.ThingChanged, ID: "b"})
		return errors.Join(put("b")(ctx, tx), sorry)
	})
	if errs[0] != nil || !errors.Is(errs[1], sorry) {
		t.Errorf("got %v", errs)
	}
	events, _, err := db.Outbox(t.Context(), 10)
	if err != nil || len(events) != 1 || events[0].ID != "a" {
		t.Errorf("outbox: %v, %v", events, err)
	}
	if stored(t, db, "b") {
		t.Error("b was stored")
	}
}

func TestAPanicLeavesTheGroupAlone(t *testing.T) {
	db := private(t)
	release := hold(db)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			if v := recover(); v != "ouch" {
				t.Errorf("recovered %v", v)
			}
		}()
		db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			put("a")(ctx, tx)
			panic("ouch")
		})
	})
	db.writer.await(1)
	wg.Go(func() {
		db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			put("b")(ctx, tx)
			runtime.Goexit()
			return nil
		})
	})
	db.writer.await(2)
	wg.Go(func() {
		if err := db.Update(context.Background(), put("c")); err != nil {
			t.Error(err)
		}
	})
	db.writer.await(3)
	release()
	wg.Wait()
	for name, want := range map[string]bool{"a": false, "b": false, "c": true} {
		if stored(t, db, name) != want {
			t.Errorf("%s: stored is %v", name, !want)
		}
	}
}

// A failure makes the neighbours run again, once: the groups after it set
// savepoints.
func TestAStreamOfFailuresDoesNotDoubleTheWork(t *testing.T) {
	db := private(t)
	sorry := errors.New("sorry")
	late := func(ctx context.Context, tx store.Tx) error { return errors.Join(put("late")(ctx, tx), sorry) }
	for i := range 10 {
		ran := 0
		good := func(ctx context.Context, tx store.Tx) error {
			ran++
			return put(fmt.Sprint("good", i))(ctx, tx)
		}
		errs := group(db, good, late)
		if errs[0] != nil || !errors.Is(errs[1], sorry) {
			t.Fatalf("round %d: %v", i, errs)
		}
		if i > 0 && ran != 1 {
			t.Errorf("round %d: the neighbour ran %d times", i, ran)
		}
		if !stored(t, db, fmt.Sprint("good", i)) || stored(t, db, "late") {
			t.Errorf("round %d: not what was answered is stored", i)
		}
	}
	if n := db.Stats().Retries; n == 0 {
		t.Error("nothing ran again")
	}
}

func TestACallerWhoLeavesTheQueueIsDropped(t *testing.T) {
	db := private(t)
	release := hold(db)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- db.Update(ctx, put("a")) }()
	db.writer.await(1)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	release()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if stored(t, db, "a") {
		t.Error("the change was made")
	}
}

func TestCloseLetsTheQueueFinish(t *testing.T) {
	db := private(t)
	release := hold(db)
	done := make(chan error)
	go func() { done <- db.Update(context.Background(), put("a")) }()
	db.writer.await(1)
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	<-db.closed
	release()
	if err := <-done; err != nil {
		t.Errorf("the queued Update: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestAFullDisk stands for every error by which SQLite gives a transaction up:
// all of the group must hear of it, and the next group must not.
func TestAFullDisk(t *testing.T) {
	db := private(t)
	pages, err := db.writer.conn.number("PRAGMA page_count")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.writer.conn.run(fmt.Sprintf("PRAGMA max_page_count = %d", pages+2)); err != nil {
		t.Fatal(err)
	}
	big := func(ctx context.Context, tx store.Tx) error {
		return tx.PutDocument(ctx, arn.Default, store.FunctionDocument, "big", []byte(strings.Repeat("x", 100_000)))
	}
	swallow := func(ctx context.Context, tx store.Tx) error {
		big(ctx, tx) // a function that does not listen is not believed
		return nil
	}
	for i, err := range group(db, put("a"), swallow, put("b")) {
		if _, text := fault.Show(err); !fault.Is(err, fault.Internal) || strings.Contains(text, "page") {
			t.Errorf("function %d: %v", i, err)
		}
	}
	if stored(t, db, "a") || stored(t, db, "b") {
		t.Error("a part was stored")
	}
	if err := db.writer.conn.run("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(group(db, put("a"), big, put("b"))...); err != nil {
		t.Error(err)
	}
	if !stored(t, db, "a") || !stored(t, db, "b") {
		t.Error("not stored")
	}
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%41.db") // nothing in a path is special
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(p), info.Mode())
		}
	}
}

func TestAPrivateDatabaseVanishes(t *testing.T) {
	db, err := Open(t.Context(), Options{Path: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	dir := db.scratch
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("what a newer Slipway wrote", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "slipway.db")
		db, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.writer.conn.run("PRAGMA user_version = 99"); err != nil {
			t.Fatal(err)
		}
		db.Close()
		_, err = Open(t.Context(), Options{Path: path})
		if _, text := fault.Show(err); !strings.Contains(text, "written by a newer Slipway") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that is no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "slipway.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Path: path}); !fault.Is(err, fault.Internal) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a directory that is not there", func(t *testing.T) {
		if _, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "no", "slipway.db")}); !fault.Is(err, fault.Internal) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLibraryVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"3.51.2": false, "3.51.3": true, "3.51.10": true, "3.53.0": true, "4.0.0": true, "3.9.99": false, "": false, "x": false,
	} {
		if atLeast(version, oldest) != want {
			t.Errorf("atLeast(%q) is %v", version, !want)
		}
	}
}
