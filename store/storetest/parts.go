package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// parts checks Each: as many transactions in one.
func parts(t *testing.T, open Open) {
	const n = 21 // no multiple of what a driver takes at a time
	thing := func(i int) *things.Thing {
		return &things.Thing{Tenant: arn.Default, Name: fmt.Sprintf("part-%02d", i), ID: fmt.Sprint(i), Version: 1, Created: noon}
	}
	count := func(t *testing.T, db store.DB) int {
		all := fetch(t, db, func(ctx context.Context, tx tx) ([]*things.Thing, error) {
			all, _, err := tx.ListThings(ctx, arn.Default, things.Filter{}, ref.All)
			return all, err
		})
		return len(all)
	}

	t.Run("Each part reads what was there and what it wrote, and all are stored", func(t *testing.T) {
		db := open(t)
		shared := &things.Thing{Tenant: arn.Default, Name: "shared", ID: "s", Version: 1, Created: noon, Attributes: map[string]string{"a": "1"}}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, shared) })
		update(t, db, func(ctx context.Context, tx tx) error {
			return tx.Each(ctx, n, func(ctx context.Context, tx store.Tx, i int) error {
				there, err := tx.Thing(ctx, arn.Default, "shared")
				if err != nil || there.Attributes["a"] != "1" {
					return fmt.Errorf("the shared thing is %v, %w", there, err)
				}
				there.Attributes["a"] = "another" // is this part's own
				if _, err := tx.Thing(ctx, arn.Default, thing(i).Name); !fault.Is(err, fault.Missing) {
					return fmt.Errorf("the part's thing is there: %w", err)
				}
				if i%3 == 0 { // not all take the same way
					return nil
				}
				if err := tx.InsertThing(ctx, thing(i)); err != nil {
					return err
				}
				tied, err := tx.PutLink(ctx, arn.Default, ref.GroupThing, ref.Link{Left: "g", Right: thing(i).Name, Created: noon})
				if err != nil || !tied {
					return fmt.Errorf("the link was there: %w", err)
				}
				tx.Emit(event.Event{Kind: event.ThingChanged, Tenant: arn.Default, ID: thing(i).Name})
				_, err = tx.Thing(ctx, arn.Default, thing(i).Name)
				return err
			})
		})
		if got := count(t, db); got != 1+n-n/3 {
			t.Errorf("%d things are there, want %d", got, 1+n-n/3)
		}
		events, _, err := db.Outbox(t.Context(), 1000)
		if err != nil || len(events) != n-n/3 {
			t.Fatalf("%d events wait, %v", len(events), err)
		}
		for at, i := 0, 0; i < n; i++ {
			if i%3 == 0 {
				continue
			}
			if events[at].ID != thing(i).Name {
				t.Errorf("event %d is of %s, want the order of the parts", at, events[at].ID)
			}
			at++
		}
	})

	t.Run("A part that fails leaves nothing of any", func(t *testing.T) {
		db, no := open(t), errors.New("no")
		ended := 0
		err := db.Update(t.Context(), func(ctx context.Context, tx tx) error {
			ended = 0
			return tx.Each(ctx, n, func(ctx context.Context, tx store.Tx, i int) error {
				defer func() { ended++ }()
				if err := tx.InsertThing(ctx, thing(i)); err != nil {
					return err
				}
				if i == 5 {
					return no
				}
				if _, err := tx.Thing(ctx, arn.Default, "shared"); !fault.Is(err, fault.Missing) {
					return err
				}
				return nil
			})
		})
		if !errors.Is(err, no) || count(t, db) != 0 || ended != n {
			t.Errorf("got %v, %d things, and %d of %d parts ended", err, count(t, db), ended, n)
		}
	})

	t.Run("What exists already fails, alone or among others", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, thing(3)) })
		for _, n := range []int{4, n} {
			err := db.Update(t.Context(), func(ctx context.Context, tx tx) error {
				return tx.Each(ctx, n, func(ctx context.Context, tx store.Tx, i int) error { return tx.InsertThing(ctx, thing(i)) })
			})
			if err == nil || count(t, db) != 1 {
				t.Errorf("%d parts: got %v, and %d things are there", n, err, count(t, db))
			}
		}
	})

	t.Run("A View has parts as well, and a Tx ends with its part", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, thing(3)) })
		var kept store.Tx
		found := 0
		view(t, db, func(ctx context.Context, tx tx) error {
			found = 0
			return tx.Each(ctx, n, func(ctx context.Context, tx store.Tx, i int) error {
				_, err := tx.Thing(ctx, arn.Default, thing(i).Name)
				if kept = tx; err == nil {
					found++
				} else if !fault.Is(err, fault.Missing) {
					return err
				}
				return nil
			})
		})
		if _, err := kept.Thing(t.Context(), arn.Default, "x"); found != 1 || !fault.Is(err, fault.Internal) {
			t.Errorf("found %d; afterwards got %v", found, err)
		}
	})

	t.Run("A panic goes to the caller, and nothing is stored", func(t *testing.T) {
		db := open(t)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nobody panicked")
				}
			}()
			_ = db.Update(t.Context(), func(ctx context.Context, tx tx) error {
				return tx.Each(ctx, n, func(ctx context.Context, tx store.Tx, i int) error {
					if err := tx.InsertThing(ctx, thing(i)); err != nil || i != 5 {
						return err
					}
					panic("part 5")
				})
			})
		}()
		if count(t, db) != 0 {
			t.Error("things are there")
		}
	})
}
