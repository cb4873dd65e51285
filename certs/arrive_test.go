package certs_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/store"
)

// sponsor finds who sponsors the leaf in the tenant, now.
func (s shelf) sponsor(t arn.Tenant, leaf certtest.Cert) (*certs.Authority, error) {
	s.t.Helper()
	var named []*certs.Authority
	s.must(func(ctx context.Context, tx store.Tx) (err error) {
		named, err = tx.AuthoritiesNamed(ctx, t, certs.SubjectDigest(leaf.RawIssuer))
		return err
	})
	return certs.Sponsor(named, leaf.Certificate, time.Now())
}

func (s shelf) arrive(t arn.Tenant, leaf certtest.Cert, ca arn.CertID) (c *certs.Certificate, made bool, err error) {
	err = s.try(func(ctx context.Context, tx store.Tx) (err error) {
		c, made, err = certs.Arrive(ctx, tx, t, leaf.Certificate, ca, time.Now())
		return err
	})
	return c, made, err
}

// automatic registers the CA certificate, which then registers what it signed.
func (s shelf) automatic(t arn.Tenant, ca certtest.Cert, mode string) *certs.Authority {
	s.t.Helper()
	return s.change(s.mustAdd(t, ca, mode), certs.AuthorityChange{Automatic: new(true)})
}

func TestWhoSponsorsALeaf(t *testing.T) {
	s := newShelf(t)
	ca, namesake := certtest.CA(t, "maker"), certtest.CA(t, "maker")
	first, second := s.automatic(mine, ca, certs.SNIOnly), s.automatic(mine, namesake, certs.DefaultMode)
	for say, c := range map[string]struct {
		leaf certtest.Cert
		want *certs.Authority
	}{"its CA": {ca.Sign(t, "lamp"), first}, "and the namesake for its own": {namesake.Sign(t, "lamp"), second}} {
		if got, err := s.sponsor(mine, c.leaf); err != nil || got.ID != c.want.ID {
			t.Errorf("%s: got %+v, %v", say, got, err)
		}
	}
	_, err := s.sponsor(theirs, ca.Sign(t, "lamp"))
	kindOf(t, "in another account", err, fault.Refused, "no CA certificate of the account has the name of its issuer, \"CN=maker\"")
	_, err = s.sponsor(mine, certtest.CA(t, "maker").Sign(t, "lamp"))
	kindOf(t, "a forgery", err, fault.Refused, "whose key did not sign it")
	_, err = s.sponsor(mine, ca.Sign(t, "lamp", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	kindOf(t, "an old one", err, fault.Refused, "it expired at")

	s.change(first, certs.AuthorityChange{Automatic: new(false)})
	_, err = s.sponsor(mine, ca.Sign(t, "lamp"))
	kindOf(t, "switched off", err, fault.Refused, "has auto-registration DISABLE")
	young := s.automatic(mine, renew(t, ca), certs.SNIOnly)
	if got, err := s.sponsor(mine, ca.Sign(t, "lamp")); err != nil || got.ID != young.ID {
		t.Errorf("renewed with its key: got %+v, %v", got, err)
	}
	s.change(young, certs.AuthorityChange{Status: certs.Inactive})
	_, err = s.sponsor(mine, ca.Sign(t, "lamp"))
	kindOf(t, "neither", err, fault.Refused, "which signed it, ")
}

func TestALeafArrivesOnce(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	a := s.automatic(mine, ca, certs.DefaultMode)
	leaf := ca.Sign(t, "lamp")
	c, made, err := s.arrive(mine, leaf, a.ID)
	if err != nil || !made || c.Status != certs.PendingActivation || c.Mode != certs.DefaultMode || c.CAID != string(a.ID) || c.PEM != leaf.PEM || !c.Awaits() {
		t.Fatalf("got %+v, %v, %v", c, made, err)
	}
	if again, made, err := s.arrive(mine, leaf, a.ID); err != nil || made || again.ID != c.ID {
		t.Errorf("again: got %+v, %v, %v", again, made, err)
	}
	s.must(func(ctx context.Context, tx store.Tx) error {
		return certs.SetStatus(ctx, tx, c, certs.Active, time.Now())
	})
	if now, made, err := s.arrive(mine, leaf, a.ID); err != nil || made || now.Status != certs.Active || now.Awaits() {
		t.Errorf("once ACTIVE: got %+v, %v, %v", now, made, err)
	}

	s.mustAdd(theirs, renew(t, ca), certs.SNIOnly)
	shared := s.automatic(theirs, certtest.SelfSigned(t, "maker", ca.Key, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}), certs.SNIOnly)
	_, _, err = s.arrive(theirs, leaf, shared.ID)
	kindOf(t, "in another account of the region", err, fault.Refused, "another account of this region has it in DEFAULT mode")
	s.absent(theirs, leaf)

	late := ca.Sign(t, "late")
	s.change(a, certs.AuthorityChange{Status: certs.Inactive})
	_, _, err = s.arrive(mine, late, a.ID)
	kindOf(t, "after its CA was switched off", err, fault.Refused, "is INACTIVE")
	s.must(func(ctx context.Context, tx store.Tx) error { return certs.DropAuthority(ctx, tx, mine, a.ID) })
	_, _, err = s.arrive(mine, late, a.ID)
	kindOf(t, "after its CA was deleted", err, fault.Refused, "was deleted")
	s.absent(mine, late)
}

// TestALeafThatCannotBeRegisteredDoesNotArrive holds that arriving is held to
// the rules of registering.
func TestALeafThatCannotBeRegisteredDoesNotArrive(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	a := s.automatic(mine, ca, certs.SNIOnly)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := ca.SignKey(t, "lamp", key)
	_, _, err = s.arrive(mine, leaf, a.ID)
	kindOf(t, "a key that devices cannot use", err, fault.CertificateInvalid, "neither RSA nor EC")
	s.absent(mine, leaf)
}
