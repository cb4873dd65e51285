package server

import (
	"context"
	"net/http"

	"github.com/slipway-iot/slipway/gateway"
)

// signatures tells the gateway who signed a request: the control plane knows
// the access keys.
type signatures struct{ s *Server }

func (g signatures) Caller(ctx context.Context, r *http.Request, body []byte) (*gateway.Caller, error) {
	p, err := g.s.control.Authenticate(ctx, r, body)
	if err != nil {
		return nil, err
	}
	return &gateway.Caller{Tenant: p.Tenant, KeyID: p.Key.ID, Role: p.Key.Role, Stored: p.Stored, Until: p.Until}, nil
}
