package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// followLimit is for how long a node may fail to learn what happened in the
// registry before it admits nobody: revocation fails closed (DESIGN.md,
// decision 15).
const followLimit = 5 * time.Second

// A pulse is when this node last knew all that had happened. It beats while
// the outbox is empty after a look at it.
type pulse struct{ last atomic.Pointer[time.Time] }

func (p *pulse) beat() {
	now := time.Now() // a wait, not a value: the real clock
	p.last.Store(&now)
}

// since gives how long ago the last beat was; zero before the first.
func (p *pulse) since() time.Duration {
	if last := p.last.Load(); last != nil {
		return time.Since(*last)
	}
	return 0
}

// fresh fails once this node does not follow the registry any more.
func (s *Server) fresh() error {
	if s.pulse.since() < followLimit {
		return nil
	}
	return fault.New(fault.Unavailable, "The server has not learned for %v what happened in its registry, so it might miss a revocation; it admits nobody until it has. Its log says why.", followLimit)
}

// watched is the store as the gateway sees it: nothing can be read from it, so
// nobody is admitted and no rights are read anew, while the node does not
// follow.
type watched struct {
	store.DB
	fresh func() error
}

func (w watched) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if err := w.fresh(); err != nil {
		return err
	}
	return w.DB.View(ctx, f)
}

func (w watched) Peek(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if err := w.fresh(); err != nil {
		return err
	}
	return w.DB.Peek(ctx, f)
}

// followed hands an event to everyone who keeps something that became stale.
// It runs on the goroutine of drain; the one thing that may take it a while is
// the look at the tenants, and whoever holds the readers of the store meanwhile
// waits for nothing that drain does.
func (s *Server) followed(ctx context.Context, e event.Event) {
	if err := s.hosts.follow(ctx, e); err != nil {
		s.cfg.Log.ErrorContext(ctx, "tenants were not read again", slog.Any("err", err))
	}
	s.gateway.Follow(e)
	s.provision.Follow(e)
	s.dispatch.Follow(e)
	s.issuer.Follow(e)
	s.told.follow(e)
	if e.Kind == event.FunctionChanged {
		s.functions.Invalidate(e.Tenant, e.ID)
	}
}

// adoptEvery is how often events of dead nodes are looked for. A node that was
// killed is not known to be dead at once, so its next start may come too early.
const adoptEvery = 5 * time.Second

// drain carries committed events from the outbox to the bus until ctx ends,
// and then what the edges left.
func (s *Server) drain(ctx context.Context) {
	tick, orphans := time.NewTicker(time.Second), time.NewTicker(adoptEvery)
	defer tick.Stop()
	defer orphans.Stop()
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "outbox", slog.Any("err", err))
		}
	}
	for {
		report(s.drainOnce(ctx))
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			report(s.drainOnce(last))
			return
		case <-s.db.Committed():
			gather(ctx)
		case <-tick.C:
		case <-orphans.C:
			report(s.adopt(ctx))
		}
	}
}

// gather waits a moment for company: under load one look at the outbox serves
// many commits, and a revocation has a second.
func gather(ctx context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// drainBatch is how many events are read at a time, about.
const drainBatch = 1000

// drainOnce empties the outbox. The pulse beats when everything in it was
// told, also if it then could not be forgotten: it is told again.
func (s *Server) drainOnce(ctx context.Context) error {
	for {
		if err := s.hosts.repair(ctx); err != nil {
			return err
		}
		events, position, err := s.db.Outbox(ctx, drainBatch)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := s.bus.Publish(events); err != nil {
				return err
			}
		}
		if len(events) < drainBatch && s.hosts.repaired() {
			s.pulse.beat()
		}
		if len(events) == 0 {
			return nil
		}
		if err := s.retell.all(ctx, s, events, position); err != nil {
			return err
		}
		if len(events) < drainBatch { // what came since has rung again
			return nil
		}
	}
}
