// Package provision is the one engine behind every door: it makes
// certificates, and it binds them to things as a template says.
//
// Each certificate is made by the same five steps (create.go): lint, intent,
// sign, store, answer. Each registration is the same three (register.go): plan,
// ask, apply; only the last one writes. The numbers in the comments are those
// of docs/flows/claim.md.
package provision

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// Functions finds a function of a tenant by its Lambda ARN.
type Functions interface {
	Resolve(ctx context.Context, t arn.Tenant, target string) (functions.Function, error)
}

// Service provisions. Its fields are set once, before use; all are needed
// unless the comment says otherwise.
type Service struct {
	DB        store.DB
	CA        *ca.CA
	Keys      *ca.KeyPool
	Functions Functions
	// Reserved says whether a name belongs to this server, so that no device
	// gets a certificate that names it.
	Reserved func(name string) bool
	Now      func() time.Time
	Rand     io.Reader
	Log      *slog.Logger
	Metrics  *metrics.Metrics // may be nil
	// Profile is that of accounts without one of their own: whether AWS's
	// quota of certificates that register by connecting holds. Empty: none.
	Profile tenants.Profile
	// Cause makes a context on whose behalf the audit trail writes down what a
	// device's first connection changes. May be nil: nothing is written down.
	Cause func(ctx context.Context, who Caller, action string) context.Context

	parsed     bodies
	arrivals   arrivals
	validities known[templateKey, time.Duration] // how long each template's certificates last
	fleets     known[arn.Tenant, []string]       // the account's templates for fleet provisioning; none, if none sets a validity
	// writing has many lines written by one at a time: on PostgreSQL two
	// conflict over the ends of the same indexes.
	writing sync.Mutex
}

// A Caller is the device that asks, as the gateway knows it.
type Caller struct {
	Tenant   arn.Tenant
	CertID   arn.CertID // of the connection: a claim, or the device's own for rotation
	ClientID string
	From     string             // address
	Claim    *certs.ClaimRecord // nil: a certificate that only its policy limits
	NotAfter time.Time          // of the connection's certificate
	Since    time.Time          // when the connection was accepted
	// Template is the one template whose answers the connection subscribed
	// to, if any: the best hint which validity the new certificate gets.
	Template string
	// MayPublish says whether the connection's policies let it publish to a
	// topic; nil, when nothing is known of them.
	MayPublish func(topic string) bool
	Trace      Tracer // may be nil
}

// A Tracer gathers the timeline of an attempt, and by which certificate it can
// be found.
type Tracer interface {
	Step(name, text string)
	Made(id arn.CertID)
}

func (c Caller) step(name, text string) {
	if c.Trace != nil {
		c.Trace.Step(name, text)
	}
}

// because gives ctx the cause of what is written on behalf of a device.
func (s *Service) because(ctx context.Context, who Caller, action string) context.Context {
	if s.Cause == nil {
		return ctx
	}
	return s.Cause(ctx, who, action)
}

// stage measures one stage for the metrics.
func (s *Service) stage(name string) (done func()) {
	start := s.Now()
	return func() { s.Metrics.Stage(name, s.Now().Sub(start)) }
}
