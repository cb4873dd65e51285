package control

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/trail"
)

// cause is the call as the audit trail names it.
func cause(r *http.Request, c *Call) trail.Cause {
	return trail.Cause{
		Tenant: c.Tenant, Who: audit.Who{Key: c.Key.ID, Name: c.Key.Name, Role: string(c.Key.Role)},
		From: r.RemoteAddr, Action: c.Action, RequestID: c.RequestID,
	}
}

// denied records a call that was refused because of who asked. Who that is was
// proved, and the tenant is there: a stranger writes nothing. A record that
// cannot be written changes nothing for the caller.
func (s *Server) denied(r *http.Request, c *Call, err error) {
	if !fault.Is(err, fault.AccessDenied) || !c.admitted || s.cfg.Denied == nil {
		return
	}
	_, text := fault.Show(err)
	if err := s.cfg.Denied(context.WithoutCancel(r.Context()), cause(r, c), text); err != nil {
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "control: denial not recorded", slog.String("requestId", c.RequestID), slog.Any("err", err))
	}
}
