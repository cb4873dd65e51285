package bulk

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tasks"
)

// A registry counts how often each line was registered for good.
type registry struct {
	db    store.DB
	loses int // so many of its commits succeed, and nobody hears of it
	parts int // lines of a transaction
}

// register does as package provision: parts of the lines in a transaction
// each, and where one fails, each of its lines alone, and refused at last.
func (r *registry) register(ctx context.Context, t arn.Tenant, _ string, _ bool, lines []*Line, join Join) (bool, error) {
	for len(lines) > 0 {
		n := min(r.parts, len(lines))
		if err := r.write(ctx, t, lines[:n], join); err != nil {
			return false, err
		}
		lines = lines[n:]
	}
	return false, nil
}

func (r *registry) write(ctx context.Context, t arn.Tenant, lines []*Line, join Join) error {
	err := r.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		for _, l := range lines {
			if l.Refused != nil {
				continue
			}
			name := fmt.Sprintf("%03d", l.Number)
			if _, err := tx.Document(ctx, t, "thing", name); !fault.Is(err, fault.Missing) {
				return fault.Wrap(fault.Exists, err, "Line %d is there.", l.Number)
			}
			if err := tx.PutDocument(ctx, t, "thing", name, []byte("{}")); err != nil {
				return err
			}
			l.Made = Registered{Certificate: arn.CertID(name)}
		}
		return join(ctx, tx, lines)
	})
	switch {
	case err == nil && r.loses > 0:
		r.loses--
		return fault.New(fault.Unavailable, "The outcome is unknown.")
	case err == nil:
		for _, l := range lines {
			l.Done = true
		}
		return nil
	case len(lines) > 1:
		for i := range lines {
			if err := r.write(ctx, t, lines[i:i+1], join); err != nil {
				return err
			}
		}
		return nil
	}
	lines[0].Refused = err
	return r.write(ctx, t, lines, join)
}

func TestACommitOfUnknownOutcomeIsNotDoneAgain(t *testing.T) {
	for _, loses := range []int{0, 1, 2} {
		for _, parts := range []int{1, 4, 64} {
			t.Run(fmt.Sprintf("%d answers are lost, %d lines to a transaction", loses, parts), func(t *testing.T) {
				db, err := sqlite.Open(t.Context(), sqlite.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				r := &registry{db: db, loses: loses, parts: parts}
				s := New(Config{DB: db, Register: r.register, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
				j := &job{Service: s, t: arn.Default, task: &tasks.Task{ID: "t"}}
				var batch []line
				for i := range 10 {
					batch = append(batch, line{number: i + 1, text: []byte(`{"a":"b"}`)})
				}
				batch[6].text = []byte("no JSON")
				if err := j.some(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
				if j.done != 9 || j.refused != 1 {
					t.Errorf("%d lines were registered and %d refused", j.done, j.refused)
				}
				m := &memory{db: db, tenant: arn.Default, task: "t"}
				for n := 1; n <= 10; n++ {
					a, err := m.find(t.Context(), n)
					if err != nil || a == nil {
						t.Fatalf("line %d is not remembered: %v", n, err)
					}
					if want := fmt.Sprintf("%03d", n); n == 7 && a.Code == "" || n != 7 && string(a.Certificate) != want {
						t.Errorf("line %d is remembered as %+v", n, a)
					}
				}
			})
		}
	}
}
