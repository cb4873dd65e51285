package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wills"
)

const (
	tendEvery  = time.Second
	adoptEvery = 5 * time.Second // how often wills of servers that died are looked for
	pruneEvery = time.Minute     // how often what expired is deleted
	willRetry  = 5 * time.Second // after the store failed
	manyWills  = 8               // that go out at a time
	batch      = 500             // rows in one transaction
)

// waiting holds the wills of connections that are over: until their delay is,
// or the store works again, or, after the death of a server, until those who
// listen had a moment to come back.
type waiting struct {
	mu sync.Mutex
	of map[clientKey]*lastWill
}

func (b *waiting) add(w *lastWill) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[clientKey]*lastWill{}
	}
	b.of[clientKey{w.Tenant, w.ClientID}] = w
}

// take takes out the will of a client id, nil if none waits.
func (b *waiting) take(k clientKey) *lastWill {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of[k]
	delete(b.of, k)
	return w
}

// due takes out those whose time has come.
func (b *waiting) due(now time.Time) (out []*lastWill) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, w := range b.of {
		if !w.Due.After(now) {
			out = append(out, w)
			delete(b.of, k)
		}
	}
	return out
}

// Tend does what no connection does, until ctx ends: it publishes wills that
// are due, takes over those of servers that died, and deletes what expired.
func (g *Gateway) Tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var adopted, pruned time.Time
	for {
		now := time.Now() // waits, not values: the real clock
		if now.Sub(adopted) >= adoptEvery {
			adopted = now
			g.report(ctx, "wills not adopted", g.AdoptWills(ctx))
		}
		if now.Sub(pruned) >= pruneEvery {
			pruned = now
			g.report(ctx, "retained messages not pruned", g.prune(ctx))
		}
		g.sendDue()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (g *Gateway) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		g.Log.ErrorContext(ctx, what, slog.Any("err", err))
	}
}

// sendDue sends the wills whose time has come.
func (g *Gateway) sendDue() {
	var group errgroup.Group
	group.SetLimit(manyWills)
	for _, w := range g.waiting.due(g.Now()) {
		group.Go(func() error { g.sendWill(w, nil); return nil })
	}
	_ = group.Wait()
}

// AdoptWills takes over the wills of connections that died with their server.
// Each waits for its delay, and for the grace that lets listeners come back.
// It is called before Serve too, so that a device which returns at once finds
// its will.
func (g *Gateway) AdoptWills(ctx context.Context) error {
	for {
		var left []*wills.Will
		err := g.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			if left, err = tx.LeftWills(ctx, batch); err != nil {
				return err
			}
			for _, w := range left {
				w.Due = g.dueAfterDeath(w)
				if err := tx.PutWill(ctx, w); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, w := range left {
			g.adopt(w)
		}
		if len(left) < batch {
			return nil
		}
	}
}

func (g *Gateway) dueAfterDeath(w *wills.Will) time.Time {
	due := w.Due
	if due.IsZero() {
		due = g.Now().Add(w.Delay)
	}
	if soon := g.Now().Add(g.Limits.WillGrace); due.Before(soon) {
		due = soon
	}
	return due
}

// adopt lets a will wait, unless its client is here again: another node served
// it before, and the message would come after those that it overtook.
func (g *Gateway) adopt(w *wills.Will) {
	held := &lastWill{Will: w}
	if g.hub.holder(clientKey{w.Tenant, w.ClientID}) != nil {
		g.dropWill(held)
		return
	}
	g.waiting.add(held)
}

// prune deletes retained messages that expired.
func (g *Gateway) prune(ctx context.Context) error {
	for {
		n := 0
		err := g.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			n, err = tx.PruneRetained(ctx, g.Now(), batch)
			return err
		})
		if err != nil || n < batch {
			return err
		}
	}
}
