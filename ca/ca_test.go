package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/internal/seal"
)

// today is the date of every test: the CA must not look at the real clock.
var today = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func openKey(t testing.TB, dir string) *seal.Key {
	t.Helper()
	key, _, err := seal.Open(dir, "", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// openCA opens the CA of a folder that also holds its unlock key.
func openCA(t testing.TB, dir string) *CA {
	t.Helper()
	c, err := Open(Config{Dir: dir + "/ca", Seal: openKey(t, dir), Now: func() time.Time { return today }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// makeCSR makes a request for CN=name with a fresh P-256 key.
func makeCSR(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issue takes a request all the way.
func issue(t testing.TB, c *CA, csr []byte) *Issued {
	t.Helper()
	l, err := c.LintCSR(csr, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Prepare(l, Profile{})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := c.Sign(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}
