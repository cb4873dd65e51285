package local_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/bus"
	"github.com/slipway-iot/slipway/bus/local"
	"github.com/slipway-iot/slipway/event"
)

var _ bus.Bus = (*local.Bus)(nil)

func TestEverySubscriberSeesEveryEventInOrder(t *testing.T) {
	var b local.Bus
	var first, second []string
	cancel := b.Subscribe(func(e event.Event) { first = append(first, e.ID) })
	b.Subscribe(func(e event.Event) { second = append(second, e.ID) })
	publish := func(ids ...string) {
		t.Helper()
		var events []event.Event
		for _, id := range ids {
			events = append(events, event.Event{ID: id})
		}
		if err := b.Publish(events); err != nil {
			t.Fatal(err)
		}
	}
	publish("a", "b")
	publish("c")
	cancel()
	cancel() // once more does no harm
	publish("d")
	if !slices.Equal(first, []string{"a", "b", "c"}) || !slices.Equal(second, []string{"a", "b", "c", "d"}) {
		t.Errorf("seen: %v and %v", first, second)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	publish("e")
	if len(second) != 4 {
		t.Error("a closed bus told somebody")
	}
}

func TestOneCallAtATime(t *testing.T) {
	var b local.Bus
	seen, inside := 0, false // touched without a lock, which the bus is
	b.Subscribe(func(event.Event) {
		if inside {
			t.Error("two calls at once")
		}
		inside = true
		seen++
		inside = false
	})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				_ = b.Publish([]event.Event{{ID: "x"}})
			}
		})
	}
	wg.Wait()
	if seen != 1600 {
		t.Errorf("%d events arrived", seen)
	}
}
