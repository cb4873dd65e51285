package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

func TestALeafHoldsWhatAWSPromisesAndNothingElse(t *testing.T) {
	c := openCA(t, t.TempDir())
	got := issue(t, c, csrFile(t, "everything.pem")) // asks for names, usages, policies and a comment
	cert := got.Cert

	if !cert.NotAfter.Equal(time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)) || !cert.NotBefore.Equal(today.Add(-5*time.Minute)) {
		t.Errorf("valid from %v to %v", cert.NotBefore, cert.NotAfter)
	}
	if got.ID != arn.IDOf(got.DER) || got.Serial != hex.EncodeToString(cert.SerialNumber.FillBytes(make([]byte, 16))) {
		t.Errorf("id %s, serial %s", got.ID, got.Serial)
	}
	if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 || cert.IsCA || !cert.BasicConstraintsValid {
		t.Errorf("algorithm %v, CA %v", cert.SignatureAlgorithm, cert.IsCA)
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("usages %v, %v", cert.KeyUsage, cert.ExtKeyUsage)
	}
	var ids []string
	for _, e := range cert.Extensions {
		id := e.Id.String()
		if e.Critical {
			id += "!"
		}
		ids = append(ids, id)
	}
	// Key usage and basic constraints are critical; then extended key usage,
	// subject and authority key identifiers.
	if want := "2.5.29.15! 2.5.29.37 2.5.29.19! 2.5.29.14 2.5.29.35"; strings.Join(ids, " ") != want {
		t.Errorf("extensions %v, want %s", ids, want)
	}
}

