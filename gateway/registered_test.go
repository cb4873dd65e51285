package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

// brought registers the certificate without its CA, ACTIVE, in the tenant, with
// all rights.
func (x *scene) brought(t arn.Tenant, c certtest.Cert) arn.CertID {
	x.t.Helper()
	leaf, err := certs.Read("The certificate", c.PEM)
	must(x.t, err)
	x.update(func(ctx context.Context, tx store.Tx) error {
		_, err := certs.RegisterWithoutCA(ctx, tx, t, leaf, certs.Active, x.now())
		return err
	})
	x.allow(t, leaf.ID())
	return leaf.ID()
}

func (x *scene) allow(t arn.Tenant, id arn.CertID) {
	x.t.Helper()
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Ensure(ctx, tx, t, "all", allowAll, x.now()); err != nil {
			return err
		}
		return policy.Attach(ctx, tx, t, "all", t.Cert(id), x.now())
	})
}

// signedBy registers the CA in SNI_ONLY mode, or in DEFAULT mode with proof,
// and the leaf under it.
func (x *scene) signedBy(ca, leaf certtest.Cert, mode string) (*certs.Authority, arn.CertID) {
	x.t.Helper()
	const code = "the code"
	proof := ""
	if mode == certs.DefaultMode {
		proof = ca.Sign(x.t, code).PEM
	}
	a, proved, err := certs.ReadAuthority(ca.PEM, proof, mode, x.now())
	must(x.t, err)
	a.Tenant, a.Status = arn.Default, certs.Active
	f, err := certs.Read("The certificate", leaf.PEM)
	must(x.t, err)
	x.update(func(ctx context.Context, tx store.Tx) error {
		if _, err := certs.EnsureCode(ctx, tx, arn.Default, code); err != nil {
			return err
		}
		if err := certs.AddAuthority(ctx, tx, a, proved, x.now()); err != nil {
			return err
		}
		_, err := certs.Register(ctx, tx, arn.Default, f, nil, certs.Active, x.now())
		return err
	})
	x.allow(arn.Default, f.ID())
	return a, f.ID()
}

func signer(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	return key
}

// TestCertificatesBroughtAlongConnect holds that no chain is asked for: a
// registered leaf is enough, whoever signed it and whatever for.
func TestCertificatesBroughtAlongConnect(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	none := func(*tls.Config) {}
	for _, c := range []struct {
		name   string
		cert   certtest.Cert
		change func(*tls.Config)
	}{
		{"self-signed", certtest.SelfSigned(t, "lamp", certtest.EC(t)), none},
		{"self-signed, TLS 1.2", certtest.SelfSigned(t, "lamp", certtest.EC(t)), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"self-signed as openssl does, a CA to itself", certtest.CA(t, "lamp"), none},
		{"of a CA that nobody knows", ca.Sign(t, "lamp"), none},
		{"RSA", ca.SignKey(t, "lamp", rsaKey), none},
		{"RSA, TLS 1.2", ca.SignKey(t, "lamp-12", rsaKey), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"RSA, signed with PSS", certtest.SelfSigned(t, "lamp", rsaKey, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }), none},
		{"P-384", ca.SignKey(t, "lamp", signer(t, elliptic.P384())), none},
		{"P-521", ca.SignKey(t, "lamp", signer(t, elliptic.P521())), none},
		{"for servers, by its extended key usage", ca.Sign(t, "lamp", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), none},
		{"with a critical extension that nobody knows", ca.Sign(t, "lamp", unknownExtension), none},
		{"with its CA sent along", ca.Sign(t, "lamp"), func(c *tls.Config) {
			c.Certificates[0].Certificate = append(c.Certificates[0].Certificate[:1:1], ca.Raw)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.within(t)
			x.brought(arn.Default, c.cert)
			d, err := x.handshakeAt(x.plain, c.cert.TLS(), c.change)
			must(t, err)
			d.version = mqtt.V311
			d.connect(x.name())
			if !d.accepted() {
				t.Error("it was not accepted")
			}
		})
	}
}

func unknownExtension(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
}

func TestACertificateInSeveralAccountsConnectsByName(t *testing.T) {
	x := newScene(t, Limits{})
	leaf := certtest.SelfSigned(t, "lamp", certtest.EC(t))
	id := x.brought(x.other, leaf)
	d := x.raw(leaf.TLS(), mqtt.V5)
	d.connect("lamp")
	if saw := d.end(); !strings.HasPrefix(saw, "CONNACK 0x87") {
		t.Errorf("in an account where it is not registered: %s", saw)
	}
	x.brought(arn.Default, leaf)
	for name, tenant := range map[string]arn.Tenant{"localhost": arn.Default, "other.localhost": x.other} {
		d := x.raw(leaf.TLS(), mqtt.V5, sni(name))
		d.connect("lamp")
		if !d.accepted() || len(x.gateway.hub.ofCert(tenant, id)) != 1 {
			t.Errorf("it has no session in account %s", tenant.Account)
		}
	}
	nameless := x.raw(leaf.TLS(), mqtt.V5, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })
	nameless.connect("lamp")
	if saw := nameless.end(); !strings.HasPrefix(saw, "CONNACK 0x87") || !strings.Contains(saw, "SNI_ONLY mode") {
		t.Errorf("without a server name: %s", saw)
	}
}

// TestWhatACABecomesCutsNobody holds that the CA is asked when a leaf is
// registered, and never again.
func TestWhatACABecomesCutsNobody(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	leaf := ca.Sign(t, "lamp")
	a, id := x.signedBy(ca, leaf, certs.DefaultMode)
	first := x.raw(leaf.TLS(), mqtt.V5, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })
	first.connect("lamp")
	if !first.accepted() {
		t.Fatal("a certificate in DEFAULT mode needs no server name, and was not accepted")
	}
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := certs.ChangeAuthority(ctx, tx, a.Tenant, a.ID, certs.AuthorityChange{Status: certs.Inactive}, x.now()); err != nil {
			return err
		}
		return certs.DropAuthority(ctx, tx, a.Tenant, a.ID)
	})
	second := x.raw(leaf.TLS(), mqtt.V5)
	second.connect("lamp-2")
	if !second.accepted() || len(x.gateway.hub.ofCert(arn.Default, id)) != 2 {
		t.Error("its CA was deleted, and it was not accepted again")
	}
	x.update(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if err != nil {
			return err
		}
		return certs.SetStatus(ctx, tx, c, certs.Inactive, x.now())
	})
	third := x.raw(leaf.TLS(), mqtt.V5)
	third.connect("lamp-3")
	if saw := third.end(); !strings.HasPrefix(saw, "CONNACK 0x87") || !strings.Contains(saw, "INACTIVE") {
		t.Errorf("INACTIVE: %s", saw)
	}
}
