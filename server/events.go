package server

import (
	"context"
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

// tell publishes what happened in the registry to those accounts that switched
// it on (hooks-and-events.md, section 6), before the outbox forgets it: at
// least once, a kill included. It comes after everyone followed, so that no
// revocation waits for it. What cannot be published is logged and not tried
// again: what happened next must not wait.
func (s *Server) tell(ctx context.Context, events []event.Event) {
	for _, e := range events {
		for _, name := range switchesOf(e.Kind) {
			if err := s.tellOf(ctx, e, name); err != nil {
				s.cfg.Log.ErrorContext(ctx, "a registry event was not published", slog.String("event", name), slog.Any("err", err))
			}
		}
	}
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
