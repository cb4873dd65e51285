package certs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// Sponsor gives the CA certificate by which a leaf that connected is registered
// without anybody's doing, or says which rule stands against it: named are the
// CA certificates of the account with the issuer's name (AuthoritiesNamed). It
// reads no store, since it checks a signature for each of them; usually there
// is one, and ref.CAsPerSubject bounds them (methods.md, section 4).
//
// Every error is of kind fault.Refused but for a damaged record, and its
// sentence begins with "it", the certificate.
func Sponsor(named []*Authority, leaf *x509.Certificate, now time.Time) (*Authority, error) {
	if len(named) == 0 {
		return nil, fault.New(fault.Refused, "no CA certificate of the account has the name of its issuer, %s; register it there, or connect with a certificate of that account", name(leaf.Issuer.String()))
	}
	signers, err := signersAmong(named, leaf)
	if err != nil {
		return nil, err
	}
	if len(signers) == 0 {
		return nil, fault.New(fault.Refused, "it names CA certificate %s as its issuer, whose key did not sign it", named[0].ID)
	}
	var first error
	for _, a := range signers {
		err := a.sponsors(leaf, now)
		if err == nil {
			return a, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// sponsors says why a does not register the leaf, which it signed, if it does
// not.
func (a *Authority) sponsors(leaf *x509.Certificate, now time.Time) error {
	switch {
	case a.Status != Active:
		return fault.New(fault.Refused, "CA certificate %s, which signed it, is %s; UpdateCACertificate can set it to ACTIVE", a.ID, a.Status)
	case !a.Automatic:
		return fault.New(fault.Refused, "CA certificate %s, which signed it, has auto-registration DISABLE; UpdateCACertificate can set it to ENABLE", a.ID)
	case now.After(a.NotAfter):
		return fault.New(fault.Refused, "CA certificate %s, which signed it, expired at %s", a.ID, a.NotAfter.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fault.New(fault.Refused, "it expired at %s; the device needs a new one", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fault.New(fault.Refused, "it is not valid before %s, and the server's clock says %s", leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// Arrive registers a leaf that connected under the CA certificate that sponsors
// it, PENDING_ACTIVATION, in the CA's mode. The CA certificate is read again,
// since it may have changed after its signature was checked. One that is
// registered already is given as it is, and made is false.
func Arrive(ctx context.Context, s Store, t arn.Tenant, leaf *x509.Certificate, ca arn.CertID, now time.Time) (c *Certificate, made bool, err error) {
	c, err = s.Certificate(ctx, t, arn.IDOf(leaf.Raw))
	if err == nil || !fault.Is(err, fault.Missing) {
		return c, false, err
	}
	a, err := s.Authority(ctx, t, ca)
	if fault.Is(err, fault.Missing) {
		return nil, false, fault.Wrap(fault.Refused, err, "CA certificate %s, which signed it, was deleted", ca)
	}
	if err == nil {
		err = a.sponsors(leaf, now)
	}
	if err != nil {
		return nil, false, err
	}
	f, err := Read("it", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})))
	if err != nil {
		return nil, false, err
	}
	if c, err = brought(t, f, Inactive, now); err != nil {
		return nil, false, err
	}
	c.Status, c.Origin, c.Mode, c.CAID = PendingActivation, Arrived, a.Mode, string(a.ID)
	err = addBrought(ctx, s, c)
	if fault.Is(err, fault.Exists) { // not here, or it would have been found
		err = fault.Wrap(fault.Refused, err, "another account of this region has it in DEFAULT mode")
	}
	return c, true, err
}

// Awaits says whether c connected before it was known, and still waits for what
// its CA's registration says.
func (c *Certificate) Awaits() bool { return c.Status == PendingActivation && c.Origin == Arrived }
