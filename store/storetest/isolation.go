package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// together runs f n times at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func isolation(t *testing.T, open Open) {
	t.Run("no increment is lost", func(t *testing.T) { increments(t, open(t)) })
	t.Run("the last doctor stays on call", func(t *testing.T) { doctors(t, open(t)) })
	t.Run("one of many inserts wins", func(t *testing.T) { races(t, open(t)) })
	t.Run("a View sees one state throughout", func(t *testing.T) { snapshot(t, open(t)) })
	t.Run("a View sees every Update that returned before it began", func(t *testing.T) { fresh(t, open(t)) })
	t.Run("a View sees all of an Update or nothing", func(t *testing.T) { whole(t, open(t)) })
}

func increments(t *testing.T, db store.DB) {
	const callers, each = 4, 10
	th := thing("counter")
	th.Version = 0
	update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, th) })
	together(callers, func(int) {
		for range each {
			if err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
				th, err := tx.Thing(ctx, arn.Default, "counter")
				if err != nil {
					return err
				}
				th.Version++
				return tx.UpdateThing(ctx, th)
			}); err != nil {
				t.Error(err)
			}
		}
	})
	got := fetch(t, db, func(ctx context.Context, tx tx) (*things.Thing, error) { return tx.Thing(ctx, arn.Default, "counter") })
	same(t, got.Version, int64(callers*each))
}

// doctors is the classic of write skew: either doctor may leave if the other
// stays, each reads what the other writes, and both try at once.
func doctors(t *testing.T, db store.DB) {
	set := func(ctx context.Context, tx tx, name, state string) error {
		th := thing(name)
		th.Attributes = map[string]string{"on-call": state}
		return tx.UpdateThing(ctx, th)
	}
	pair := []string{"alice", "bob"}
	update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, pair...) })
	leave := func(ctx context.Context, tx tx, who, other string) error {
		th, err := tx.Thing(ctx, arn.Default, other)
		if err != nil || th.Attributes["on-call"] == "no" {
			return err
		}
		return set(ctx, tx, who, "no")
	}
	for range 15 {
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := set(ctx, tx, "alice", "yes"); err != nil {
				return err
			}
			return set(ctx, tx, "bob", "yes")
		})
		together(2, func(i int) {
			if err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
				return leave(ctx, tx, pair[i], pair[1-i])
			}); err != nil {
				t.Error(err)
			}
		})
		left := 0
		view(t, db, func(ctx context.Context, tx tx) error {
			for _, n := range pair {
				th, err := tx.Thing(ctx, arn.Default, n)
				if err != nil {
					return err
				}
				if th.Attributes["on-call"] == "no" {
					left++
				}
			}
			return nil
		})
		if left != 1 {
			t.Fatalf("%d doctors left, want one", left)
		}
	}
}

func races(t *testing.T, db store.DB) {
	const callers = 32
	for what, insert := range map[string]func(context.Context, tx) error{
		"a thing":       func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, thing("lock-1")) },
		"a certificate": func(ctx context.Context, tx tx) error { return tx.InsertCertificate(ctx, certificate(1)) },
		"a token": func(ctx context.Context, tx tx) error {
			return tx.InsertToken(ctx, &certs.TokenRecord{Tenant: arn.Default, Digest: certs.Digest{1}})
		},
	} {
		errs := make([]error, callers)
		together(callers, func(i int) { errs[i] = db.Update(context.Background(), insert) })
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !fault.Is(err, fault.Exists):
				t.Errorf("%s: %v", what, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d winners", what, won)
		}
	}
	linked := make([]bool, callers)
	together(callers, func(i int) {
		if err := db.Update(context.Background(), func(ctx context.Context, tx tx) (err error) {
			linked[i], err = tx.PutLink(ctx, arn.Default, ref.GroupThing, ref.Link{Left: "g", Right: "t"})
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	won := 0
	for _, created := range linked {
		if created {
			won++
		}
	}
	if won != 1 {
		t.Errorf("a link: created %d times", won)
	}
}

func snapshot(t *testing.T, db store.DB) {
	update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, "a") })
	count := func(ctx context.Context, tx tx) int {
		some, _, err := tx.ListThings(ctx, arn.Default, things.Filter{}, ref.All)
		if err != nil {
			t.Error(err)
		}
		return len(some)
	}
	view(t, db, func(ctx context.Context, tx tx) error {
		same(t, count(ctx, tx), 1)
		update(t, db, func(ctx context.Context, tx store.Tx) error {
			if err := insert(ctx, tx, "b"); err != nil {
				return err
			}
			return tx.DeleteThing(ctx, arn.Default, "a")
		})
		same(t, count(ctx, tx), 1)
		if _, err := tx.Thing(ctx, arn.Default, "a"); err != nil {
			t.Error(err)
		}
		if _, err := tx.Thing(ctx, arn.Default, "b"); !fault.Is(err, fault.Missing) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	same(t, there(t, db, "a", "b"), []bool{false, true})
}

func fresh(t *testing.T, db store.DB) {
	together(4, func(i int) {
		for j := range 10 {
			n := name(i*100 + j)
			if err := db.Update(context.Background(), func(ctx context.Context, tx tx) error { return insert(ctx, tx, n) }); err != nil {
				t.Error(err)
			}
			if err := db.View(context.Background(), func(ctx context.Context, tx tx) error {
				_, err := tx.Thing(ctx, arn.Default, n)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

func whole(t *testing.T, db store.DB) {
	const rounds = 20
	together(2, func(i int) {
		for j := range rounds {
			if i == 0 {
				update(t, db, func(ctx context.Context, tx tx) error { return insert(ctx, tx, name(j)+"-a", name(j)+"-b") })
				continue
			}
			for _, pair := range [][]string{{name(j) + "-a", name(j) + "-b"}, {name(j) + "-b", name(j) + "-a"}} {
				if got := there(t, db, pair...); got[0] != got[1] {
					t.Errorf("half an Update: %v is %v", pair, got)
				}
			}
		}
	})
}
