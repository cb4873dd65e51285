package tenants

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Create makes a tenant. One that is there already is fault.Exists.
func Create(ctx context.Context, s Store, t arn.Tenant, now time.Time) (*Record, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	r := &Record{Tenant: t, Created: now}
	if err := s.InsertTenant(ctx, r); err != nil {
		if fault.Is(err, fault.Exists) {
			return nil, fault.Wrap(fault.Exists, err, "Account %s exists already in %s.", t.Account, t.Region)
		}
		return nil, err
	}
	tenantChanged(s, t, "made", now)
	return r, nil
}

// Ensure makes the tenant if it is not there; it stays disabled if it is.
func Ensure(ctx context.Context, s Store, t arn.Tenant, now time.Time) (*Record, error) {
	r, err := s.Tenant(ctx, t)
	if fault.Is(err, fault.Missing) {
		return Create(ctx, s, t, now)
	}
	return r, err
}

// SetDisabled switches a tenant off, which cuts its devices, or on again.
func SetDisabled(ctx context.Context, s Store, t arn.Tenant, disabled bool, now time.Time) error {
	_, err := Set(ctx, s, t, Change{Disabled: &disabled}, now)
	return err
}

func tenantChanged(s Store, t arn.Tenant, detail string, now time.Time) {
	s.Emit(event.Event{Kind: event.TenantChanged, Tenant: t, ID: t.Account, Detail: detail, At: now})
}

// Regions gives the account's tenants; an account without any is
// fault.Missing.
func Regions(ctx context.Context, s Store, account string) ([]*Record, error) {
	var own []*Record
	for p := (ref.Page{Limit: 500}); ; {
		records, next, err := s.ListTenants(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.Tenant.Account == account {
				own = append(own, r)
			}
		}
		if p.After = next; next == "" {
			break
		}
	}
	if len(own) == 0 {
		return nil, fault.New(fault.Missing, "Account %s does not exist.", clip(account))
	}
	return own, nil
}
