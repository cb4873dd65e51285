package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

func attempt(i int, keys ...string) *attempts.Attempt {
	at := noon.Add(time.Duration(i) * time.Minute)
	return &attempts.Attempt{
		ID: fmt.Sprintf("attempt-%03d", i), Tenant: arn.Default, Opened: at, Closed: at.Add(time.Second),
		Door: "claim", Remote: "10.0.0.1", ClientID: "c", Outcome: attempts.Refused, Reason: "no", Count: 1,
		Steps: []attempts.Step{{After: time.Millisecond, Name: "tls", Text: "1.3"}}, Keys: keys,
	}
}

// A tenantDB is a database as one tenant sees it.
type tenantDB struct {
	store.DB
	tenant arn.Tenant
}

func find1(t *testing.T, db store.DB, key string) (as []*attempts.Attempt, next string, err error) {
	t.Helper()
	err = db.View(t.Context(), func(ctx context.Context, tx tx) (err error) {
		as, next, err = tx.FindAttempts(ctx, arn.Default, key, ref.All)
		return err
	})
	return as, next, err
}

func findAttempts(t *testing.T, open Open) {
	find := func(t *testing.T, db tenantDB, key string, p ref.Page) []string {
		t.Helper()
		var ids []string
		for _, a := range walk(t, db.DB, p, nil, func(ctx context.Context, tx tx, p ref.Page) ([]*attempts.Attempt, string, error) {
			return tx.FindAttempts(ctx, db.tenant, key, p)
		}) {
			ids = append(ids, a.ID)
		}
		return ids
	}
	insert := func(t *testing.T, db tenantDB, as ...*attempts.Attempt) {
		t.Helper()
		update(t, db.DB, func(ctx context.Context, tx tx) error { return tx.InsertAttempts(ctx, as) })
	}

	t.Run("an attempt comes back as it was put", func(t *testing.T) {
		db := open(t)
		want := attempt(1, "SN-1", "10.0.0.1")
		insert(t, tenantDB{db, arn.Default}, want)
		got, _, err := find1(t, db, "SN-1")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, []*attempts.Attempt{want})
	})
	t.Run("a key finds its attempts, the newest first, page by page", func(t *testing.T) {
		db := tenantDB{open(t), arn.Default}
		insert(t, db, attempt(1, "a", "b"), attempt(2, "a"), attempt(3, "b"), attempt(4, "a", "a"))
		same(t, find(t, db, "a", ref.Page{Limit: 1}), []string{"attempt-004", "attempt-002", "attempt-001"})
		same(t, find(t, db, "", ref.Page{Limit: 3, Descending: true}), []string{"attempt-004", "attempt-003", "attempt-002", "attempt-001"})
		same(t, find(t, tenantDB{db.DB, elsewhere}, "a", ref.All), []string(nil))
		same(t, find(t, db, "nothing", ref.All), []string(nil))
	})
	t.Run("an attempt put again is one attempt", func(t *testing.T) {
		db := tenantDB{open(t), arn.Default}
		insert(t, db, attempt(1, "a"))
		again := attempt(1, "a")
		again.Count = 7
		insert(t, db, again)
		got, _, err := find1(t, db.DB, "a")
		if err != nil || len(got) != 1 || got[0].Count != 7 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a key that is no text is found by the same bytes", func(t *testing.T) {
		db := tenantDB{open(t), arn.Default}
		insert(t, db, attempt(1, "\xffSN\x00"))
		same(t, find(t, db, "\xffSN\x00", ref.All), []string{"attempt-001"})
	})
	t.Run("pruning takes the oldest, with their keys, up to the limit", func(t *testing.T) {
		db := tenantDB{open(t), arn.Default}
		insert(t, db, attempt(1, "a"), attempt(2, "a"), attempt(3, "a"), attempt(4, "a"))
		for _, want := range []int{2, 1, 0} {
			update(t, db.DB, func(ctx context.Context, tx tx) error {
				n, err := tx.PruneAttempts(ctx, attempt(4).Closed, 2)
				same(t, n, want)
				return err
			})
		}
		same(t, find(t, db, "a", ref.All), []string{"attempt-004"})
		same(t, find(t, db, "", ref.All), []string{"attempt-004"})
	})
}
