package provision

import (
	"context"
	"sync"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/store"
)

// intents writes the intents of signatures that are asked for at the same time
// in one transaction: the first to come writes, and those that come meanwhile
// are the next one's. It is for registrations by the thousand; an intent alone
// waits for nobody.
type intents struct {
	mu      sync.Mutex
	waiting *intentBatch // nil: nobody waits
	writing sync.Mutex
}

// An intentBatch is what one transaction writes.
type intentBatch struct {
	intents []*certs.Intent
	written chan struct{}
	err     error // once it is written
}

// write returns when the intent is on disk.
func (n *intents) write(ctx context.Context, db store.DB, i *certs.Intent) error {
	n.mu.Lock()
	b := n.waiting
	first := b == nil
	if first {
		b = &intentBatch{written: make(chan struct{})}
		n.waiting = b
	}
	b.intents = append(b.intents, i)
	n.mu.Unlock()
	if !first {
		<-b.written
		return b.err
	}
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	n.waiting = nil // whoever comes now is of the next batch
	n.mu.Unlock()
	defer close(b.written)
	b.err = db.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx store.Tx) error {
		for _, i := range b.intents {
			if err := tx.InsertIntent(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return b.err
}
