package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/slipway-iot/slipway/fault"
)

// ours are the names of this server in every test.
var ours = Rules{ForbiddenNames: func(name string) bool {
	return slices.Contains([]string{"localhost", "iot.example.com", "127.0.0.1", "2001:db8::1"}, name)
}}

func csrFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/csr/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRequestsOfOpenSSLAreAccepted(t *testing.T) {
	c := openCA(t, t.TempDir())
	subjects := map[string]string{
		"p256.pem": "CN=sensor-1", "p384.pem": "CN=sensor-1", "p521.pem": "CN=sensor-1",
		"p256.der": "CN=sensor-1", "rsa-2048.pem": "CN=sensor-1", "rsa-4096.pem": "CN=sensor-1",
		"rsa-pss-signature.pem": "CN=sensor-1", "new-type.pem": "CN=sensor-1", "with-text.pem": "CN=sensor-1",
		"everything.pem": "CN=sensor-1", "sans-16.pem": "CN=sensor-1",
		"empty-subject.pem": "CN=AWS IoT Certificate",
		"full-subject.pem":  "SERIALNUMBER=A1,CN=sensor-1,OU=Brücke,O=Reederei Müller & Söhne,L=Hamburg,ST=Hamburg,C=DE",
	}
	for name, subject := range subjects {
		t.Run(name, func(t *testing.T) {
			l, err := c.LintCSR(csrFile(t, name), ours)
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.Prepare(l, Profile{})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(p.Subject, subject) {
				t.Errorf("subject is %q, want %q", p.Subject, subject)
			}
			if _, err := c.Sign(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadRequestFilesAreRefusedWithASentence(t *testing.T) {
	c := openCA(t, t.TempDir())
	sentences := map[string]string{
		"rsa-1024.pem":            "The CSR's key is RSA with 1024 bits; use RSA with at least 2048 bits or P-256, P-384, P-521.",
		"rsa-exponent-3.pem":      "has the RSA exponent 3; make the key with the exponent 65537.",
		"rsa-pss-key.pem":         "The CSR's key is limited to RSA-PSS, which is not supported; use RSA",
		"p224.pem":                "The CSR's key lies on the curve P-224; use RSA",
		"secp256k1.pem":           "The CSR's key lies on the curve 1.3.132.0.10, which is not supported; use RSA",
		"explicit-curve.pem":      "The CSR's key lies on a curve without a name, which is not supported; use RSA",
		"ed25519.pem":             "The CSR's key is an Ed25519 key, which is not supported; use RSA",
		"ed448.pem":               "The CSR's key is an Ed448 key, which is not supported; use RSA",
		"dsa.pem":                 "The CSR's key is a DSA key, which is not supported; use RSA",
		"sha1-rsa.pem":            "The CSR is signed with SHA1-RSA; sign it with SHA-256, SHA-384 or SHA-512.",
		"sha1-ecdsa.pem":          "The CSR is signed with ECDSA-SHA1; sign it with SHA-256",
		"md5-rsa.pem":             "The CSR is signed with MD5-RSA; sign it with SHA-256",
		"sha224.pem":              "The CSR is signed with an unknown algorithm; sign it with SHA-256",
		"ca-true.pem":             "asks for the certificate of a certificate authority (basicConstraints CA:TRUE); leave that out.",
		"ca-true-pathlen.pem":     "(basicConstraints CA:TRUE)",
		"sans-17.pem":             "asks for 17 subject alternative names; at most 16 are accepted",
		"sans-100.pem":            "asks for 100 subject alternative names",
		"cn-localhost.pem":        "The CSR has the common name localhost, which is a name of this server; name the device itself.",
		"cn-localhost-second.pem": "the common name localhost, which is a name of this server",
		"cn-ip.pem":               "the common name 127.0.0.1, which is a name of this server",
		"cn-wildcard.pem":         "the wildcard common name *.example.com; name the device itself.",
		"san-host.pem":            "the DNS name iot.example.com, which is a name of this server",
		"san-wildcard.pem":        "the wildcard DNS name *.example.com",
		"san-ip.pem":              "the IP address 127.0.0.1, which is a name of this server",
		"san-ip6.pem":             "the IP address 127.0.0.1, which is a name of this server",
		"san-uri.pem":             "the URI host iot.example.com, which is a name of this server",
		"control-character.pem":   "a control character or invalid text in the attribute 2.5.4.3",
		"bidi.pem":                "a control character or invalid text in the attribute 2.5.4.3",
	}
	for name, sentence := range sentences {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, c, csrFile(t, name), sentence)
		})
	}
}

func TestMalformedRequestsAreRefusedWithASentence(t *testing.T) {
	c := openCA(t, t.TempDir())
	good, der := csrFile(t, "p256.pem"), csrFile(t, "p256.der")
	block, _ := pem.Decode(good)
	for _, tt := range []struct {
		name     string
		csr      []byte
		sentence string
	}{
		{"nothing", nil, "The CSR is empty"},
		{"a megabyte", bytes.Repeat([]byte("A"), 1<<20), "The CSR has 1048576 characters; at most 4096 are accepted."},
		{"a request grown beyond the limit by white space", slices.Concat(good, bytes.Repeat([]byte("\n"), 4096)), "at most 4096"},
		{"plain text", []byte("please sign"), "The CSR is not PEM"},
		{"base64 without its frame", bytes.ReplaceAll(good, []byte("-----"), nil), "The CSR is not PEM"},
		{"lines that ran together", bytes.ReplaceAll(good, []byte("\n"), nil), "its lines ran together"},
		{"lines joined by spaces", bytes.ReplaceAll(good, []byte("\n"), []byte(" ")), "its lines ran together"},
		{"line breaks escaped twice", bytes.ReplaceAll(good, []byte("\n"), []byte(`\n`)), "with one backslash"},
		{"a PEM block without an end", good[:len(good)-20], "The CSR is not PEM"},
		{"a certificate", encodeCert(c.ServerRoot().Raw), "is a PEM block of type CERTIFICATE; send one of type CERTIFICATE REQUEST."},
		{"two requests", slices.Concat(good, good), "has several PEM blocks; send exactly one."},
		{"a broken request ahead of a whole one", slices.Concat([]byte("-----BEGIN CERTIFICATE REQUEST-----\n!\n-----END CERTIFICATE REQUEST-----\n"), good), "has several PEM blocks"},
		{"text behind the request", slices.Concat(good, []byte("x")), "followed by other text"},
		{"a request signed with another key", flipLast(der), "The CSR's signature does not verify; sign it with the private key"},
		{"DER with bytes behind it", slices.Concat(der, []byte{0, 0}), "followed by 2 other bytes"},
		{"DER cut short", der[:len(der)-5], "cannot be read as a PKCS#10 certificate signing request"},
		{"PEM with bytes behind the DER", pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: slices.Concat(block.Bytes, []byte{5, 0})}), "followed by 2 other bytes"},
		{"an empty PEM block", pem.EncodeToMemory(&pem.Block{Type: block.Type}), "cannot be read as a PKCS#10"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantRefusal(t, c, tt.csr, tt.sentence) })
	}
}

