package certs

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// FindAuthority gives a CA certificate of t.
func FindAuthority(ctx context.Context, s Store, t arn.Tenant, id arn.CertID) (*Authority, error) {
	a, err := s.Authority(ctx, t, id)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "CA certificate %s does not exist.", id)
	}
	return a, err
}

// An AuthorityChange is what may change of a CA certificate; zero members
// change nothing.
type AuthorityChange struct {
	Status       Status
	Automatic    *bool
	Registration *Registration // replaces the one there is
	Unregister   bool          // takes the one there is away
}

// ChangeAuthority changes a CA certificate; what is so already counts for
// nothing. Certificates that it signed keep working, whatever it becomes
// (methods.md, section 3).
func ChangeAuthority(ctx context.Context, s Store, t arn.Tenant, id arn.CertID, ch AuthorityChange, now time.Time) error {
	if ch.Unregister && ch.Registration != nil {
		return fault.New(fault.InvalidRequest, "removeAutoRegistration is true and registrationConfig is given; expected one of them.")
	}
	if err := ch.Registration.check(); err != nil {
		return err
	}
	a, err := FindAuthority(ctx, s, t, id)
	if err != nil {
		return err
	}
	if !a.change(ch) {
		return nil
	}
	a.Modified = now
	a.Version++
	return s.UpdateAuthority(ctx, a)
}

// change applies ch and says whether anything differs now.
func (a *Authority) change(ch AuthorityChange) bool {
	was := *a
	if ch.Status != "" {
		a.Status = ch.Status
	}
	if ch.Automatic != nil {
		a.Automatic = *ch.Automatic
	}
	if ch.Unregister {
		a.Registration = nil
	}
	if ch.Registration != nil {
		a.Registration = ch.Registration
	}
	return a.Status != was.Status || a.Automatic != was.Automatic || !a.Registration.same(was.Registration)
}

func (r *Registration) same(other *Registration) bool {
	if r == nil || other == nil {
		return r == other
	}
	return *r == *other
}

// TagAuthority changes the tags of a CA certificate.
func TagAuthority(ctx context.Context, s Store, t arn.Tenant, id arn.CertID, set map[string]string, remove []string) error {
	a, err := FindAuthority(ctx, s, t, id)
	if err != nil {
		return err
	}
	if a.Tags, err = ref.Retag(ctx, s, t, a.Tags, set, remove); err != nil {
		return err
	}
	return s.UpdateAuthority(ctx, a)
}

// DropAuthority forgets a CA certificate, which must not be ACTIVE. The
// certificates that it signed stay, and belong to it again once it is
// registered anew.
func DropAuthority(ctx context.Context, s Store, t arn.Tenant, id arn.CertID) error {
	a, err := FindAuthority(ctx, s, t, id)
	if err != nil {
		return err
	}
	if a.Status == Active {
		return fault.New(fault.CertificateState, "CA certificate must be deactivated (not ACTIVE) before deletion. Id: %s", id)
	}
	return s.DeleteAuthority(ctx, t, id)
}
