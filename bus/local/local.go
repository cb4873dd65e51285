// Package local is the bus of a single node.
package local

import (
	"sync"

	"github.com/slipway-iot/slipway/event"
)

// Bus carries events inside this process. The zero value is ready.
type Bus struct {
	mu   sync.Mutex
	next int
	subs map[int]func(event.Event)
}

// Publish calls each subscriber for each event, in order.
func (b *Bus) Publish(events []event.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		for _, f := range b.subs {
			f(e)
		}
	}
	return nil
}

// Subscribe adds f until cancel is called; f may not subscribe or cancel.
func (b *Bus) Subscribe(f func(event.Event)) (cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[int]func(event.Event){}
	}
	id := b.next
	b.next++
	b.subs[id] = f
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, id)
	}
}

// Close forgets all subscribers.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs = nil
	return nil
}
