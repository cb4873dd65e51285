package control

import (
	"context"

	"github.com/slipway-iot/slipway/settings"
	"github.com/slipway-iot/slipway/store"
)

// eventSwitch is on the wire with a capital E; without it the switch is off
// (hooks-and-events.md, section 6.2).
type eventSwitch struct {
	Enabled bool `json:"Enabled"`
}

func (s *Server) describeEvents(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	var e *settings.Events
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		e, err = settings.GetEvents(ctx, tx, c.Tenant)
		return err
	})
	if err != nil {
		return nil, err
	}
	switches := map[string]eventSwitch{}
	for kind, on := range e.Enabled {
		switches[kind] = eventSwitch{on}
	}
	return struct {
		Switches map[string]eventSwitch `json:"eventConfigurations"`
		Created  seconds                `json:"creationDate,omitzero"`
		Modified seconds                `json:"lastModifiedDate,omitzero"`
	}{switches, seconds{e.Created}, seconds{e.Modified}}, nil
}

func (s *Server) updateEvents(ctx context.Context, c *Call, in *struct {
	Switches map[string]eventSwitch `json:"eventConfigurations"`
}) (any, error) {
	enabled := map[string]bool{}
	for kind, sw := range in.Switches {
		enabled[kind] = sw.Enabled
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.UpdateEvents(ctx, tx, c.Tenant, enabled, s.cfg.Now())
	})
}
