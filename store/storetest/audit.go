package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// auditRecord tells of a thing with the number's name.
func auditRecord(t arn.Tenant, i int) *audit.Record {
	return &audit.Record{
		At: noon.Add(time.Duration(i/2) * time.Minute), Account: t.Account, Region: t.Region,
		Who: audit.Who{Key: "AKIAEXAMPLE1", Name: "ci", Role: "operator"}, From: "192.0.2.7:4711",
		Action: "iot:CreateThing", RequestID: fmt.Sprintf("request-%03d", i), Outcome: audit.Done,
		Changes: []audit.Change{
			{Kind: "thing", Name: fmt.Sprintf("lock-%03d", i), After: json.RawMessage(`{"name":"a<b\u0000é"}`)},
			{Kind: "thing-principal", Name: "door", To: t.Cert(certID(i)), Before: json.RawMessage(`{}`)},
		},
	}
}

func appendAudit(t *testing.T, db store.DB, records ...*audit.Record) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx tx) error {
		for _, r := range records {
			if err := tx.AppendAudit(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// chained reads the head and what waits, and puts that behind it.
func chained(t *testing.T, db store.DB) (from, to audit.Head, entries []audit.Entry) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx tx) (err error) {
		if from, err = tx.AuditHead(ctx); err != nil {
			return err
		}
		entries, err = tx.UnsealedAudit(ctx, 100)
		return err
	})
	to = audit.Chain(from, entries)
	to.Seal = []byte("seal")
	return from, to, entries
}

func sealAudit(t *testing.T, db store.DB) audit.Head {
	t.Helper()
	from, to, entries := chained(t, db)
	update(t, db, func(ctx context.Context, tx tx) error { return tx.SealAudit(ctx, from, to, entries) })
	return to
}

func sealed(t *testing.T, db store.DB, after int64, limit int) []audit.Entry {
	t.Helper()
	return fetch(t, db, func(ctx context.Context, tx tx) ([]audit.Entry, error) { return tx.SealedAudit(ctx, after, limit) })
}

// soundAudit asserts that the whole trail verifies, and gives its length.
func soundAudit(t *testing.T, db store.DB) int64 {
	t.Helper()
	var report audit.Report
	err := report.Verify(func(yield func(audit.Entry, error) bool) {
		for _, e := range sealed(t, db, 0, 1<<20) {
			if !yield(e, nil) {
				return
			}
		}
	}, audit.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	report.Ends(fetch(t, db, func(ctx context.Context, tx tx) (audit.Head, error) { return tx.AuditHead(ctx) }), audit.Hash{})
	if report.Broken != nil {
		t.Errorf("the chain is broken: %s", report.Broken.Text)
	}
	return report.Sequence
}

func auditTrail(t *testing.T, open Open) {
	t.Run("a record comes back as it was packed, first unsealed and then sealed", func(t *testing.T) {
		db := open(t)
		r := auditRecord(elsewhere, 3)
		appendAudit(t, db, r)
		body, err := audit.Pack(r)
		if err != nil {
			t.Fatal(err)
		}
		_, to, waiting := chained(t, db)
		if len(waiting) != 1 || string(waiting[0].Body) != string(body) || waiting[0].Tenant != elsewhere || !waiting[0].At.Equal(r.At) {
			t.Fatalf("got %+v", waiting)
		}
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (int64, error) { return tx.CountUnsealedAudit(ctx) }), int64(1))
		sealAudit(t, db)
		got := sealed(t, db, 0, 10)
		if len(got) != 1 || got[0].Sequence != 1 || got[0].Hash != to.Hash || string(got[0].Body) != string(body) || got[0].Lost {
			t.Errorf("got %+v", got)
		}
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (audit.Head, error) { return tx.AuditHead(ctx) }), to)
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (int64, error) { return tx.CountUnsealedAudit(ctx) }), int64(0))
	})
	t.Run("an empty trail has the zero head", func(t *testing.T) {
		same(t, fetch(t, open(t), func(ctx context.Context, tx tx) (audit.Hash, error) {
			h, err := tx.AuditHead(ctx)
			return h.Hash, err
		}), audit.Hash{})
	})
	t.Run("a record of a transaction that fails is not there", func(t *testing.T) {
		db := open(t)
		sorry := errors.New("sorry")
		err := db.Update(t.Context(), func(ctx context.Context, tx tx) error {
			return errors.Join(tx.AppendAudit(ctx, auditRecord(arn.Default, 1)), sorry)
		})
		if !errors.Is(err, sorry) {
			t.Errorf("got %v", err)
		}
		if _, _, waiting := chained(t, db); len(waiting) != 0 {
			t.Errorf("got %+v", waiting)
		}
	})
	t.Run("the chain goes on where it ended, across tenants", func(t *testing.T) {
		db := open(t)
		for i := range 5 {
			appendAudit(t, db, auditRecord(arn.Default, i), auditRecord(elsewhere, i))
			sealAudit(t, db)
		}
		same(t, soundAudit(t, db), int64(10))
		if got := sealed(t, db, 4, 3); len(got) != 3 || got[0].Sequence != 5 || got[2].Sequence != 7 || got[0].Lost {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a sealer that came second changes nothing", func(t *testing.T) {
		db := open(t)
		appendAudit(t, db, auditRecord(arn.Default, 1))
		from, to, entries := chained(t, db)
		sealAudit(t, db)
		refused(t, db, fault.Conflict, func(ctx context.Context, tx tx) error { return tx.SealAudit(ctx, from, to, entries) })
		same(t, soundAudit(t, db), int64(1))
	})
	t.Run("many sealers and writers at once make one chain", func(t *testing.T) { sealers(t, open) })
	t.Run("a record is found by who, what, which and when", func(t *testing.T) { searches(t, open) })
}

