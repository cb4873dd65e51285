package storetest

import (
	"context"
	"testing"

	"github.com/slipway-iot/slipway/store"
)

// A peeking DB reads by Peek whatever it is asked to View.
type peeking struct{ store.DB }

func (p peeking) View(ctx context.Context, f func(context.Context, tx) error) error {
	return p.DB.Peek(ctx, f)
}

// peeks asserts of Peek what the suite asserts of View.
func peeks(t *testing.T, open Open) {
	through := func(t *testing.T) store.DB { return peeking{open(t)} }
	t.Run("a Peek sees every Update that returned before it began", func(t *testing.T) { fresh(t, through(t)) })
	t.Run("a Peek sees all of an Update or nothing", func(t *testing.T) { whole(t, through(t)) })
	t.Run("a Peek cannot write", func(t *testing.T) { readOnly(t, through) })
	t.Run("a Peek panics before its caller alone", func(t *testing.T) { panics(t, through) })
	t.Run("a Peek may end its goroutine", func(t *testing.T) { exits(t, through) })
	t.Run("a Peek's Tx is of no use after its function", func(t *testing.T) { outlived(t, through) })
	t.Run("a caller whose context ended is dropped at the door", func(t *testing.T) { dropped(t, through) })
	t.Run("a closed store says so", func(t *testing.T) { closedStore(t, through) })
	t.Run("a Peek gives its function's own error", func(t *testing.T) {
		db := open(t)
		if err := db.Peek(t.Context(), func(context.Context, tx) error { return errMind }); err != errMind {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a Peek waits for the commit of a group under way", func(t *testing.T) { waitsForCommit(t, open(t)) })
}

// waitsForCommit peeks while an Update that has written is still in its
// function: what is seen then is all of it or nothing, and what is seen once
// the Update returned is all of it.
func waitsForCommit(t *testing.T, db store.DB) {
	wrote, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		once := wrote
		done <- db.Update(context.Background(), func(ctx context.Context, tx tx) error {
			if err := insert(ctx, tx, "a"); err != nil {
				return err
			}
			if once != nil {
				close(once)
				once = nil
			}
			<-release
			return insert(ctx, tx, "b")
		})
	}()
	<-wrote
	peeked := make(chan []bool, 1)
	go func() { peeked <- there(t, peeking{db}, "a", "b") }()
	close(release)
	if got := <-peeked; got[0] != got[1] {
		t.Errorf("half an Update: %v", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, there(t, peeking{db}, "a", "b"), []bool{true, true})
}
