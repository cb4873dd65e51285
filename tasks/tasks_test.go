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
			err := tasks.Start(ctx, tx, arn.Default, k)
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