func sealers(t *testing.T, open Open) {
	db := open(t)
	const writers, each = 3, 8
	var work, sealing sync.WaitGroup
	for range 3 {
		sealing.Go(func() {
			for n := int64(0); n < writers*each; {
				from, to, entries := chained(t, db)
				err := db.Update(context.Background(), func(ctx context.Context, tx tx) error { return tx.SealAudit(ctx, from, to, entries) })
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
					return
				}
				n = from.Sequence
			}
		})
	}
	for w := range writers {
		work.Go(func() {
			for i := range each {
				err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
					return tx.AppendAudit(ctx, auditRecord(arn.Default, w*each+i))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	sealing.Wait()
	same(t, soundAudit(t, db), int64(writers*each))
}

func searches(t *testing.T, open Open) {
	db := open(t)
	for i := range 6 {
		r := auditRecord(arn.Default, i)
		if i >= 3 {
			r.Who, r.Action = audit.Who{Key: "AKIAEXAMPLE2", Role: "admin"}, "iot:DeleteThing"
		}
		appendAudit(t, db, r, auditRecord(elsewhere, i))
	}
	sealAudit(t, db)
	find := func(f audit.Filter, limit int) []string {
		t.Helper()
		var out []string
		for _, e := range walk(t, db, ref.Page{Limit: limit}, nil, func(ctx context.Context, tx tx, p ref.Page) ([]audit.Entry, string, error) {
			return tx.FindAudit(ctx, arn.Default, f, p)
		}) {
			r, err := audit.Open(e.Body)
			if err != nil || e.Tenant != arn.Default {
				t.Errorf("%v, %v", e.Tenant, err)
				continue
			}
			out = append(out, r.RequestID[len("request-00"):])
		}
		return out
	}
	cert := certID(2)
	for say, c := range map[string]struct {
		filter audit.Filter
		want   []string
	}{
		"all, the newest first":     {audit.Filter{}, []string{"5", "4", "3", "2", "1", "0"}},
		"by key":                    {audit.Filter{Who: "AKIAEXAMPLE2"}, []string{"5", "4", "3"}},
		"by the key's name":         {audit.Filter{Who: "ci"}, []string{"2", "1", "0"}},
		"by action, in any case":    {audit.Filter{Action: "IOT:deletething"}, []string{"5", "4", "3"}},
		"by name":                   {audit.Filter{Resource: "lock-004"}, []string{"4"}},
		"by ARN":                    {audit.Filter{Resource: arn.Default.Thing("lock-004")}, []string{"4"}},
		"by either end of a link":   {audit.Filter{Resource: string(cert)}, []string{"2"}},
		"by request":                {audit.Filter{RequestID: "request-001"}, []string{"1"}},
		"by two at once":            {audit.Filter{Who: "ci", Resource: "door"}, []string{"2", "1", "0"}},
		"by two that never meet":    {audit.Filter{Who: "ci", Action: "iot:DeleteThing"}, nil},
		"from a moment on":          {audit.Filter{Since: noon.Add(time.Minute)}, []string{"5", "4", "3", "2"}},
		"up to a moment":            {audit.Filter{Until: noon.Add(time.Minute)}, []string{"1", "0"}},
		"by action within a minute": {audit.Filter{Action: "iot:DeleteThing", Since: noon.Add(time.Minute), Until: noon.Add(2 * time.Minute)}, []string{"3"}},
		"what is not there":         {audit.Filter{Who: "nobody"}, nil},
	} {
		t.Run(say, func(t *testing.T) {
			for _, limit := range []int{1, 2, 100} {
				same(t, find(c.filter, limit), c.want)
			}
		})
	}
}
