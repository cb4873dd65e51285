// Package authorize asks custom authorizers: functions of the operator that say
// who the bearer of a token is and what they may do (device-gateway.md,
// section 7).
//
// A device names an authorizer, or its domain configuration or account has a
// default one. Before the function runs, the token's signature is verified,
// unless the authorizer wants none. The function is told how the device
// connects and what it showed, and answers with a principal and the documents
// that are this connection's only policies.
//
// Gateway and control plane come here both: the one for devices (Decide), the
// other so that an operator can try an authorizer (Try). Nothing of this package
// puts a token, a signature or a password into an error.
package authorize

import (
	"cmp"
	"context"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// A Resolver finds functions by name, as functions.Set does.
type Resolver interface {
	Resolve(ctx context.Context, t arn.Tenant, arnOrName string) (functions.Function, error)
}

// A Service asks authorizers. All fields but Metrics are required.
type Service struct {
	DB        store.DB
	Functions Resolver
	Now       func() time.Time
	Metrics   *metrics.Metrics
}

// Decide chooses the authorizer for a device and lets it judge. Whatever goes
// wrong refuses, with a sentence that says what; only a failure of this server
// is an error of another kind.
func (s *Service) Decide(ctx context.Context, r *Request) (*Verdict, error) {
	a, err := s.choose(ctx, r)
	if err == nil && a.Status != access.Active {
		err = fault.New(fault.Refused, "Authorizer %s is %s; only an ACTIVE one judges. UpdateAuthorizer can set it to ACTIVE.", a.Name, a.Status)
	}
	if err != nil {
		return nil, refusal(err)
	}
	v, err := s.ask(ctx, a, r)
	if err != nil {
		return nil, refusal(err)
	}
	if !v.Authenticated {
		return nil, fault.New(fault.Refused, "Authorizer %s did not authenticate the device: its function answered isAuthenticated false.", a.Name)
	}
	return v, nil
}

// Try lets the named authorizer judge a made-up connection, whether it is
// ACTIVE or not. Its errors are those of TestInvokeAuthorizer.
func (s *Service) Try(ctx context.Context, name string, r *Request) (*Verdict, error) {
	a, err := s.read(ctx, r.Tenant, name)
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, a, r)
}

// refusal makes every fault a refusal, but for those of the server itself.
func refusal(err error) error {
	switch fault.Of(err) {
	case fault.Internal, fault.Unavailable, fault.Refused:
		return err
	}
	_, text := fault.Show(err)
	return fault.Wrap(fault.Refused, err, "%s", text)
}

// choose finds the authorizer: the one the device names, if it may name one, or
// the default of the domain configuration, or that of the account.
func (s *Service) choose(ctx context.Context, r *Request) (*access.Authorizer, error) {
	named, _ := r.parameter(nameKey)
	preset := ""
	if r.Domain != nil && r.Domain.Authorizer != nil {
		preset = r.Domain.Authorizer.Name
		if named != "" && named != preset && !r.Domain.Authorizer.Override {
			return nil, fault.New(fault.Refused, "The device names authorizer %s, and domain configuration %s allows only its own, %s.",
				functions.Quote(named), r.Domain.Name, cmp.Or(preset, "which it has not"))
		}
	}
	if name := cmp.Or(named, preset); name != "" {
		return s.read(ctx, r.Tenant, name)
	}
	return s.preset(ctx, r.Tenant)
}

func (s *Service) read(ctx context.Context, t arn.Tenant, name string) (a *access.Authorizer, err error) {
	err = s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		a, err = access.GetAuthorizer(ctx, tx, t, name)
		return err
	})
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Authorizer %s does not exist in account %s, region %s.", functions.Quote(name), t.Account, t.Region)
	}
	return a, err
}

func (s *Service) preset(ctx context.Context, t arn.Tenant) (a *access.Authorizer, err error) {
	err = s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		a, err = access.DefaultAuthorizer(ctx, tx, t)
		return err
	})
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Refused, err, "The device names no authorizer (%s), and account %s, region %s has no default one. SetDefaultAuthorizer makes one.", nameKey, t.Account, t.Region)
	}
	return a, err
}

// Any says whether a tenant has an ACTIVE authorizer.
func (s *Service) Any(ctx context.Context, t arn.Tenant) (there bool, err error) {
	err = s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		found, _, err := access.ListAuthorizers(ctx, tx, t, access.Active, ref.All)
		there = len(found) > 0
		return err
	})
	return there, err
}
