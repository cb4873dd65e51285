// Package certtest makes certificates as other people's authorities do, for
// tests of what becomes of those that are brought along.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// A Cert is a certificate with its private key.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
	PEM string
}

// EC makes a key on P-256.
func EC(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// CA makes a self-signed CA certificate with the common name.
func CA(t testing.TB, name string, change ...func(*x509.Certificate)) Cert {
	t.Helper()
	return SelfSigned(t, name, EC(t), append([]func(*x509.Certificate){authority}, change...)...)
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

// SelfSigned makes a certificate that the key signs for itself.
func SelfSigned(t testing.TB, name string, key crypto.Signer, change ...func(*x509.Certificate)) Cert {
	t.Helper()
	form := template(t, name, change)
	return sign(t, form, form, key, key)
}

// Sign makes a certificate with a new key that c signs.
func (c Cert) Sign(t testing.TB, name string, change ...func(*x509.Certificate)) Cert {
	t.Helper()
	return c.SignKey(t, name, EC(t), change...)
}

// SignKey makes a certificate for the key that c signs.
func (c Cert) SignKey(t testing.TB, name string, key crypto.Signer, change ...func(*x509.Certificate)) Cert {
	t.Helper()
	return sign(t, template(t, name, change), c.Certificate, key, c.Key)
}

func template(t testing.TB, name string, change []func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, f := range change {
		f(form)
	}
	return form
}

func sign(t testing.TB, form, parent *x509.Certificate, key, parentKey crypto.Signer) Cert {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, form, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Cert{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// TLS is the certificate as a TLS client shows it.
func (c Cert) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key}
}
