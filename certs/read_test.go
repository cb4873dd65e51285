package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
)

func ec(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edwards(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signedWith(a x509.SignatureAlgorithm) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.SignatureAlgorithm = a }
}

func TestKeysAndSignaturesThatAreTaken(t *testing.T) {
	big := rsaKey(t, 2048)
	ca := certtest.CA(t, "maker")
	for name, text := range map[string]string{
		"RSA-2048":             certtest.SelfSigned(t, "a", big).PEM,
		"RSA-PSS signature":    certtest.SelfSigned(t, "a", big, signedWith(x509.SHA384WithRSAPSS)).PEM,
		"P-256":                ca.Sign(t, "a").PEM,
		"P-384":                ca.SignKey(t, "a", ec(t, elliptic.P384())).PEM,
		"P-521 with SHA-512":   certtest.SelfSigned(t, "a", ec(t, elliptic.P521()), signedWith(x509.ECDSAWithSHA512)).PEM,
		"text ahead":           "Certificate:\n    Data:\n" + ca.Sign(t, "a").PEM + "\n\n",
		"CRLF":                 strings.ReplaceAll(ca.Sign(t, "a").PEM, "\n", "\r\n"),
		"of a CA, as openssl":  ca.PEM,
		"a subject of nothing": certtest.SelfSigned(t, "", big, func(c *x509.Certificate) { c.Subject = pkix.Name{} }).PEM,
	} {
		f, err := certs.Read("The certificate", text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if f.PEM != text {
			t.Errorf("%s: the text was changed", name)
		}
	}
}

func TestCertificatesThatAreNotRead(t *testing.T) {
	ca := certtest.CA(t, "maker")
	leaf := ca.Sign(t, "a")
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	torn := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw[:len(leaf.Raw)-9]})
	for name, c := range map[string]struct{ text, say string }{
		"nothing":               {"", "The certificate is not PEM"},
		"no PEM":                {"MIIB", "The certificate is not PEM"},
		"a key":                 {private, `a PEM block of type "PRIVATE KEY"; expected CERTIFICATE`},
		"a key behind it":       {leaf.PEM + private, "expected exactly one PEM block"},
		"a key ahead of it":     {"-----BEGIN \n" + leaf.PEM, "expected exactly one PEM block"},
		"a chain":               {leaf.PEM + ca.PEM, "expected exactly one PEM block"},
		"text behind it":        {leaf.PEM + "hello", "expected exactly one PEM block"},
		"half a certificate":    {string(torn), "The certificate cannot be read: "},
		"65,537 characters":     {strings.Repeat("x", 65_537), "has 65537 characters; at most 65536"},
		"RSA-1024":              {certtest.SelfSigned(t, "a", rsaKey(t, 1024)).PEM, "an RSA key of 1024 bits; expected 2048 to 8192"},
		"P-224":                 {ca.SignKey(t, "a", ec(t, elliptic.P224())).PEM, "on the curve P-224; expected P-256"},
		"Ed25519":               {ca.SignKey(t, "a", edwards(t)).PEM, "neither RSA nor EC"},
		"an Ed25519 authority":  {certtest.SelfSigned(t, "e", edwards(t)).PEM, "neither RSA nor EC"},
		"signed with Ed25519":   {certtest.SelfSigned(t, "e", edwards(t), func(c *x509.Certificate) { c.IsCA = true }).SignKey(t, "a", leaf.Key).PEM, "is signed with Ed25519; expected RSA or ECDSA"},
		"control characters in": {leaf.PEM[:100] + "\x00" + leaf.PEM[100:], "not PEM"},
	} {
		_, err := certs.Read("The certificate", c.text)
		if _, text := fault.Show(err); !fault.Is(err, fault.CertificateInvalid) || !strings.Contains(text, c.say) {
			t.Errorf("%s: got %v\nexpected …%s…", name, err, c.say)
		}
	}
}

// FuzzRead holds what a stranger may send as a certificate, as text and as the
// bytes within: no panic, one kind of refusal, and what is taken keeps the
// rules.
func FuzzRead(f *testing.F) {
	ca := certtest.CA(f, "maker")
	for _, c := range []certtest.Cert{ca, ca.Sign(f, "lamp"), certtest.SelfSigned(f, "lamp", rsaKey(f, 2048))} {
		f.Add([]byte(c.PEM))
		f.Add(c.Raw)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, text := range []string{string(data), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data}))} {
			readAnything(t, text)
		}
	})
}

func readAnything(t *testing.T, text string) {
	cert, err := certs.Read("The certificate", text)
	if err != nil {
		if !fault.Is(err, fault.CertificateInvalid) {
			t.Errorf("got %v", err)
		}
		return
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		t.Errorf("took an RSA key of %d bits", key.N.BitLen())
	}
	if strings.Count(text, "-----BEGIN") != 1 {
		t.Errorf("took %q", text)
	}
	_, _, _ = certs.ReadAuthority(text, text, certs.DefaultMode, noon)
	self := &certs.Authority{PEM: text, Status: certs.Active, Automatic: true, NotAfter: noon}
	if _, err := certs.Sponsor([]*certs.Authority{self}, cert.Certificate, noon); err != nil && !fault.Is(err, fault.Refused) {
		t.Errorf("as a leaf of itself: %v", err)
	}
}
