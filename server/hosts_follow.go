package server

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
)

// follow reads again what an event says has changed. If that fails, repair does
// it later.
func (h *hosts) follow(ctx context.Context, e event.Event) error {
	if e.Kind != event.TenantChanged && e.Kind != event.DomainChanged {
		return nil
	}
	if !h.repaired() {
		return h.repair(ctx)
	}
	err := h.reload(ctx, func(t arn.Tenant) bool { return e.Kind == event.DomainChanged && t == e.Tenant })
	h.stale.Store(err != nil)
	return err
}

// repair reads everything if an earlier try failed.
func (h *hosts) repair(ctx context.Context) error {
	if h.repaired() {
		return nil
	}
	if err := h.load(ctx); err != nil {
		return err
	}
	h.stale.Store(false)
	return nil
}

func (h *hosts) repaired() bool { return !h.stale.Load() }
