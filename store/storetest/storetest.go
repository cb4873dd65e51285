// Package storetest is the suite that every driver of package store passes.
//
// It asserts what the rules above a store rely on: that what was acknowledged
// stays, that a failed function leaves nothing, that lists miss and repeat
// nothing, and that concurrent functions behave as if they ran one by one.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// Open gives a fresh, empty database that is closed at the end of t.
type Open func(t *testing.T) store.DB

// A section is one part of the suite.
type section struct {
	name string
	test func(*testing.T, Open)
}

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	Records(t, open)
	run(t, open, []section{
		{"failures", failures},
		{"parts", parts},
		{"isolation", isolation},
		{"peek", peeks},
		{"outbox", outbox},
		{"model", model},
	})
}

// Records runs the part that calls every method on records: what is stored is
// found, listed, refused and deleted.
func Records(t *testing.T, open Open) {
	run(t, open, []section{
		{"records", records},
		{"authorities", authorities},
		{"documents", documents},
		{"documents undone", undone},
		{"links", links},
		{"again", again},
		{"attempts", findAttempts},
		{"audit", auditTrail},
		{"retained", retainedMessages},
		{"wills", lastWills},
		{"sessions", mqttSessions},
		{"queues", queues},
		{"pages", pages},
	})
}

func run(t *testing.T, open Open, sections []section) {
	for _, s := range sections {
		t.Run(s.name, func(t *testing.T) { s.test(t, open) })
	}
}

// noon is when everything in the suite happens; stores keep microseconds.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456000, time.UTC)

// elsewhere is a tenant that must never see what arn.Default owns.
var elsewhere = arn.Tenant{Account: "111122223333", Region: "eu-west-1"}

type tx = store.Tx

// update fails the test if f does.
func update(t *testing.T, db store.DB, f func(context.Context, tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// view fails the test if f does.
func view(t *testing.T, db store.DB, f func(context.Context, tx) error) {
	t.Helper()
	if err := db.View(t.Context(), f); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// refused runs f in an Update that must fail with kind k.
func refused(t *testing.T, db store.DB, k fault.Kind, f func(context.Context, tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); !fault.Is(err, k) {
		t.Errorf("Update: got %v, want a fault of kind %v", err, k)
	}
}

// says fails the test unless err is of kind k with exactly this sentence.
func says(t *testing.T, err error, k fault.Kind, sentence string) {
	t.Helper()
	if _, text := fault.Show(err); !fault.Is(err, k) || text != sentence {
		t.Errorf("got %v, want %v: %s", err, k, sentence)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// fetch runs one getter in a View.
func fetch[T any](t *testing.T, db store.DB, get func(context.Context, tx) (T, error)) T {
	t.Helper()
	var v T
	view(t, db, func(ctx context.Context, tx tx) (err error) {
		v, err = get(ctx, tx)
		return err
	})
	return v
}

// walk reads a whole list page by page, each in a View of its own, and calls
// between after every page.
func walk[T any](t *testing.T, db store.DB, p ref.Page, between func(), list func(context.Context, tx, ref.Page) ([]T, string, error)) []T {
	t.Helper()
	var all []T
	for range 10_000 {
		var next string
		view(t, db, func(ctx context.Context, tx tx) error {
			some, n, err := list(ctx, tx, p)
			if len(some) > p.Limit {
				t.Errorf("a page of %d entries, limit %d", len(some), p.Limit)
			}
			all, next = append(all, some...), n
			return err
		})
		if next == "" {
			return all
		}
		p.After = next
		if between != nil {
			between()
		}
	}
	t.Fatal("the list does not end")
	return nil
}
