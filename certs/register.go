package certs

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Register stores a certificate that a CA of the account signed, with the CA's
// mode. Without ca, the CA is found by the certificate's issuer. An empty
// status is INACTIVE (methods.md, section 2).
//
// The CA must be ACTIVE and in its time. What it becomes later does not touch
// the certificate.
func Register(ctx context.Context, s Store, t arn.Tenant, leaf, ca *Foreign, status Status, now time.Time) (*Certificate, error) {
	c, err := brought(t, leaf, status, now)
	if err != nil {
		return nil, err
	}
	signer, err := signerOf(ctx, s, t, leaf, ca)
	if err != nil {
		return nil, err
	}
	if signer.Status != Active {
		return nil, fault.New(fault.CertificateState, "CA certificate %s, which signed the certificate, is INACTIVE; expected an ACTIVE one.", signer.ID)
	}
	if now.After(signer.NotAfter) {
		return nil, fault.New(fault.CertificateInvalid, "CA certificate %s, which signed the certificate, expired at %s.", signer.ID, signer.NotAfter.UTC().Format(time.RFC3339))
	}
	c.Mode, c.CAID = signer.Mode, string(signer.ID)
	return c, addBrought(ctx, s, c)
}

// RegisterWithoutCA stores a certificate whoever signed it, in SNI_ONLY mode.
func RegisterWithoutCA(ctx context.Context, s Store, t arn.Tenant, leaf *Foreign, status Status, now time.Time) (*Certificate, error) {
	c, err := brought(t, leaf, status, now)
	if err != nil {
		return nil, err
	}
	c.Mode = SNIOnly
	return c, addBrought(ctx, s, c)
}

// brought makes the record of a certificate that was signed elsewhere; mode
// and CA are the caller's to say.
func brought(t arn.Tenant, leaf *Foreign, status Status, now time.Time) (*Certificate, error) {
	switch status {
	case "":
		status = Inactive
	case Active, Inactive, Revoked:
	default:
		return nil, fault.New(fault.CertificateState, "Not allowed to register certificate with %s status", status)
	}
	if now.After(leaf.NotAfter) {
		return nil, fault.New(fault.CertificateInvalid, "The certificate expired at %s; nothing could connect with it.", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	id := leaf.ID()
	return &Certificate{
		Tenant: t, ID: id, PEM: leaf.PEM, Status: status,
		Serial: fmt.Sprintf("%032x", leaf.SerialNumber), Origin: Registered,
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
		Created: now, Modified: now, Version: 1, Generation: ref.ID(t.String(), "certificate", string(id), now),
	}, nil
}

// addBrought adds a certificate unless another account of the region has it in
// DEFAULT mode (methods.md, section 8).
func addBrought(ctx context.Context, s Store, c *Certificate) error {
	holders, err := s.CertificateHolders(ctx, c.ID)
	if err != nil {
		return err
	}
	if heldElsewhere(holders, c.Tenant) {
		return taken(c.ID, "", "The certificate is registered in DEFAULT mode by another account of this region")
	}
	return Add(ctx, s, c)
}

// signerOf finds the registered CA that signed the leaf: the one that was
// named, or the only one there is.
func signerOf(ctx context.Context, s Store, t arn.Tenant, leaf, ca *Foreign) (*Authority, error) {
	if ca != nil {
		return namedSigner(ctx, s, t, leaf, ca)
	}
	signers, err := Signers(ctx, s, t, leaf.Certificate)
	if err != nil {
		return nil, err
	}
	if len(signers) == 0 {
		return nil, fault.New(fault.CertificateInvalid, "No CA certificate of this account signed the certificate, whose issuer is %s; register the CA certificate first.", name(leaf.Issuer.String()))
	}
	active := signers[:0:0]
	for _, a := range signers {
		if a.Status == Active {
			active = append(active, a)
		}
	}
	switch len(active) {
	case 0:
		return signers[0], nil
	case 1:
		return active[0], nil
	}
	return nil, fault.New(fault.AmbiguousCA, "%d CA certificates of this account have the subject and the key that signed the certificate; say with caCertificatePem which one is meant.", len(active))
}

func namedSigner(ctx context.Context, s Store, t arn.Tenant, leaf, ca *Foreign) (*Authority, error) {
	a, err := s.Authority(ctx, t, ca.ID())
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.CertificateInvalid, err, "CA certificate %s is not registered in this account; register it first.", ca.ID())
	}
	if err != nil {
		return nil, err
	}
	if why, cause := signedBy(leaf.Certificate, ca.Certificate); why != "" {
		return nil, fault.Wrap(fault.CertificateInvalid, cause, "The certificate is not signed by the CA certificate: %s.", why)
	}
	return a, nil
}

// Signers gives the CA certificates of t, ACTIVE or not, whose key signed the
// leaf. There are several when a CA's certificate was renewed with its key. It
// looks at those with the issuer's name alone, of which there are few.
func Signers(ctx context.Context, s Store, t arn.Tenant, leaf *x509.Certificate) ([]*Authority, error) {
	named, err := s.AuthoritiesNamed(ctx, t, SubjectDigest(leaf.RawIssuer))
	if err != nil {
		return nil, err
	}
	return signersAmong(named, leaf)
}

// signersAmong leaves out those that only have the name.
func signersAmong(named []*Authority, leaf *x509.Certificate) ([]*Authority, error) {
	var signers []*Authority
	for _, a := range named {
		ca, err := Read("CA certificate "+string(a.ID), a.PEM)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "The record of CA certificate %s is damaged.", a.ID)
		}
		if why, _ := signedBy(leaf, ca.Certificate); why == "" {
			signers = append(signers, a)
		}
	}
	return signers, nil
}
