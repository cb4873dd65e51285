package ca

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// DefaultName is the common name of a certificate whose request names nobody
// (provisioning-mqtt-api.md, section 6.2).
const DefaultName = "AWS IoT Certificate"

// backdateLeaf lets a device or a node whose clock is a little behind use the
// certificate at once.
const backdateLeaf = 5 * time.Minute

// A Profile says what is decided about a certificate beyond its request. The
// zero Profile is AWS's: valid until 2049-12-31T23:59:59Z.
type Profile struct {
	NotAfter   time.Time     // the end; wins over Validity
	Validity   time.Duration // the end, counted from now
	CommonName string        // replaces the subject of the request, for claims
}

// A Prepared is a certificate that is decided but not signed. Its exported
// fields are for the caller's record of intent; changing them changes nothing.
type Prepared struct {
	Subject   string   // as RFC 2253 writes it
	KeyDigest [32]byte // SHA-256 of the subject public key info
	NotAfter  time.Time

	used     atomic.Bool
	template *x509.Certificate
	key      crypto.PublicKey
}

// Serial is the serial number as lower-case hex, 32 digits.
func (p *Prepared) Serial() string { return serialText(p.template) }

func serialText(cert *x509.Certificate) string { return fmt.Sprintf("%032x", cert.SerialNumber) }

// Prepare decides serial, dates and subject of the certificate for l, which it
// consumes whatever comes out.
func (c *CA) Prepare(l *Linted, p Profile) (*Prepared, error) {
	if l == nil || l.key == nil || l.used.Swap(true) {
		return nil, fault.New(fault.Internal, "A signing request was to be signed that was not examined, or a second time.")
	}
	now := c.now()
	notAfter, err := c.end(now, p)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(c.rand)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "No serial number could be drawn.")
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-backdateLeaf).UTC().Truncate(time.Second),
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{purpose(deviceFolder)},
		SubjectKeyId:          l.keyID,
		SignatureAlgorithm:    signatureAlgorithm,
	}
	if _, ok := l.key.(*rsa.PublicKey); ok { // TLS 1.2 without forward secrecy
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	t.RawSubject, t.Subject = subjectOf(l, p)
	return &Prepared{
		Subject:   t.Subject.String(),
		KeyDigest: l.digest,
		NotAfter:  t.NotAfter,
		template:  t,
		key:       l.key,
	}, nil
}

// subjectOf picks the profile's name, else the request's subject byte for
// byte, else DefaultName.
func subjectOf(l *Linted, p Profile) ([]byte, pkix.Name) {
	switch {
	case p.CommonName != "":
		return nil, pkix.Name{CommonName: p.CommonName}
	case l.rawSubject == nil:
		return nil, pkix.Name{CommonName: DefaultName}
	default:
		return l.rawSubject, l.subject
	}
}

// end is the notAfter of a certificate issued now. It lies in the future and
// not after the issuing CA's own end.
func (c *CA) end(now time.Time, p Profile) (time.Time, error) {
	limit := c.issuing.cert.NotAfter
	end := p.NotAfter
	switch {
	case !end.IsZero():
	case p.Validity != 0:
		end = now.Add(p.Validity)
	case endOfDevices.After(limit):
		end = limit
	default:
		end = endOfDevices
	}
	end = end.UTC().Truncate(time.Second)
	if !end.After(now) {
		return end, fault.New(fault.InvalidRequest, "The certificate would end at %s, which is not in the future; ask for a later end.", end.Format(time.RFC3339))
	}
	if end.After(limit) {
		return end, fault.New(fault.InvalidRequest, "The certificate would end at %s, after the authority that signs it; ask for an end no later than %s.", end.Format(time.RFC3339), limit.Format(time.RFC3339))
	}
	return end, nil
}

// An Issued is a device certificate.
type Issued struct {
	Cert     *x509.Certificate
	DER, PEM []byte
	ID       arn.CertID
	Serial   string // lower-case hex, as in Prepared
}

// Sign makes the certificate of p, which it consumes whatever comes out. The
// signature is checked before it is given out: a signer that failed or was
// tampered with yields an error and no certificate.
func (c *CA) Sign(ctx context.Context, p *Prepared) (*Issued, error) {
	if p == nil || p.template == nil || p.used.Swap(true) {
		return nil, fault.New(fault.Internal, "A certificate was to be signed that was not prepared, or a second time.")
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The request ended before its certificate was signed.")
	}
	der, err := x509.CreateCertificate(c.rand, p.template, c.issuing.cert, p.key, c.issuing.signer)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The certificate could not be signed.")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The signed certificate cannot be read.")
	}
	return &Issued{
		Cert:   cert,
		DER:    der,
		PEM:    encodeCert(der),
		ID:     arn.IDOf(der),
		Serial: serialText(cert),
	}, nil
}
