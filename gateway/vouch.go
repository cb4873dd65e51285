package gateway

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
)

// Authorizers vouch for devices that show neither a certificate nor a
// signature, or that must show more than a certificate.
type Authorizers interface {
	// Decide lets the authorizer that the request names judge, or a default one.
	// Who is not vouched for is fault.Refused.
	Decide(ctx context.Context, r *authorize.Request) (*authorize.Verdict, error)
	// Any says whether a tenant has an authorizer that could judge.
	Any(ctx context.Context, t arn.Tenant) (bool, error)
}

// A Principal is what a custom authorizer vouches for. Its documents alone
// decide what the connection may do; policies of a certificate that it may have
// besides do not count (policies.md, section 4).
type Principal struct {
	ID         string // [A-Za-z0-9]{1,128}
	Authorizer string
	policies   atomic.Pointer[[]policy.Named] // replaced when the authorizer was asked anew
}

// vouch asks the authorizer for the connection, which has a tenant, and an
// accepted certificate if it needs one. A verdict holds for the time that the
// authorizer gives it.
func (s *session) vouch(r *authorize.Request) (*authorize.Verdict, error) {
	if s.g.Authorizers == nil {
		return nil, fault.New(fault.Refused, "The connection needs a custom authorizer, and this server asks none.")
	}
	r.Tenant, r.Domain, r.TLS = s.tenant, s.domain, &authorize.TLS{ServerName: s.serverName}
	if s.cert != nil {
		r.TLS.CertificatePEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf.Raw}))
		r.TLS.Principal = string(s.certID)
	}
	start := s.g.Now()
	v, err := s.g.Authorizers.Decide(s.ctx, r)
	if err != nil {
		return nil, err
	}
	s.rec.Step("authorizer", fmt.Sprintf("Authorizer %s vouches for principal %s after %v, with %d policy documents, for at most %v.",
		v.Authorizer, v.Principal, s.g.Now().Sub(start).Round(100*time.Microsecond), len(v.Policies), v.Disconnect))
	return v, nil
}

// trust takes what the authorizer said for the connection's own.
func (s *session) trust(v *authorize.Verdict) {
	s.vouched = &Principal{ID: v.Principal, Authorizer: v.Authorizer}
	s.vouched.policies.Store(&v.Policies)
	s.until = time.Now().Add(v.Disconnect) // a wait, not a value: the real clock
}

// introduce lets an authorizer judge CONNECT, if one must vouch for the device.
func (s *session) introduce(p *mqtt.Connect) error {
	if !s.asks {
		return nil
	}
	r := &authorize.Request{
		Connection: s.rec.ID(), HTTP: s.opened,
		MQTT: &authorize.MQTT{Username: p.Username.Or(""), Password: p.Password, ClientID: p.ClientID},
	}
	v, err := s.vouch(r)
	if err != nil {
		return err
	}
	s.trust(v)
	s.again = func() { s.renew(r, v.Refresh) }
	return nil
}

// keepVouched asks the authorizer again and again, until the connection ends.
func (s *session) keepVouched() {
	if s.again == nil || !s.g.begin() {
		return
	}
	go func() {
		defer s.g.sessions.Done()
		s.again()
	}()
}

// renew asks again whenever the policies' time is over, and puts new ones in
// their place; what was given for the connection's life stays. Whoever is not
// vouched for any more is cut, whatever the reason, as on AWS.
func (s *session) renew(r *authorize.Request, every time.Duration) {
	for {
		timer := time.NewTimer(every)
		select {
		case <-s.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		v, err := s.g.Authorizers.Decide(s.ctx, r)
		if s.ctx.Err() != nil {
			return
		}
		if err == nil && v.Principal != s.vouched.ID {
			err = fault.New(fault.Refused, "It now calls the device principal %s.", v.Principal)
		}
		if err != nil {
			s.unvouched(err)
			return
		}
		s.vouched.policies.Store(&v.Policies)
		s.changes.Add(1)
		every = v.Refresh
	}
}

func (s *session) unvouched(err error) {
	if !fault.Is(err, fault.Refused) {
		s.g.Log.ErrorContext(s.ctx, "authorizer", slog.String("client", s.clientID), slog.Any("err", err))
	}
	text := fmt.Sprintf("Authorizer %s was asked again and does not vouch for principal %s any more. %s", s.vouched.Authorizer, s.vouched.ID, sentence(err))
	s.refused("authorizer", "authorizer", text)
	s.end(mqtt.NotAuthorized, text)
}