func TestAbsurdRSAKeysAreRefused(t *testing.T) {
	c := openCA(t, t.TempDir())
	odd := func(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1) }
	for _, tt := range []struct {
		key      rsa.PublicKey
		sentence string
	}{
		{rsa.PublicKey{N: odd(2047), E: 65537}, "The key is RSA with 2047 bits; use RSA with at least 2048 bits"},
		{rsa.PublicKey{N: odd(8193), E: 65537}, "RSA with 8193 bits; TLS here accepts at most 8192 bits."},
		{rsa.PublicKey{N: odd(2048), E: 1}, "the RSA exponent 1;"},
		{rsa.PublicKey{N: odd(2048), E: 65538}, "the RSA exponent 65538;"},
		{rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, "an even RSA modulus"},
	} {
		if _, err := c.LintKey(&tt.key); !fault.Is(err, fault.InvalidCSR) || !strings.Contains(err.Error(), tt.sentence) {
			t.Errorf("got %v, want %s", err, tt.sentence)
		}
	}
}

func TestAbsurdContentsAreRefused(t *testing.T) {
	c := openCA(t, t.TempDir())
	for name, tt := range map[string]struct {
		req      x509.CertificateRequest
		sentence string
	}{
		"a subject of 600 bytes": {
			x509.CertificateRequest{Subject: pkix.Name{CommonName: strings.Repeat("x", 590)}},
			"at most 512 are accepted",
		},
		"an attribute that is a number": {
			x509.CertificateRequest{RawSubject: rawSubject(t, asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{7}})},
			"an attribute that is not text",
		},
		"an attribute of a string type that certificates cannot carry": {
			x509.CertificateRequest{RawSubject: rawSubject(t, asn1.RawValue{Tag: asn1.TagGeneralString, Bytes: []byte("x")})},
			"not text",
		},
		"a NUL that would cut our name short": {
			x509.CertificateRequest{Subject: pkix.Name{CommonName: "iot.example.com\x00.device"}},
			"control character",
		},
		"our IPv6 address written at length": {
			x509.CertificateRequest{Subject: pkix.Name{CommonName: "[2001:0DB8:0::1]"}},
			"the common name 2001:db8::1, which is a name of this server",
		},
		"our name with white space around it": {
			x509.CertificateRequest{Subject: pkix.Name{CommonName: " IOT.example.com. "}},
			"the common name iot.example.com, which is",
		},
		"a DNS name longer than DNS allows": {
			x509.CertificateRequest{DNSNames: []string{strings.Repeat("a.", 127) + "b"}},
			"no host can have",
		},
		"names of kinds that nobody reads, too many": {
			x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Value: mustMarshal(t, slices.Repeat([]asn1.RawValue{{Class: 2, Tag: 8, Bytes: []byte{42}}}, 17))}}},
			"asks for 17 subject alternative names",
		},
		"basic constraints that cannot be read": {
			x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oidBasicConstraints, Value: []byte{1, 2, 3}}}},
			"basicConstraints cannot be read",
		},
		"an extension twice": {
			x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
				{Id: oidBasicConstraints, Value: []byte{0x30, 0}}, {Id: oidBasicConstraints, Value: []byte{0x30, 0}},
			}},
			"uplicate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			csr, err := x509.CreateCertificateRequest(rand.Reader, &tt.req, newKey(t))
			if err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, c, csr, tt.sentence)
		})
	}
}