func TestTheRecordOfIntentNamesTheCertificateToCome(t *testing.T) {
	c := openCA(t, t.TempDir())
	l, err := c.LintCSR(csrFile(t, "full-subject.pem"), ours)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Prepare(l, Profile{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Sign(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Serial != p.Serial() || len(p.Serial()) != 32 || !got.Cert.NotAfter.Equal(p.NotAfter) || got.Cert.Subject.String() != p.Subject {
		t.Errorf("intent %s %v %s, certificate %s %v %s", p.Serial(), p.NotAfter, p.Subject, got.Serial, got.Cert.NotAfter, got.Cert.Subject)
	}
	if p.KeyDigest != sha256.Sum256(got.Cert.RawSubjectPublicKeyInfo) {
		t.Error("the intent names another key")
	}
	if again, err := c.Sign(t.Context(), p); err == nil || again != nil {
		t.Error("the same certificate was signed twice")
	}
}

func TestAnRSALeafMayAlsoWrapKeys(t *testing.T) {
	got := issue(t, openCA(t, t.TempDir()), csrFile(t, "rsa-2048.pem"))
	if want := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment; got.Cert.KeyUsage != want {
		t.Errorf("key usage %v, want %v", got.Cert.KeyUsage, want)
	}
}

// An answer carries certificate, id (64), token (up to 400) and topic in a
// client's buffer of 2,048 bytes, and JSON escapes every line end once more.
func TestCertificatesFitTheBuffersOfSmallClients(t *testing.T) {
	c := openCA(t, t.TempDir())
	wide := pkix.Name{CommonName: strings.Repeat("x", maxSubject-21)}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: wide}, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		csr []byte
		max int
	}{
		"P-256":                     {csrFile(t, "p256.pem"), 700},
		"P-256, the widest subject": {csr, 1350},
		"RSA-2048":                  {csrFile(t, "rsa-2048.pem"), 1200},
		"RSA-4096":                  {csrFile(t, "rsa-4096.pem"), 1500},
	} {
		got := issue(t, c, tt.csr)
		if n := len(got.PEM) + strings.Count(string(got.PEM), "\n"); n > tt.max {
			t.Errorf("%s: %d bytes as JSON, want at most %d", name, n, tt.max)
		}
	}
}

func TestProfilesDecideTheEnd(t *testing.T) {
	c := openCA(t, t.TempDir())
	for name, tt := range map[string]struct {
		profile Profile
		want    time.Time // zero: refused
	}{
		"a given end":                  {Profile{NotAfter: today.Add(time.Hour)}, today.Add(time.Hour)},
		"a length of time":             {Profile{Validity: 48 * time.Hour}, today.Add(48 * time.Hour)},
		"an end beats a length":        {Profile{NotAfter: today.Add(time.Hour), Validity: time.Minute}, today.Add(time.Hour)},
		"the issuer's own last second": {Profile{NotAfter: endOfIssuers}, endOfIssuers},
		"an end after the issuer's":    {Profile{NotAfter: endOfIssuers.Add(time.Second)}, time.Time{}},
		"an end in the past":           {Profile{NotAfter: today.Add(-time.Second)}, time.Time{}},
		"an end at this second":        {Profile{NotAfter: today}, time.Time{}},
		"a negative length":            {Profile{Validity: -time.Hour}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := c.LintKey(newKey(t).Public())
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.Prepare(l, tt.profile)
			if tt.want.IsZero() {
				if !fault.Is(err, fault.InvalidRequest) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !p.NotAfter.Equal(tt.want) {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
}

func TestAProfileMayNameTheCertificate(t *testing.T) {
	c := openCA(t, t.TempDir())
	l, err := c.LintCSR(csrFile(t, "full-subject.pem"), ours)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Prepare(l, Profile{CommonName: "claim fleet"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Sign(t.Context(), p); err != nil || got.Cert.Subject.String() != "CN=claim fleet" || p.Subject != "CN=claim fleet" {
		t.Errorf("got %v, %v", p.Subject, err)
	}
}

// A brokenSigner is a signer with a lever: it signs something else, or fails.
type brokenSigner struct {
	crypto.Signer
	err error
}

func (s brokenSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Signer.Sign(r, make([]byte, len(digest)), opts)
}

func TestASignerThatFailsOrLiesYieldsNoCertificate(t *testing.T) {
	c := openCA(t, t.TempDir())
	honest := c.issuing.signer
	for name, s := range map[string]crypto.Signer{
		"fails":                  brokenSigner{honest, errors.New("the token was pulled out")},
		"signs other bytes":      brokenSigner{honest, nil},
		"signs with another key": impostor{newKey(t), honest},
	} {
		c.issuing.signer = s
		l, err := c.LintKey(newKey(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Prepare(l, Profile{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Sign(t.Context(), p); got != nil || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// An impostor claims the public key of another signer.
type impostor struct {
	crypto.Signer
	claims crypto.Signer
}

func (i impostor) Public() crypto.PublicKey { return i.claims.Public() }

func TestNothingIsSignedForARequestThatHasEnded(t *testing.T) {
	c := openCA(t, t.TempDir())
	l, err := c.LintKey(newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Prepare(l, Profile{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := c.Sign(ctx, p); got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWithoutRandomnessNothingIsPrepared(t *testing.T) {
	c := openCA(t, t.TempDir())
	for name, r := range map[string]io.Reader{"it fails": iotest.ErrReader(errors.New("no entropy")), "it gives zeros": zeros{}} {
		l, err := c.LintKey(newKey(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		c.rand = r
		if p, err := c.Prepare(l, Profile{}); p != nil || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v, %v", name, p, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestManyIssueAtOnce(t *testing.T) {
	c := openCA(t, t.TempDir())
	csr := csrFile(t, "p256.pem")
	shared, err := c.LintCSR(csr, ours)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	serials, prepared := map[string]bool{}, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := issue(t, c, csr)
			_, err := c.Prepare(shared, Profile{})
			mu.Lock()
			defer mu.Unlock()
			serials[got.Serial] = true
			if err == nil {
				prepared++
			}
		})
	}
	wg.Wait()
	if len(serials) != 8 || prepared != 1 {
		t.Errorf("%d serials of 8, one request prepared %d times", len(serials), prepared)
	}
}

func TestASubjectKeyIdentifierIsThatOfTheKey(t *testing.T) {
	key := newKey(t)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(point)
	if _, id, err := describeKey(key.Public()); err != nil || hex.EncodeToString(id) != hex.EncodeToString(sum[:20]) {
		t.Errorf("got %x, %v", id, err)
	}
}

func BenchmarkLintCSR(b *testing.B) {
	c := openCA(b, b.TempDir())
	for _, name := range []string{"p256.pem", "rsa-2048.pem"} {
		csr := csrFile(b, name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.LintCSR(csr, ours); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	c := openCA(b, b.TempDir())
	pub := newKey(b).Public()
	for b.Loop() {
		l, err := c.LintKey(pub)
		if err != nil {
			b.Fatal(err)
		}
		p, err := c.Prepare(l, Profile{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Sign(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}
