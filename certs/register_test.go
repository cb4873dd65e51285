package certs_test

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/store"
)

// renew makes another certificate of the CA, with its name and key.
func renew(t *testing.T, ca certtest.Cert) certtest.Cert {
	t.Helper()
	return certtest.SelfSigned(t, ca.Subject.CommonName, ca.Key, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
}

func (s shelf) mustAdd(t arn.Tenant, ca certtest.Cert, mode string) *certs.Authority {
	s.t.Helper()
	a, err := s.add(t, ca, mode)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s shelf) read(text string) *certs.Foreign {
	s.t.Helper()
	f, err := certs.Read("The certificate", text)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// register registers the leaf; caPEM may be empty.
func (s shelf) register(t arn.Tenant, leaf certtest.Cert, caPEM string, status certs.Status) (c *certs.Certificate, err error) {
	s.t.Helper()
	var ca *certs.Foreign
	if caPEM != "" {
		ca = s.read(caPEM)
	}
	f := s.read(leaf.PEM)
	err = s.try(func(ctx context.Context, tx store.Tx) (err error) {
		c, err = certs.Register(ctx, tx, t, f, ca, status, time.Now())
		return err
	})
	return c, err
}

func (s shelf) withoutCA(t arn.Tenant, leaf certtest.Cert, status certs.Status) (c *certs.Certificate, err error) {
	s.t.Helper()
	f := s.read(leaf.PEM)
	err = s.try(func(ctx context.Context, tx store.Tx) (err error) {
		c, err = certs.RegisterWithoutCA(ctx, tx, t, f, status, time.Now())
		return err
	})
	return c, err
}

// absent asserts that the leaf is not stored.
func (s shelf) absent(t arn.Tenant, leaf certtest.Cert) {
	s.t.Helper()
	err := s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Certificate(ctx, t, arn.IDOf(leaf.Raw))
		return err
	})
	if !fault.Is(err, fault.Missing) {
		s.t.Errorf("a refused certificate was stored: %v", err)
	}
}

func TestRegisteredCertificates(t *testing.T) {
	s := newShelf(t)
	plain, shared := certtest.CA(t, "plain"), certtest.CA(t, "shared")
	own, others := s.mustAdd(mine, plain, certs.DefaultMode), s.mustAdd(mine, shared, certs.SNIOnly)
	for name, c := range map[string]struct {
		leaf   certtest.Cert
		ca     string
		status certs.Status
		by     *certs.Authority
		want   certs.Status
	}{
		"found by issuer":       {plain.Sign(t, "a"), "", "", own, certs.Inactive},
		"with the CA named":     {plain.Sign(t, "b"), plain.PEM, certs.Active, own, certs.Active},
		"under an SNI_ONLY CA":  {shared.Sign(t, "c"), "", certs.Revoked, others, certs.Revoked},
		"a CA of the CA's":      {shared.Sign(t, "d", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "", certs.Inactive, others, certs.Inactive},
		"not valid until later": {plain.Sign(t, "e", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }), "", "", own, certs.Inactive},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.register(mine, c.leaf, c.ca, c.status)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != c.want || got.Mode != c.by.Mode || got.CAID != string(c.by.ID) || got.PEM != c.leaf.PEM || got.Origin != certs.Registered ||
				got.ID != arn.IDOf(c.leaf.Raw) || !got.NotAfter.Equal(c.leaf.NotAfter) || got.Version != 1 || got.Generation == "" {
				t.Errorf("got %+v", got)
			}
			_, err = s.register(mine, c.leaf, c.ca, c.status)
			kindOf(t, "again", err, fault.Exists, "The certificate is already provisioned or registered")
			var f *fault.Error
			if !errors.As(err, &f) || f.ResourceID != string(got.ID) || f.ResourceARN != mine.Cert(got.ID) {
				t.Errorf("got %+v", f)
			}
			_, err = s.withoutCA(mine, c.leaf, "")
			kindOf(t, "again without CA", err, fault.Exists, "already provisioned or registered")
		})
	}
	events, _, err := s.db.Outbox(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, e := range events {
		if e.Kind == event.CertificateCreated {
			made++
		}
	}
	if made != 5 {
		t.Errorf("%d certificates were announced, want 5", made)
	}
}

func TestWhoSigned(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	namesake := certtest.CA(t, "maker") // the same name, another key
	stranger := certtest.CA(t, "stranger")
	s.mustAdd(mine, ca, certs.SNIOnly)
	s.mustAdd(mine, namesake, certs.SNIOnly)
	leaf := ca.Sign(t, "lamp")
	for _, c := range []struct{ say, ca, words string }{
		{"a CA that is not registered", stranger.PEM, "is not registered in this account"},
		{"a namesake", namesake.PEM, "the signature does not verify"},
		{"itself", leaf.PEM, "is not registered in this account"},
	} {
		_, err := s.register(mine, leaf, c.ca, "")
		kindOf(t, c.say, err, fault.CertificateInvalid, c.words)
	}
	for say, foreign := range map[string]certtest.Cert{
		"one whose issuer nobody registered":    stranger.Sign(t, "lamp"),
		"one that signed itself":                certtest.SelfSigned(t, "lamp", certtest.EC(t)),
		"one that a namesake's namesake signed": certtest.CA(t, "maker").Sign(t, "lamp"),
	} {
		_, err := s.register(mine, foreign, "", "")
		kindOf(t, say, err, fault.CertificateInvalid, "No CA certificate of this account signed the certificate")
		s.absent(mine, foreign)
	}
	_, err := s.register(theirs, leaf, "", "")
	kindOf(t, "another account's CA", err, fault.CertificateInvalid, "No CA certificate of this account")
	if c, err := s.register(mine, leaf, "", ""); err != nil || c.CAID != string(arn.IDOf(ca.Raw)) {
		t.Errorf("among namesakes: %+v, %v", c, err)
	}
}

