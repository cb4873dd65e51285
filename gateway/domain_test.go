package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/tenants"
)

// Which TLS a domain configuration's policy lets in (device-gateway.md, section
// 2.1), for each version of a client.
func TestTLSPoliciesOfDomains(t *testing.T) {
	x := newScene(t, Limits{})
	versions := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	for policy, passes := range map[string]string{
		access.TLS13From12: "--23", access.TLS13FIPS: "--23", access.TLS13: "---3",
		access.TLS12: "--2-", access.TLS12From10: "012-", access.TLS12Old: "012-",
	} {
		t.Run(policy, func(t *testing.T) {
			x.within(t)
			x.configure(access.ByDefault, access.ByDefault, policy)
			for i, version := range versions {
				d, err := x.handshake(x.cert, named(site), func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
				if want := passes[i] != '-'; (err == nil) != want {
					t.Errorf("%s: %v", tls.VersionName(version), err)
				}
				if err == nil {
					d.version = mqtt.V5
					if d.connect(x.name()); !d.accepted() {
						t.Errorf("%s: CONNECT was refused", tls.VersionName(version))
					}
				}
			}
		})
	}
	t.Run("a name without a configuration keeps the default", func(t *testing.T) {
		x.within(t)
		if _, err := x.handshake(x.cert, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err != nil {
			t.Error(err)
		}
	})
	t.Run("without a server name the policy of the endpoint holds too", func(t *testing.T) {
		x.within(t)
		unnamed := func() bool {
			d := x.raw(x.cert, mqtt.V5, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })
			d.connect(x.name())
			return d.accepted()
		}
		if !unnamed() {
			t.Error("it was refused before anything was changed")
		}
		x.names.mu.Lock()
		x.names.standing = &access.Domain{Name: access.DataEndpoint, TLSPolicy: access.TLS13}
		x.names.mu.Unlock()
		if unnamed() {
			t.Error("it was admitted")
		}
	})
}

// What a domain configuration serves, at each port (device-gateway.md, section
// 1.1): MQTT with and without a certificate, a WebSocket, and a publication over
// HTTPS with and without a certificate.
func TestWhatADomainServes(t *testing.T) {
	x := newScene(t, Limits{})
	x.authorizer("door", false)
	x.judge.says("good", "bearer7", allowAll)
	x.signers.add(Caller{Tenant: arn.Default, KeyID: "AKIAONE", Role: tenants.Admin})
	for _, c := range []struct {
		authentication, protocol string
		mqtt, shared, https      string // what passes at each port
	}{
		{access.X509, access.SecureMQTT, "M", "M", ""},
		{access.X509, access.HTTPS, "", "H", "H"},
		{access.Custom, access.SecureMQTT, "m", "m", ""},
		{access.Custom, access.WebSocket, "", "w", ""},
		{access.Custom, access.HTTPS, "", "h", "h"},
		{access.CustomX509, access.SecureMQTT, "M", "M", ""},
		{access.CustomX509, access.HTTPS, "", "H", "H"},
		{access.SigV4, access.WebSocket, "", "s", ""},
		{access.SigV4, access.HTTPS, "", "", ""},
	} {
		t.Run(c.authentication+" "+c.protocol, func(t *testing.T) {
			x.within(t)
			x.configure(c.authentication, c.protocol, access.TLS13From12)
			for _, port := range []struct{ name, address, want string }{
				{"the MQTT port", x.plain, c.mqtt}, {"the shared port", x.alpn, c.shared}, {"the HTTPS port", x.https, c.https},
			} {
				if got := x.ways(port.address); got != port.want {
					t.Errorf("%s: %q came in, want %q", port.name, got, port.want)
				}
			}
		})
	}
}

// ways tries every way in at a port by the name of the domain, and gives those
// that pass: M and m MQTT with and without a certificate, w and s a WebSocket
// without and with a signature, H and h HTTPS with and without a certificate.
func (x *scene) ways(address string) (passed string) {
	x.t.Helper()
	for _, way := range []struct {
		letter string
		cert   tls.Certificate
		try    func(d *raw) bool
	}{
		{"M", x.cert, func(d *raw) bool { return d.speaksMQTT(x.name()) }},
		{"m", tls.Certificate{}, func(d *raw) bool { return d.speaksMQTT(x.name()) }},
		{"w", tls.Certificate{}, func(d *raw) bool { return d.upgrades("/mqtt", "password: good") }},
		{"s", tls.Certificate{}, func(d *raw) bool { return d.upgrades("/mqtt?X-Amz-Credential=AKIAONE&X-Amz-Signature=0") }},
		{"H", x.cert, func(d *raw) bool { return d.posts("password: good") }},
		{"h", tls.Certificate{}, func(d *raw) bool { return d.posts("password: good") }},
	} {
		d, err := x.handshakeAt(address, way.cert, named(site))
		if err != nil {
			continue
		}
		d.version = mqtt.V5
		if way.try(d) {
			passed += way.letter
		}
	}
	// With a certificate in its hands that nobody asks for, a client comes in as
	// one without.
	return strings.NewReplacer("Mm", "m", "Hh", "h").Replace(passed)
}

// speaksMQTT says whether CONNECT is answered with a CONNACK that accepts. The
// empty lines end what an HTTP server takes for the head of a request.
func (d *raw) speaksMQTT(clientID string) bool {
	d.t.Helper()
	d.connect(clientID, shows("", "good"))
	d.bytes([]byte("\r\n\r\n"))
	var head [4]byte // type, length, flags, code
	_, err := io.ReadFull(d.conn, head[:])
	return err == nil && head[0] == byte(mqtt.CONNACK)<<4 && head[3] == 0
}

func (d *raw) upgrades(target string, headers ...string) bool {
	d.t.Helper()
	return d.answered(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", target, strings.Join(handshakeHeaders(headers...), "\r\n"))) == http.StatusSwitchingProtocols
}

func (d *raw) posts(headers ...string) bool {
	d.t.Helper()
	return d.answered(fmt.Sprintf("POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\n\r\n{}", strings.Join(headers, "\r\n"))) == http.StatusOK
}

func TestADisabledDomain(t *testing.T) {
	x := newScene(t, Limits{})
	x.configure(access.ByDefault, access.ByDefault, access.TLS13From12)
	came := x.raw(x.cert, mqtt.V5, named(site))
	came.connect("came")
	other := x.online(x.cert, "other", mqtt.V5)
	if !came.accepted() {
		t.Fatal("CONNECT was refused")
	}
	waiting := x.raw(x.cert, mqtt.V5, named(site))
	x.closeDomain()
	t.Run("its connections are cut, and no others", func(t *testing.T) {
		if got := came.end(); !strings.Contains(got, "Domain configuration site is DISABLED") {
			t.Errorf("it saw %s", got)
		}
		if !other.alive() {
			t.Error("another was cut")
		}
	})
	t.Run("whoever was in the handshake does not get in", func(t *testing.T) {
		if waiting.connect("waiting"); waiting.accepted() {
			t.Error("it was admitted")
		}
	})
	t.Run("its name lets nobody in", func(t *testing.T) {
		if _, err := x.handshake(x.cert, named(site)); err == nil {
			t.Error("it did")
		}
	})
}
