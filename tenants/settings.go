package tenants

import (
	"context"
	"maps"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// A Profile says which rate quotas hold for an account. The empty one is the
// server's.
type Profile string

const (
	AWS  Profile = "aws"  // as many requests a second as AWS grants
	None Profile = "none" // as many as the server bears
)

// ParseProfile reads a profile's name; the empty one is that of the server.
func ParseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case "", AWS, None:
		return p, nil
	}
	return "", fault.New(fault.InvalidRequest, "Profile %q: expected aws, none, or nothing for the server's.", clip(s))
}

// Or gives the profile, or that of the server if there is none.
func (p Profile) Or(server Profile) Profile {
	switch {
	case p != "":
		return p
	case server != "":
		return server
	}
	return None
}

// Settings are what an account has otherwise than others.
type Settings struct {
	Profile Profile `json:"profile,omitempty"`
	Limits  Limits  `json:"limits,omitempty"`
}

// A Change is what Set does to an account; nil members change nothing.
type Change struct {
	Disabled *bool
	Profile  *string
	Limits   map[ref.Limit]*int // nil takes AWS's number again
}

// Set changes an account and gives it as stored. Switching it off cuts its
// devices.
func Set(ctx context.Context, s Store, t arn.Tenant, ch Change, now time.Time) (*Record, error) {
	r, err := load(ctx, s, t)
	if err != nil {
		return nil, err
	}
	before := *r
	if ch.Profile != nil {
		if r.Settings.Profile, err = ParseProfile(*ch.Profile); err != nil {
			return nil, err
		}
	}
	if r.Settings.Limits, err = r.Settings.Limits.with(ch.Limits); err != nil {
		return nil, err
	}
	detail := "changed"
	if ch.Disabled != nil && *ch.Disabled != r.Disabled {
		if detail = "enabled"; *ch.Disabled {
			detail = "disabled"
		}
		r.Disabled = *ch.Disabled
	}
	if r.Disabled == before.Disabled && r.Settings.Profile == before.Settings.Profile && maps.Equal(r.Settings.Limits, before.Settings.Limits) {
		return r, nil
	}
	if err := s.UpdateTenant(ctx, r); err != nil {
		return nil, err
	}
	tenantChanged(s, t, detail, now)
	return r, nil
}

func load(ctx context.Context, s Store, t arn.Tenant) (*Record, error) {
	r, err := s.Tenant(ctx, t)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Account %s does not exist in %s.", clip(t.Account), clip(t.Region))
	}
	return r, err
}

func clip(s string) string { return arn.Clip(s, 40) }