func TestTwoCACertificatesWithOneKey(t *testing.T) {
	s := newShelf(t)
	old := certtest.CA(t, "maker")
	young := renew(t, old)
	a := s.mustAdd(mine, old, certs.SNIOnly)
	b := s.mustAdd(mine, young, certs.SNIOnly)
	leaf := old.Sign(t, "lamp")
	_, err := s.register(mine, leaf, "", "")
	kindOf(t, "both ACTIVE", err, fault.AmbiguousCA, "caCertificatePem")
	s.absent(mine, leaf)
	if c, err := s.register(mine, leaf, young.PEM, ""); err != nil || c.CAID != string(b.ID) {
		t.Errorf("with one named: %+v, %v", c, err)
	}
	s.change(a, certs.AuthorityChange{Status: certs.Inactive})
	if c, err := s.register(mine, old.Sign(t, "second"), "", ""); err != nil || c.CAID != string(b.ID) {
		t.Errorf("with one ACTIVE: %+v, %v", c, err)
	}
}

func TestWhatACABecomesTouchesNewCertificatesAlone(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	a := s.mustAdd(mine, ca, certs.DefaultMode)
	early := ca.Sign(t, "early")
	if _, err := s.register(mine, early, "", certs.Active); err != nil {
		t.Fatal(err)
	}
	drop := func() error {
		return s.try(func(ctx context.Context, tx store.Tx) error { return certs.DropAuthority(ctx, tx, mine, a.ID) })
	}
	kindOf(t, "deleting an ACTIVE one", drop(), fault.CertificateState, "CA certificate must be deactivated (not ACTIVE) before deletion. Id: "+string(a.ID))
	s.change(a, certs.AuthorityChange{Status: certs.Inactive})
	late := ca.Sign(t, "late")
	for _, named := range []string{"", ca.PEM} {
		_, err := s.register(mine, late, named, "")
		kindOf(t, "under an INACTIVE CA", err, fault.CertificateState, "is INACTIVE; expected an ACTIVE one")
	}
	s.absent(mine, late)
	if err := drop(); err != nil {
		t.Fatal(err)
	}
	kindOf(t, "deleting twice", drop(), fault.Missing, "does not exist")
	_, err := s.register(mine, late, ca.PEM, "")
	kindOf(t, "under a deleted CA", err, fault.CertificateInvalid, "is not registered")
	s.must(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, mine, arn.IDOf(early.Raw))
		if err == nil && c.Status != certs.Active {
			t.Errorf("the earlier certificate is %s", c.Status)
		}
		return err
	})
}

func TestOneCertificateInSeveralAccounts(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	s.mustAdd(mine, ca, certs.DefaultMode)
	s.mustAdd(abroad, ca, certs.DefaultMode)
	leaf := ca.Sign(t, "lamp")
	if _, err := s.register(mine, leaf, "", ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.withoutCA(theirs, leaf, certs.Active)
	kindOf(t, "in DEFAULT mode elsewhere", err, fault.Exists, "another account")
	s.absent(theirs, leaf)
	if _, err := s.register(abroad, leaf, "", ""); err != nil {
		t.Errorf("in another region: %v", err)
	}
	anyone := certtest.SelfSigned(t, "anyone", certtest.EC(t))
	for _, tenant := range []arn.Tenant{mine, theirs, abroad} {
		c, err := s.withoutCA(tenant, anyone, certs.Active)
		if err != nil {
			t.Fatal(err)
		}
		if c.Mode != certs.SNIOnly || c.CAID != "" || c.Status != certs.Active {
			t.Errorf("got %+v", c)
		}
	}
}

func TestCertificatesThatAreNotRegistered(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	s.mustAdd(mine, ca, certs.SNIOnly)
	leaf := ca.Sign(t, "lamp")
	for _, status := range []certs.Status{certs.PendingActivation, "PENDING_TRANSFER", "REGISTER_INACTIVE"} {
		words := "Not allowed to register certificate with " + string(status) + " status"
		_, err := s.register(mine, leaf, "", status)
		kindOf(t, "with a CA", err, fault.CertificateState, words)
		_, err = s.withoutCA(mine, leaf, status)
		kindOf(t, "without", err, fault.CertificateState, words)
	}
	s.absent(mine, leaf)
	old := ca.Sign(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	_, err := s.register(mine, old, "", "")
	kindOf(t, "expired", err, fault.CertificateInvalid, "The certificate expired at")
	_, err = s.withoutCA(mine, old, "")
	kindOf(t, "expired, without CA", err, fault.CertificateInvalid, "The certificate expired at")

	brief := certtest.CA(t, "brief")
	a := s.mustAdd(mine, brief, certs.SNIOnly)
	outlives := brief.Sign(t, "lamp", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(24 * time.Hour) })
	f := s.read(outlives.PEM)
	err = s.try(func(ctx context.Context, tx store.Tx) error {
		_, err := certs.Register(ctx, tx, mine, f, nil, "", a.NotAfter.Add(time.Minute))
		return err
	})
	kindOf(t, "under a CA that expired", err, fault.CertificateInvalid, "which signed the certificate, expired at")
}
