package terraform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An issuer is a CA that is not Slipway's.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// makeFiles writes the certificates, requests and keys that the configuration
// reads.
func (s *site) makeFiles(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	put := func(name, kind string, der []byte) {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "csr"}}, newKey(t))
	must(t, err)
	put("csr.pem", "CERTIFICATE REQUEST", request)
	tokens, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(tokens.Public())
	must(t, err)
	put("public.pem", "PUBLIC KEY", public)

	north, south := newIssuer(t, "North"), newIssuer(t, "South")
	put("ca.pem", "CERTIFICATE", north.cert.Raw)
	put("other-ca.pem", "CERTIFICATE", south.cert.Raw)
	put("verification.pem", "CERTIFICATE", north.issue(t, s.registrationCode(t)))
	put("leaf.pem", "CERTIFICATE", north.issue(t, "leaf"))
	put("stranger.pem", "CERTIFICATE", newIssuer(t, "Nowhere").issue(t, "stranger"))
}

// registrationCode is what a CA's verification certificate must be named.
func (s *site) registrationCode(t *testing.T) string {
	t.Helper()
	var out struct {
		Code string `json:"registrationCode"`
	}
	must(t, s.client().Do(t.Context(), http.MethodGet, "/registrationcode", nil, nil, nil, &out))
	return out.Code
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	template := describe(t, name)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	i := &issuer{template, newKey(t)}
	i.cert = parse(t, i.sign(t, template, i.key))
	return i
}

// issue gives a certificate of a device, for a key that nobody keeps.
func (i *issuer) issue(t *testing.T, name string) []byte {
	t.Helper()
	return i.sign(t, describe(t, name), newKey(t))
}

func (i *issuer) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	must(t, err)
	return der
}

func describe(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}
