// Package bus is the contract between nodes: what happened on one is told to
// all, itself included, after its commit.
//
// A single node needs no network: package local carries events inside the
// process. Delivery is at least once and in commit order per node.
package bus

import "github.com/slipway-iot/slipway/event"

// A Bus carries events.
type Bus interface {
	// Publish hands events to every subscriber and returns when local
	// subscribers have seen them.
	Publish(events []event.Event) error
	// Subscribe calls f for each event, one call at a time, until cancel. f
	// runs on the publisher's goroutine: it may read the store, and waits for
	// nothing that the publisher does, nor for a subscription.
	Subscribe(f func(event.Event)) (cancel func())
	Close() error
}
