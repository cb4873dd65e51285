package certs

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// one asks for the first entry of a list, to learn whether there is any.
var one = ref.Page{Limit: 1}

// Add stores a new certificate. One with the same DER is there already when
// the id is, whatever its status.
func Add(ctx context.Context, s Store, c *Certificate) error {
	err := s.InsertCertificate(ctx, c)
	if fault.Is(err, fault.Exists) {
		return taken(c.ID, c.Tenant.Cert(c.ID), "The certificate is already provisioned or registered")
	}
	if err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.CertificateCreated, Tenant: c.Tenant, ID: string(c.ID), Detail: string(c.Status), At: c.Created})
	return nil
}

// SetStatus moves c to another status and stores it; setting the status that c
// has changes nothing (certificates-lifecycle.md, section 2).
//
// REVOKED is final. Nobody can ask for a PENDING status: those are where a
// certificate begins.
func SetStatus(ctx context.Context, s Store, c *Certificate, to Status, now time.Time) error {
	switch to {
	case Active, Inactive, Revoked:
	default:
		return fault.New(fault.CertificateState, "A certificate cannot be set to %s: expected ACTIVE, INACTIVE or REVOKED. Id: %s", to, c.ID)
	}
	if c.Status == to {
		return nil
	}
	if c.Status == Revoked {
		return fault.New(fault.CertificateState, "The certificate is REVOKED, which is final; it cannot become %s. Id: %s", to, c.ID)
	}
	c.Status, c.Modified = to, now
	c.Version++
	if err := s.UpdateCertificate(ctx, c); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.CertificateStatus, Tenant: c.Tenant, ID: string(c.ID), Detail: string(to), At: now})
	return nil
}

// Delete removes c with its claim record.
//
// It must not be ACTIVE and no thing may hold it; policies must be detached
// first unless force is set, which detaches them (certificates-lifecycle.md,
// section 3). The store dates the event.
func Delete(ctx context.Context, s Store, c *Certificate, force bool) error {
	if c.Status == Active {
		return fault.New(fault.CertificateState, "Certificate must be deactivated (not ACTIVE) before deletion. Id: %s", c.ID)
	}
	name := c.Tenant.Cert(c.ID)
	held, _, err := s.Lefts(ctx, c.Tenant, ref.ThingPrincipal, name, one)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fault.New(fault.DeleteConflict, "Things must be detached before deletion (arn: %s)", name)
	}
	if err := dropPolicies(ctx, s, c.Tenant, name, force); err != nil {
		return err
	}
	if err := s.DeleteClaim(ctx, c.Tenant, c.ID); err != nil && !fault.Is(err, fault.Missing) {
		return err
	}
	if err := s.DeleteCertificate(ctx, c.Tenant, c.ID); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.CertificateDeleted, Tenant: c.Tenant, ID: string(c.ID)})
	return nil
}

// dropPolicies detaches what is attached to the certificate, or refuses.
func dropPolicies(ctx context.Context, s Store, t arn.Tenant, name string, force bool) error {
	attached, _, err := s.Lefts(ctx, t, ref.PolicyTarget, name, ref.All)
	if err != nil {
		return err
	}
	if len(attached) > 0 && !force {
		return fault.New(fault.DeleteConflict, "Certificate policies must be detached before deletion (arn: %s)", name)
	}
	for _, l := range attached {
		if _, err := s.DropLink(ctx, t, ref.PolicyTarget, l.Left, name); err != nil {
			return err
		}
	}
	return nil
}
