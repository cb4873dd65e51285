package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wire"
)

// temporaryClaimLife is how long a temporary claim and a connection made with
// it may ask for certificates (methods.md, section 7).
const temporaryClaimLife = 5 * time.Minute

// CreateFromCSR answers CreateCertificateFromCsr: a new certificate for the
// device's own key, PENDING_ACTIVATION, and the token that buys it.
func (s *Service) CreateFromCSR(ctx context.Context, who Caller, csr []byte) (*wire.CreateAnswer, error) {
	defer s.stage("create-from-csr")()
	if err := s.mayCreate(who); err != nil {
		return nil, err
	}
	linted, err := s.CA.LintCSR(csr, ca.Rules{ForbiddenNames: s.Reserved}) // 1 lint
	if err != nil {
		return nil, err
	}
	if err := s.withinTerms(ctx, who, linted); err != nil {
		return nil, err
	}
	crash.Point("create.linted")
	cert, token, err := s.entrust(ctx, who, linted, certs.FromCSR)
	if err != nil {
		return nil, err
	}
	return &wire.CreateAnswer{CertificateID: string(cert.ID), CertificatePEM: cert.PEM, Token: string(token)}, nil
}

// CreateKeys answers CreateKeysAndCertificate: as CreateFromCSR, with an
// RSA-2048 key made here, ahead of time, and never stored.
func (s *Service) CreateKeys(ctx context.Context, who Caller) (*wire.CreateAnswer, error) {
	defer s.stage("create-keys")()
	if err := s.mayCreate(who); err != nil {
		return nil, err
	}
	if err := s.withinTerms(ctx, who, nil); err != nil {
		return nil, err
	}
	key, err := s.Keys.Get(ctx)
	if err != nil {
		return nil, err
	}
	linted, err := s.CA.LintKey(key.Public()) // 1 lint
	if err != nil {
		return nil, err
	}
	crash.Point("create.linted")
	cert, token, err := s.entrust(ctx, who, linted, certs.FromKeys)
	if err != nil {
		return nil, err
	}
	return &wire.CreateAnswer{
		CertificateID: string(cert.ID), CertificatePEM: cert.PEM,
		PrivateKey: string(ca.EncodeRSAKey(key)), Token: string(token),
	}, nil
}

// mayCreate refuses a claim whose time is over although its connection lives.
func (s *Service) mayCreate(who Caller) error {
	now := s.Now()
	if !who.NotAfter.IsZero() && now.After(who.NotAfter) {
		return fault.New(fault.Refused, "The claim certificate expired at %s, while the device was connected. Install a new claim.", who.NotAfter.UTC().Format(time.RFC3339))
	}
	if who.Claim != nil && who.Claim.Trusted && now.Sub(who.Since) > temporaryClaimLife {
		return fault.New(fault.Refused, "The temporary claim has expired: this connection with it is older than five minutes. Ask the installer for a new claim.")
	}
	return nil
}

// entrust signs for a device: the certificate waits, PENDING_ACTIVATION, for
// RegisterThing to redeem the token.
func (s *Service) entrust(ctx context.Context, who Caller, l *ca.Linted, from certs.Origin) (*certs.Certificate, certs.Token, error) {
	token, err := certs.NewToken(s.Rand, s.Now())
	if err != nil {
		return nil, "", err
	}
	profile, err := s.profileFor(ctx, who)
	if err != nil {
		return nil, "", err
	}
	cert, err := s.issue(ctx, who.Tenant, l, profile, from, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		c.Status = certs.PendingActivation
		return certs.Entrust(ctx, tx, c, token, c.Created)
	})
	if err != nil {
		return nil, "", err
	}
	who.step("create", fmt.Sprintf("Made certificate %s (%s), valid until %s; its ownership token is good for one hour.", cert.ID, from, cert.NotAfter.UTC().Format(time.DateOnly)))
	return cert, token, nil
}

// issue is the only way to a signature. Steps 2 to 4 of the five: the intent
// is on disk before the key is used, and the certificate is on disk before
// anyone learns of it.
func (s *Service) issue(ctx context.Context, t arn.Tenant, l *ca.Linted, p ca.Profile, from certs.Origin,
	keep func(context.Context, store.Tx, *certs.Certificate) error) (*certs.Certificate, error) {
	prepared, err := s.CA.Prepare(l, p)
	if err != nil {
		return nil, err
	}
	intent := s.intent(t, prepared, from)
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.InsertIntent(ctx, intent) }) // 2 intent
	if err != nil {
		return nil, err
	}
	crash.Point("create.intended")
	record, err := s.signed(ctx, t, prepared, from) // 3 sign
	if err != nil {
		return nil, err
	}
	crash.Point("create.signed")
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error { // 4 store
		if err := keep(ctx, tx, record); err != nil {
			return err
		}
		crash.Point("create.storing")
		return nil
	})
	if err != nil {
		return nil, err
	}
	crash.Point("create.stored")
	return record, nil
}

// intent is what is written before the key is used.
func (s *Service) intent(t arn.Tenant, p *ca.Prepared, from certs.Origin) *certs.Intent {
	return &certs.Intent{
		Tenant: t, Serial: p.Serial(), Subject: p.Subject, KeyHash: p.KeyDigest,
		Purpose: string(from), Created: s.Now(),
	}
}

// signed signs, and makes the certificate's record.
func (s *Service) signed(ctx context.Context, t arn.Tenant, p *ca.Prepared, from certs.Origin) (*certs.Certificate, error) {
	issued, err := s.CA.Sign(ctx, p)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	return &certs.Certificate{
		Tenant: t, ID: issued.ID, PEM: string(issued.PEM), Mode: "DEFAULT", Serial: issued.Serial, Origin: from,
		NotBefore: issued.Cert.NotBefore, NotAfter: issued.Cert.NotAfter,
		Created: now, Modified: now, Version: 1, Generation: ref.ID(t.String(), "certificate", string(issued.ID), now),
	}, nil
}

// profileFor finds the validity of a device's new certificate: that of the
// template its claim is for, else of the template it listens to, else of the
// only one that its policies let it register with, else AWS's, which is also
// what one gets that would outlive the issuing CA.
func (s *Service) profileFor(ctx context.Context, who Caller) (ca.Profile, error) {
	name := who.Template
	if who.Claim != nil && who.Claim.Template != "" {
		name = who.Claim.Template
	}
	if name == "" {
		var err error
		if name, err = s.onlyTemplate(ctx, who); name == "" || err != nil {
			return ca.Profile{}, err
		}
	}
	d, err := s.validity(ctx, templateKey{who.Tenant, name})
	if s.Now().Add(d).After(s.CA.IssuingCA().NotAfter) {
		d = 0
	}
	return ca.Profile{Validity: d}, err
}
