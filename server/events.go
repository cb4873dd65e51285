package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/settings"
	"github.com/slipway-iot/slipway/store"
)

// switches remembers which events of the registry each tenant wants published,
// so that nothing is read on behalf of those who want none.
type switches struct {
	mu      sync.Mutex
	tenants map[arn.Tenant]map[string]bool
}

func (w *switches) follow(e event.Event) {
	if e.Kind != event.EventsChanged && e.Kind != event.TenantChanged {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tenants, e.Tenant)
}

// of gives a tenant's switches. Only drain asks, which also tells follow: so
// nothing changes between the reading and the remembering.
func (w *switches) of(ctx context.Context, db store.DB, t arn.Tenant) (map[string]bool, error) {
	w.mu.Lock()
	on, ok := w.tenants[t]
	w.mu.Unlock()
	if ok {
		return on, nil
	}
	err := db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		e, err := settings.GetEvents(ctx, tx, t)
		if err == nil {
			on = e.Enabled
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tenants == nil {
		w.tenants = map[arn.Tenant]map[string]bool{}
	}
	w.tenants[t] = on
	return on, nil
}

// switchesOf are those that an event may be published for.
func switchesOf(k event.Kind) []string {
	switch k {
	case event.ThingChanged:
		return []string{"THING", "THING_TYPE_ASSOCIATION"}
	case event.ThingTyped:
		return []string{"THING_TYPE_ASSOCIATION"}
	case event.TypeChanged:
		return []string{"THING_TYPE"}
	case event.GroupChanged:
		return []string{"THING_GROUP", "THING_GROUP_HIERARCHY"}
	case event.ThingGroups:
		return []string{"THING_GROUP_MEMBERSHIP"}
	}
	return nil
}

// A retelling repeats what could not be told, because the store failed: what it
// is about was not read. It holds how often it was tried.
type retelling struct {
	mu    sync.Mutex
	tries int
}

// maxTellings is how often an event is tried, once a second, before it is given
// up: what happened next waits meanwhile.
const maxTellings = 30

// all tells events, which are the head of the outbox up to position, and
// forgets them. After a failure they are told again, a commit at a time, so that
// what was told before is not told once more each second. Everyone has followed
// them before, so that no revocation waits here; hence events that hide later
// ones from drain are not waited for.
func (r *retelling) all(ctx context.Context, s *Server, events []event.Event, position int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tries == 0 {
		err := s.tell(ctx, events)
		if err == nil {
			return s.db.Forget(ctx, position)
		}
		r.tries = 1
		return err
	}
	for told := 0; told < len(events); {
		some, position, err := s.db.Outbox(ctx, 1)
		if err != nil || len(some) == 0 {
			return err
		}
		if err := s.tell(ctx, some); err != nil {
			if r.tries++; r.tries <= maxTellings && len(events) < drainBatch {
				return err
			}
			s.cfg.Log.ErrorContext(ctx, "a registry event is given up", slog.Any("err", err))
		}
		if err := s.db.Forget(ctx, position); err != nil {
			return err
		}
		told, r.tries = told+len(some), 1
	}
	r.tries = 0
	return nil
}

// tell publishes what happened in the registry to those accounts that switched
// it on (hooks-and-events.md, section 6), before the outbox forgets it: at
// least once, a kill included. It stops at what it cannot publish.
func (s *Server) tell(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		for _, name := range switchesOf(e.Kind) {
			if err := s.tellOf(ctx, e, name); err != nil {
				return fmt.Errorf("registry event %s was not published: %w", name, err)
			}
		}
	}
	return nil
}

func (s *Server) tellOf(ctx context.Context, e event.Event, name string) error {
	on, err := s.told.of(ctx, s.bare, e.Tenant)
	if err != nil || !on[name] {
		return err
	}
	var m *message
	err = s.bare.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		m, err = (&news{Event: e, tx: tx, rand: s.cfg.Rand}).message(ctx, name)
		return err
	})
	if fault.Is(err, fault.Missing) { // it went since; that is told next
		return nil
	}
	if err != nil || m == nil {
		return err
	}
	s.gateway.Announce(dispatch.Message{Tenant: e.Tenant, Topic: m.topic, Payload: m.payload}, 1)
	return nil
}
