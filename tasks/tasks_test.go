package tasks_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tasks"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// What the control plane's clock cannot reach; the rest is tested there.
func TestTasksThatEndedLongAgoAreForgotten(t *testing.T) {
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		start := func(at time.Time) (string, error) {
			k := &tasks.Task{Bucket: "b", Key: "k", Created: at}
			err := tasks.Start(ctx, tx, arn.Default, k, false)
			return k.ID, err
		}
		ids := func() (out []string) {
			all, _, err := tasks.List(ctx, tx, arn.Default, ref.All)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range all {
				out = append(out, k.ID)
			}
			return out
		}
		first, err := start(noon)
		if err != nil {
			return err
		}
		if _, err := start(noon.AddDate(1, 0, 0)); !fault.Is(err, fault.InvalidRequest) || len(ids()) != 1 {
			t.Errorf("beside one in progress, however old: %v, %v", err, ids())
		}
		if err := tasks.Stop(ctx, tx, arn.Default, first, noon); err != nil {
			return err
		}
		second, err := start(noon.AddDate(0, 0, 29))
		if err != nil {
			return err
		}
		if len(ids()) != 2 {
			t.Errorf("after 29 days: %v", ids())
		}
		if err := tasks.Stop(ctx, tx, arn.Default, second, noon.AddDate(0, 0, 29)); err != nil {
			return err
		}
		third, err := start(noon.AddDate(0, 0, 31))
		if got := ids(); len(got) != 2 || third == second {
			t.Errorf("after 31 days: %v", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheOldestTaskIsTakenByOneWorker(t *testing.T) {
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		var ids []string
		for i := range 3 {
			k := &tasks.Task{Bucket: "b", Key: "k", Created: noon.Add(time.Duration(i) * time.Hour)}
			if err := tasks.Start(ctx, tx, arn.Default, k, true); err != nil {
				return err
			}
			ids = append(ids, k.ID)
		}
		later := noon.Add(4 * time.Hour)
		take := func(worker string, now time.Time) string {
			k, err := tasks.Take(ctx, tx, arn.Default, worker, now)
			if err != nil {
				t.Fatal(err)
			}
			if k == nil {
				return ""
			}
			return k.ID
		}
		if got := take("a", later); got != ids[0] {
			t.Errorf("the first to be taken is %s", got)
		}
		if got := take("b", later.Add(tasks.Silence-1)); got != "" {
			t.Errorf("another worker took %s beside it", got)
		}
		if got := take("a", later); got != ids[0] {
			t.Errorf("after a restart its worker takes %q", got)
		}
		if got := take("b", later.Add(tasks.Silence)); got != ids[0] {
			t.Errorf("from a worker that is silent another takes %q", got)
		}
		if _, err := tasks.Work(ctx, tx, arn.Default, ids[0], "a", later, func(*tasks.Task) {}); !fault.Is(err, fault.Conflict) {
			t.Errorf("the silent one goes on: %v", err)
		}
		for i, want := range []tasks.Status{tasks.Cancelling, tasks.Cancelled} {
			if err := tasks.Stop(ctx, tx, arn.Default, ids[i], later); err != nil {
				return err
			}
			if k, err := tasks.Get(ctx, tx, arn.Default, ids[i]); err != nil || k.Status != want {
				t.Errorf("a task that is stopped is %v (%v), want %s", k, err, want)
			}
		}
		_, err := tasks.Work(ctx, tx, arn.Default, ids[0], "b", later, func(k *tasks.Task) { k.Status = tasks.Cancelled })
		if err != nil {
			return err
		}
		if got := take("b", later); got != ids[2] {
			t.Errorf("next is %s", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