func TestARequestIsUsedOnce(t *testing.T) {
	c := openCA(t, t.TempDir())
	l, err := c.LintCSR(csrFile(t, "p256.pem"), ours)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prepare(l, Profile{}); err != nil {
		t.Fatal(err)
	}
	if p, err := c.Prepare(l, Profile{}); err == nil || p != nil {
		t.Error("the same request was prepared twice")
	}
	for name, l := range map[string]*Linted{"nil": nil, "one that this package did not make": {}} {
		if p, err := c.Prepare(l, Profile{}); err == nil || p != nil {
			t.Errorf("%s was prepared", name)
		}
	}
}

func TestTheCallersBufferMayChangeAfterLint(t *testing.T) {
	c := openCA(t, t.TempDir())
	buf := csrFile(t, "p256.der")
	l, err := c.LintCSR(buf, ours)
	if err != nil {
		t.Fatal(err)
	}
	copy(buf, bytes.ReplaceAll(buf, []byte("sensor-1"), []byte("sensor-2")))
	p, err := c.Prepare(l, Profile{})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := c.Sign(t.Context(), p)
	if err != nil || issued.Cert.Subject.CommonName != "sensor-1" {
		t.Errorf("signed %v, %v", issued.Cert.Subject, err)
	}
}

func TestServerMadeKeysAreExamined(t *testing.T) {
	c := openCA(t, t.TempDir())
	l, err := c.LintKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := c.Prepare(l, Profile{}); err != nil || p.Subject != "CN=AWS IoT Certificate" {
		t.Errorf("got %v, %v", p, err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]crypto.PublicKey{"P-224": weak.Public(), "no key": nil, "text": "key"} {
		if _, err := c.LintKey(pub); !fault.Is(err, fault.InvalidCSR) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzLintCSR: foreign bytes are accepted and then signed, or refused with a
// sentence that can be shown on a terminal.
func FuzzLintCSR(f *testing.F) {
	c := openCA(f, f.TempDir())
	for _, name := range []string{"p256.pem", "p256.der", "everything.pem", "full-subject.pem", "rsa-2048.pem", "secp256k1.pem", "san-uri.pem", "with-text.pem"} {
		f.Add(csrFile(f, name))
	}
	f.Fuzz(func(t *testing.T, csr []byte) { lintAndSign(t, c, csr) })
}

// FuzzRequestContents signs foreign subjects and names properly, so that they
// reach the checks behind the signature.
func FuzzRequestContents(f *testing.F) {
	c := openCA(f, f.TempDir())
	key := newKey(f)
	for _, name := range []string{"everything.pem", "full-subject.pem", "san-ip6.pem"} {
		block, _ := pem.Decode(csrFile(f, name))
		req, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			f.Fatal(err)
		}
		var san []byte
		for _, e := range req.Extensions {
			if e.Id.Equal(oidSubjectAltName) {
				san = e.Value
			}
		}
		f.Add(req.RawSubject, san)
	}
	f.Fuzz(func(t *testing.T, subject, san []byte) {
		req := &x509.CertificateRequest{RawSubject: subject}
		if len(san) > 0 {
			req.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: san}}
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, req, key)
		if err == nil {
			lintAndSign(t, c, csr)
		}
	})
}

