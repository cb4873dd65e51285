package tenants

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
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
	r, err := s.Tenant(ctx, t)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Missing, err, "Account %s does not exist in %s.", arn.Clip(t.Account, 40), arn.Clip(t.Region, 40))
	}
	if err != nil || r.Disabled == disabled {
		return err
	}
	r.Disabled = disabled
	if err := s.UpdateTenant(ctx, r); err != nil {
		return err
	}
	detail := "enabled"
	if disabled {
		detail = "disabled"
	}
	tenantChanged(s, t, detail, now)
	return nil
}

func tenantChanged(s Store, t arn.Tenant, detail string, now time.Time) {
	s.Emit(event.Event{Kind: event.TenantChanged, Tenant: t, ID: t.Account, Detail: detail, At: now})
}
