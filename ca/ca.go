// Package ca is the certificate authority: two hierarchies that never mix, the
// examination of signing requests, and the one way to a device certificate.
//
// The server root is what devices pin. It signs the gateway's own certificates
// and nothing else. The device root and its issuing CA sign device
// certificates and nothing else; they are nobody's trust anchor, and every
// certificate below and including the device root is limited to the extended
// key usage clientAuth. So a device can never pose as the server.
//
// A device certificate comes about in three steps, each of which wants the
// one-time result of the step before:
//
//	LintCSR or LintKey   is this request fit to be signed?    -> *Linted
//	Prepare              serial, dates and subject            -> *Prepared
//	Sign                 the signature, checked               -> *Issued
//
// Between Prepare and Sign the caller stores what it is about to do. A Linted
// can only be made here and only be used once, so "signed but not linted"
// cannot be written.
package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"time"

	"github.com/slipway-iot/slipway/internal/seal"
)

// Config says where a CA lives and what it draws on.
type Config struct {
	Dir  string    // the CA's folder; made when missing
	Seal *seal.Key // seals the private keys in Dir

	// Now is the clock that dates certificates; nil means time.Now.
	Now func() time.Time

	// Rand gives keys and serials, to several goroutines at once; nil means
	// crypto/rand.Reader.
	Rand io.Reader
}

// A CA signs server and device certificates. It is safe for concurrent use.
type CA struct {
	now  func() time.Time
	rand io.Reader

	serverRoot authority
	issuing    authority
	deviceRoot *x509.Certificate // its key stays sealed in Dir
}

// An authority is a CA certificate with the signer that holds its key.
type authority struct {
	cert   *x509.Certificate
	signer crypto.Signer
}

// Open loads the CA of cfg.Dir, or makes what is not there yet.
//
// Each hierarchy appears in Dir whole or not at all, and is on disk before
// Open returns. A hierarchy that lacks a file was damaged, not interrupted:
// Open then fails and names the file, because a new root in its place would
// lock out every device that pins the old one. Only device/root.key may be
// taken away and kept elsewhere; nothing here needs it from day to day.
func Open(cfg Config) (*CA, error) {
	c := &CA{now: cfg.Now, rand: cfg.Rand}
	if c.now == nil {
		c.now = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	d := folder{path: cfg.Dir, seal: cfg.Seal}
	if err := d.complete(serverFolder, c.makeServer); err != nil {
		return nil, err
	}
	if err := d.complete(deviceFolder, c.makeDevice); err != nil {
		return nil, err
	}
	if err := d.sync(); err != nil {
		return nil, err
	}
	if err := c.load(d); err != nil {
		return nil, err
	}
	d.sweep()
	return c, nil
}

// load reads both hierarchies and checks that they are what makeServer and
// makeDevice made.
func (c *CA) load(d folder) (err error) {
	if c.serverRoot, err = d.authority(serverFolder, "root"); err != nil {
		return err
	}
	if c.deviceRoot, err = d.certificate(deviceFolder, "root"); err != nil {
		return err
	}
	if c.issuing, err = d.authority(deviceFolder, "issuing"); err != nil {
		return err
	}
	if err := c.issuing.cert.CheckSignatureFrom(c.deviceRoot); err != nil {
		return damaged(err, "device/issuing.pem is not signed by device/root.pem")
	}
	return nil
}

// ServerRoot is the root that devices pin.
func (c *CA) ServerRoot() *x509.Certificate { return c.serverRoot.cert }

// DeviceRoot is the root of the device hierarchy.
func (c *CA) DeviceRoot() *x509.Certificate { return c.deviceRoot }

// IssuingCA is the certificate that signs device certificates.
func (c *CA) IssuingCA() *x509.Certificate { return c.issuing.cert }

// ServerRootPEM is the file that devices pin: root-ca.pem.
func (c *CA) ServerRootPEM() []byte { return encodeCert(c.serverRoot.cert.Raw) }

// DeviceChainPEM is the issuing CA followed by the device root: what somebody
// else needs who wants to check device certificates.
func (c *CA) DeviceChainPEM() []byte {
	return append(encodeCert(c.issuing.cert.Raw), encodeCert(c.deviceRoot.Raw)...)
}

// ExpiresAt is the moment at which the first of the three CA certificates ends.
func (c *CA) ExpiresAt() time.Time {
	first := c.serverRoot.cert.NotAfter
	for _, cert := range []*x509.Certificate{c.deviceRoot, c.issuing.cert} {
		if cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	return first
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