func lintAndSign(t *testing.T, c *CA, csr []byte) {
	l, err := c.LintCSR(csr, ours)
	if err != nil {
		wantSentence(t, err)
		return
	}
	p, err := c.Prepare(l, Profile{})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := c.Sign(t.Context(), p)
	if err != nil {
		t.Fatalf("%v (subject %q)", err, p.Subject)
	}
	if len(issued.Cert.DNSNames)+len(issued.Cert.IPAddresses)+len(issued.Cert.URIs)+len(issued.Cert.EmailAddresses) != 0 {
		t.Error("a name was copied")
	}
}

// wantRefusal asks for an error of kind InvalidCSR that says sentence.
func wantRefusal(t *testing.T, c *CA, csr []byte, sentence string) {
	t.Helper()
	l, err := c.LintCSR(csr, ours)
	if err == nil || l != nil {
		t.Fatal("the request was accepted")
	}
	if text := wantSentence(t, err); !strings.Contains(text, sentence) {
		t.Errorf("got  %s\nwant %s", text, sentence)
	}
}

// wantSentence asks that err is fit for a stranger's terminal.
func wantSentence(t *testing.T, err error) string {
	t.Helper()
	_, text := fault.Show(err)
	if !fault.Is(err, fault.InvalidCSR) || !strings.HasPrefix(text, "The CSR") || !strings.HasSuffix(text, ".") {
		t.Errorf("%v: not a sentence of kind InvalidCSR: %q", fault.Of(err), text)
	}
	if strings.ContainsFunc(text, unicode.IsControl) || len(text) > 400 {
		t.Errorf("unfit for a terminal: %q", text)
	}
	return text
}

func flipLast(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// rawSubject encodes a subject with one common name of the given value.
func rawSubject(t *testing.T, value asn1.RawValue) []byte {
	t.Helper()
	return mustMarshal(t, []relativeNameSET{{{Type: oidCommonName, Value: value}}})
}
