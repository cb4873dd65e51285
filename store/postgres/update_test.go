package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wills"
)

func put(ctx context.Context, tx store.Tx, name string) error {
	return tx.InsertThing(ctx, &things.Thing{Tenant: arn.Default, Name: name})
}

func stored(t *testing.T, db store.DB, name string) bool {
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

// TestOfTwoThatCrossOneRunsAgain lets two functions each read what the other
// then writes, both before either commits.
func TestOfTwoThatCrossOneRunsAgain(t *testing.T) {
	db := open(t, server.Database(t), postgres.Options{})
	both := make(chan struct{})
	var (
		meet  sync.WaitGroup
		wg    sync.WaitGroup
		wrote [2]bool
	)
	meet.Add(2)
	names := []string{"alice", "bob"}
	for i := range names {
		first := true
		wg.Go(func() {
			err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
				wrote[i] = false
				_, err := tx.Thing(ctx, arn.Default, names[1-i])
				if first {
					first = false
					meet.Done()
					<-both
				}
				if !fault.Is(err, fault.Missing) {
					return err
				}
				wrote[i] = true
				return put(ctx, tx, names[i])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	meet.Wait()
	close(both)
	wg.Wait()
	if wrote[0] == wrote[1] {
		t.Errorf("both saw the other absent, or both saw it: %v", wrote)
	}
	if db.Stats().Retries == 0 {
		t.Error("no function ran again")
	}
}

// TestAConflictThatIsSwallowed asserts that a function cannot hide a conflict
// from Update by returning nil.
func TestAConflictThatIsSwallowed(t *testing.T) {
	db := open(t, server.Database(t), postgres.Options{})
	update := func(f func(context.Context, store.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	update(func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, "a") })
	runs := 0
	update(func(ctx context.Context, tx store.Tx) error {
		runs++
		th, err := tx.Thing(ctx, arn.Default, "a")
		if err != nil {
			return err
		}
		if runs == 1 {
			update(func(ctx context.Context, tx store.Tx) error {
				return tx.UpdateThing(ctx, &things.Thing{Tenant: arn.Default, Name: "a", Version: 7})
			})
		}
		th.Version++
		tx.UpdateThing(ctx, th)
		return nil
	})
	if err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		th, err := tx.Thing(ctx, arn.Default, "a")
		if err == nil && th.Version != 8 {
			t.Errorf("version %d, want 8", th.Version)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if runs != 2 {
		t.Errorf("%d runs, want 2", runs)
	}
}

// cut ends every connection of the database that is inside a transaction.
func cut(t *testing.T, url string) {
	admin(t, url, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND state = 'idle in transaction'`)
}

func TestAConnectionLostBeforeTheCommitIsReplaced(t *testing.T) {
	url := server.Database(t)
	db := open(t, url, postgres.Options{})
	runs := 0
	if err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if err := put(ctx, tx, "a"); err != nil {
			return err
		}
		if runs++; runs == 1 {
			cut(t, url)
		}
		return put(ctx, tx, "b")
	}); err != nil {
		t.Error(err)
	}
	if runs != 2 || !stored(t, db, "a") || !stored(t, db, "b") {
		t.Errorf("%d runs, want 2, and both stored", runs)
	}
}

// TestAnAnswerLostInTheCommit loses the connection on either side of the
// commit itself. The driver cannot know which, and must not run the function
// again.
func TestAnAnswerLostInTheCommit(t *testing.T) {
	for _, c := range []struct {
		name   string
		passes bool // COMMIT reaches the server
	}{
		{"it failed and was stored", true},
		{"it failed and was not stored", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := server.Database(t)
			w := wiretap(t, url)
			db := open(t, w.url, postgres.Options{})
			runs := 0
			err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
				runs++
				if c.passes {
					w.cut.Store(after)
				} else {
					w.cut.Store(before)
				}
				return put(ctx, tx, "a")
			})
			if _, text := fault.Show(err); !fault.Is(err, fault.Unavailable) || !strings.HasSuffix(text, "the outcome is unknown; ask again.") {
				t.Errorf("got %v", err)
			}
			if runs != 1 {
				t.Errorf("%d runs, want 1", runs)
			}
			if got := stored(t, db, "a"); got != c.passes {
				t.Errorf("stored is %v", got)
			}
		})
	}
}

func TestACallerWhoLeavesBetweenRunsIsDropped(t *testing.T) {
	db := open(t, server.Database(t), postgres.Options{})
	if err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, "a") }); err != nil {
		t.Fatal(err)
	}
	caller, cancel := context.WithCancel(t.Context())
	err := db.Update(caller, func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Thing(ctx, arn.Default, "a"); err != nil {
			return err
		}
		if err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
			return tx.UpdateThing(ctx, &things.Thing{Tenant: arn.Default, Name: "a", Version: 7})
		}); err != nil {
			t.Error(err)
		}
		cancel()
		return tx.UpdateThing(ctx, &things.Thing{Tenant: arn.Default, Name: "a", Version: 8})
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAdoptTakesFromTheDeadAlone(t *testing.T) {
	url := server.Database(t)
	living, heir := open(t, url, postgres.Options{Node: "living"}), open(t, url, postgres.Options{Node: "heir"})
	for _, id := range []string{"a", "b"} {
		if err := living.Update(t.Context(), func(_ context.Context, tx store.Tx) error {
			tx.Emit(event.Event{Kind: event.ThingChanged, ID: id})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := living.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
		return tx.PutWill(ctx, &wills.Will{Tenant: arn.Default, ClientID: "c", Publish: &mqtt.Publish{Topic: "t"}})
	}); err != nil {
		t.Fatal(err)
	}
	admin(t, url, "UPDATE outbox SET node = 'dead' WHERE body LIKE '%\"b\"%'")
	admin(t, url, "INSERT INTO nodes (name, seen) VALUES ('dead', now() - interval '14 seconds')")
	left := func(want int) {
		t.Helper()
		if err := heir.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
			ws, err := tx.LeftWills(ctx, 10)
			if len(ws) != want {
				t.Errorf("%d wills are left, want %d", len(ws), want)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if n, err := heir.Adopt(t.Context()); n != 0 || err != nil {
		t.Errorf("adopted %d from nodes that live, %v", n, err)
	}
	left(0)
	admin(t, url, "UPDATE wills SET holder = 'dead'")
	admin(t, url, "UPDATE nodes SET seen = now() - interval '16 seconds' WHERE name = 'dead'")
	if n, err := heir.Adopt(t.Context()); n != 1 || err != nil {
		t.Errorf("adopted %d, %v; want 1", n, err)
	}
	left(1)
	for db, want := range map[*postgres.DB]string{living: "a", heir: "b"} {
		<-db.Committed()
		events, _, err := db.Outbox(t.Context(), 10)
		if err != nil || len(events) != 1 || events[0].ID != want {
			t.Errorf("%v, %v; want %s", events, err, want)
		}
	}
}

// TestALateCommitIsNotForgotten commits an event with a low id after one with
// a higher id was carried away.
func TestALateCommitIsNotForgotten(t *testing.T) {
	url := server.Database(t)
	db := open(t, url, postgres.Options{Node: "n"})
	emit := func(id string) {
		if err := db.Update(t.Context(), func(_ context.Context, tx store.Tx) error {
			tx.Emit(event.Event{Kind: event.ThingChanged, ID: id})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	late, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(t.Context(), `INSERT INTO outbox (node, count, body) VALUES ('n', 1, '[{"k":"late","i":"late"}]')`); err != nil {
		t.Fatal(err)
	}
	emit("early")
	events, position, err := db.Outbox(t.Context(), 10)
	if err != nil || len(events) != 1 || events[0].ID != "early" {
		t.Fatalf("%v, %v", events, err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Forget(t.Context(), position); err != nil {
		t.Fatal(err)
	}
	events, _, err = db.Outbox(t.Context(), 10)
	if err != nil || len(events) != 1 || events[0].ID != "late" {
		t.Errorf("%v, %v", events, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"a URL of nothing":           "postgres://user:secret@[",
		"a server that is not there": "postgres://user:secret@127.0.0.1:1/db?connect_timeout=1",
		"a socket that is not there": "postgres://user:secret@/db?host=/nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), url, postgres.Options{})
			if err == nil {
				t.Fatal("opened")
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
	t.Run("what a newer Slipway wrote", func(t *testing.T) {
		url := server.Database(t)
		if err := open(t, url, postgres.Options{}).Close(); err != nil {
			t.Fatal(err)
		}
		admin(t, url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
		_, err := postgres.Open(t.Context(), url, postgres.Options{})
		if _, text := fault.Show(err); !strings.Contains(text, "written by a newer Slipway") {
			t.Errorf("got %v", err)
		}
	})
}

// The role that serves need not be one that may change the schema.
func TestARoleThatReadsAndWritesIsEnough(t *testing.T) {
	url := server.Database(t)
	if err := open(t, url, postgres.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	admin(t, url, "CREATE ROLE slipway_serves")
	t.Cleanup(func() {
		admin(t, url, "DROP OWNED BY slipway_serves")
		admin(t, url, "DROP ROLE slipway_serves")
	})
	admin(t, url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO slipway_serves")
	db := open(t, url+"&role=slipway_serves", postgres.Options{})
	if err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error { return put(ctx, tx, "a") }); err != nil {
		t.Error(err)
	}
	if !stored(t, db, "a") {
		t.Error("it is not stored")
	}
	db.Close() // before the role goes
}

func TestNodesMayStartAtOnce(t *testing.T) {
	url := server.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := postgres.Open(t.Context(), url, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}
