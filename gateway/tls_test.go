package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
)

// accepted says whether CONNECT was accepted.
func (d *raw) accepted() bool {
	d.t.Helper()
	a, ok := d.packet().(*mqtt.Connack)
	return ok && a.Code == mqtt.Success
}

func alpn(names ...string) func(*tls.Config) { return func(c *tls.Config) { c.NextProtos = names } }

func TestHandshakesOfRealClientsPass(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct {
		name   string
		alpn   bool
		change func(*tls.Config)
	}{
		{"Go's own", false, func(*tls.Config) {}},
		{"TLS 1.2", false, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"TLS 1.2 with P-256 alone, as mbedTLS", false, func(c *tls.Config) {
			c.MaxVersion, c.CurvePreferences = tls.VersionTLS12, []tls.CurveID{tls.CurveP256}
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}},
		{"TLS 1.2 with AES-CBC-SHA", false, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}},
		{"TLS 1.3 with X25519 alone", false, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }},
		{"ALPN x-amzn-mqtt-ca on the plain port, as the JavaScript SDK", false, alpn("x-amzn-mqtt-ca")},
		{"any ALPN on the plain port", false, alpn("mqtt", "h2")},
		{"ALPN x-amzn-mqtt-ca on the ALPN port", true, alpn("x-amzn-mqtt-ca")},
		{"ALPN among others on the ALPN port", true, alpn("http/1.1", "x-amzn-mqtt-ca")},
		{"no server name, for a certificate in DEFAULT mode", false, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true }},
		{"a chain with the CA behind the leaf, as mosquitto", false, func(c *tls.Config) {
			block, _ := pem.Decode(x.ca.ServerRootPEM())
			chain := append(c.Certificates[0].Certificate[:1:1], block.Bytes)
			c.Certificates = []tls.Certificate{{Certificate: chain, PrivateKey: c.Certificates[0].PrivateKey}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.within(t)
			address := x.plain
			if c.alpn {
				address = x.alpn
			}
			d, err := x.handshakeAt(address, x.cert, c.change)
			must(t, err)
			d.version = mqtt.V311
			d.connect(x.name())
			if !d.accepted() {
				t.Error("it was not accepted")
			}
		})
	}
}

func TestOnlyTheLeafSaysWhoADeviceIs(t *testing.T) {
	x := newScene(t, Limits{})
	stranger := selfSigned(t, pkix.Name{CommonName: "lock-0"})
	for name, chain := range map[string][][]byte{
		"a registered certificate behind a foreign leaf": {stranger.Certificate[0], x.cert.Certificate[0]},
		"a copied subject": {stranger.Certificate[0]},
	} {
		d := x.raw(tls.Certificate{Certificate: chain, PrivateKey: stranger.PrivateKey}, mqtt.V5)
		d.connect("lock-0")
		if saw := d.end(); !strings.HasPrefix(saw, "CONNACK 0x87") {
			t.Errorf("%s: %s", name, saw)
		}
	}
}

func TestSessionsAreNeverResumed(t *testing.T) {
	x := newScene(t, Limits{})
	cache := tls.NewLRUClientSessionCache(8)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for range 2 {
			d := x.raw(x.cert, mqtt.V311, func(c *tls.Config) {
				c.ClientSessionCache, c.MinVersion, c.MaxVersion = cache, version, version
			})
			d.connect(x.name())
			if !d.accepted() || d.conn.ConnectionState().DidResume {
				t.Errorf("%s: resumed: %v", tls.VersionName(version), d.conn.ConnectionState().DidResume)
			}
		}
	}
}

// TestADeviceCannotPoseAsTheServer serves with a device's certificate; a device
// that holds root-ca.pem turns away.
func TestADeviceCannotPoseAsTheServer(t *testing.T) {
	x := newScene(t, Limits{})
	fake := &fixedNames{tenants: x.names.tenants, shown: &x.cert}
	posing := New(Config{DB: x.store, Names: fake, Provision: x.engine, Journal: x.journal, Now: x.now, Log: x.gateway.Log})
	defer posing.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go posing.Serve(ln, Plain)
	o := x.options(x.cert, "victim", mqtt.V5)
	o.Address = ln.Addr().String()
	_, err = client.Dial(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the client believed a device: %v", err)
	}
	block, _ := pem.Decode(x.ca.ServerRootPEM())
	root, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	leaf, err := x509.ParseCertificate(x.cert.Certificate[0])
	must(t, err)
	if leaf.CheckSignatureFrom(root) == nil {
		t.Error("the root that devices pin signed a device's certificate")
	}
}

func TestServerNamesPickTheTenant(t *testing.T) {
	x := newScene(t, Limits{})
	key, id := x.foreigner()
	d := x.raw(key, mqtt.V5, sni("other.localhost"))
	d.connect("abroad")
	if !d.accepted() {
		t.Fatal("a device of the other account was not accepted under its own name")
	}
	if len(x.gateway.hub.ofCert(x.other, id)) != 1 || len(x.gateway.hub.ofCert(arn.Default, id)) != 0 {
		t.Error("its session stands in the wrong account")
	}
	t.Run("and accounts hear nothing of each other", func(t *testing.T) {
		x.within(t)
		d.send(subscribe("#", "end"))
		await[*mqtt.Suback](d)
		at := x.connected(x.cert, mqtt.V5)
		at.send(publish("secret", nil))
		await[*mqtt.Puback](at)
		d.send(publish("end", nil))
		if got := d.messages("end"); len(got) != 0 {
			t.Errorf("it heard %s", got[0].Topic)
		}
	})
	t.Run("nor may one use another's name", func(t *testing.T) {
		x.within(t)
		d := x.raw(key, mqtt.V5)
		d.connect("abroad")
		if saw := d.end(); !strings.HasPrefix(saw, "CONNACK 0x87") {
			t.Errorf("the device saw %s", saw)
		}
	})
}

// foreigner makes a device of the other account that may do everything.
func (x *scene) foreigner() (tls.Certificate, arn.CertID) {
	x.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(x.t, err)
	csr, err := sim.CSR(key, "foreigner")
	must(x.t, err)
	c, err := x.engine.IssueFromCSR(context.Background(), x.other, string(csr), true)
	must(x.t, err)
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Ensure(ctx, tx, x.other, "all", allowAll, x.now()); err != nil {
			return err
		}
		return policy.Attach(ctx, tx, x.other, "all", x.other.Cert(c.ID), x.now())
	})
	pair, err := tls.X509KeyPair([]byte(c.PEM), keyPEM(x.t, key))
	must(x.t, err)
	return pair, c.ID
}
