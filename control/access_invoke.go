package control

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/fault"
)

// Authorizers judge made-up connections.
type Authorizers interface {
	Try(ctx context.Context, name string, r *authorize.Request) (*authorize.Verdict, error)
}

// testInvokeAuthorizer lets an authorizer judge a connection that nobody made,
// by the code that judges devices. An INACTIVE one may be tried, so that it can
// be before it is made ACTIVE.
func (s *Server) testInvokeAuthorizer(ctx context.Context, c *Call, in *struct {
	authorizerName
	Token     string `json:"token"`
	Signature string `json:"tokenSignature"`
	HTTP      *struct {
		Headers map[string]string `json:"headers"`
		Query   string            `json:"queryString"`
	} `json:"httpContext"`
	MQTT *authorize.MQTT `json:"mqttContext"`
	TLS  *authorize.TLS  `json:"tlsContext"`
}) (any, error) {
	if s.cfg.Authorizers == nil {
		return nil, fault.New(fault.NotImplemented, "This server asks no authorizers.")
	}
	r := &authorize.Request{
		Tenant: c.Tenant, Connection: c.RequestID, Token: in.Token, Signature: in.Signature, TLS: in.TLS, MQTT: in.MQTT,
	}
	if in.HTTP != nil {
		r.HTTP = authorize.NewHTTP(in.HTTP.Headers, in.HTTP.Query)
	}
	v, err := s.cfg.Authorizers.Try(ctx, in.AuthorizerName, r)
	if err != nil {
		return nil, err
	}
	return struct {
		Authenticated bool     `json:"isAuthenticated"`
		Principal     string   `json:"principalId,omitempty"`
		Documents     []string `json:"policyDocuments"`
		Refresh       int      `json:"refreshAfterInSeconds,omitempty"`
		Disconnect    int      `json:"disconnectAfterInSeconds,omitempty"`
	}{
		v.Authenticated, v.Principal, append([]string{}, v.Documents...),
		int(v.Refresh / time.Second), int(v.Disconnect / time.Second),
	}, nil
}
