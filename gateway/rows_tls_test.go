package gateway

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// A clientHello offers one version and one cipher suite, which no TLS library
// lets one choose freely.
func clientHello(t testing.TB, version, suite uint16) []byte {
	t.Helper()
	u16 := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
	with := func(b []byte) []byte { return append(u16(len(b)), b...) } // behind its length
	ext := func(kind int, body []byte) []byte { return append(u16(kind), with(body)...) }
	random, share := make([]byte, 32), make([]byte, 32)
	rand.Read(random)
	rand.Read(share)
	name := []byte("localhost")
	extensions := ext(0, with(append([]byte{0}, with(name)...)))                      // server name
	extensions = append(extensions, ext(10, with(append(u16(29), u16(23)...)))...)    // X25519, P-256
	extensions = append(extensions, ext(11, []byte{1, 0})...)                         // uncompressed points
	extensions = append(extensions, ext(13, with([]byte{4, 3, 8, 4, 4, 1, 5, 3}))...) // signatures
	if version == tls.VersionTLS13 {
		extensions = append(extensions, ext(43, append([]byte{2}, u16(int(version))...))...)
		extensions = append(extensions, ext(51, with(append(u16(29), with(share)...)))...)
	}
	body := append(u16(min(int(version), tls.VersionTLS12)), random...)
	body = append(body, 0) // no session
	body = append(body, with(u16(int(suite)))...)
	body = append(body, 1, 0) // no compression
	body = append(body, with(extensions)...)
	handshake := append([]byte{1, 0}, with(body)...)
	return append([]byte{22, 3, 1}, with(handshake)...)
}

// answered sends a ClientHello and gives what the server chose, or the alert.
func (x *scene) answered(version, suite uint16) string {
	x.t.Helper()
	c, err := net.Dial("tcp", x.plain)
	must(x.t, err)
	defer c.Close()
	must(x.t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write(clientHello(x.t, version, suite))
	must(x.t, err)
	header := make([]byte, 5)
	_, err = io.ReadFull(c, header)
	must(x.t, err)
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	_, err = io.ReadFull(c, body)
	must(x.t, err)
	if header[0] == 21 {
		return fmt.Sprintf("alert %d", body[1])
	}
	session := int(body[38]) // behind type, length, version and random
	return tls.CipherSuiteName(binary.BigEndian.Uint16(body[39+session:]))
}

// The suites of device-gateway.md, section 2.1. The server's certificate is
// ECDSA, and what Go's TLS cannot do, or does only at risk, is in
// docs/divergences.md.
func TestCipherSuites(t *testing.T) {
	x := newScene(t, Limits{})
	const none = "alert 40" // handshake_failure
	for _, c := range []struct {
		name           string
		version, suite uint16
		served         bool
	}{
		{"TLS_AES_128_GCM_SHA256", tls.VersionTLS13, 0x1301, true},
		{"TLS_AES_256_GCM_SHA384", tls.VersionTLS13, 0x1302, true},
		{"TLS_CHACHA20_POLY1305_SHA256", tls.VersionTLS13, 0x1303, true},
		{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS12, 0xc02b, true},
		{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", tls.VersionTLS12, 0xc02c, true},
		{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", tls.VersionTLS12, 0xc009, true},
		{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", tls.VersionTLS12, 0xc00a, true},
		{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", tls.VersionTLS12, 0xcca9, true},
		{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", tls.VersionTLS12, 0xc023, false},
		{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", tls.VersionTLS12, 0xc024, false},
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS12, 0xc02f, false},
		{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", tls.VersionTLS12, 0xc030, false},
		{"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", tls.VersionTLS12, 0xc013, false},
		{"TLS_RSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS12, 0x009c, false},
		{"TLS_RSA_WITH_AES_256_GCM_SHA384", tls.VersionTLS12, 0x009d, false},
		{"TLS_RSA_WITH_AES_128_CBC_SHA", tls.VersionTLS12, 0x002f, false},
	} {
		want := none
		if c.served {
			want = c.name
		}
		if got := x.answered(c.version, c.suite); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}

// Any issuer may have signed a device's certificate, so the server names none.
func TestTheServerAsksForACertificateOfAnyIssuer(t *testing.T) {
	x := newScene(t, Limits{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		asked := false
		_, err := x.handshake(tls.Certificate{}, func(c *tls.Config) {
			c.MaxVersion = version
			c.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if asked = true; len(r.AcceptableCAs) != 0 {
					t.Errorf("%s: the server names %d issuers", tls.VersionName(version), len(r.AcceptableCAs))
				}
				return &x.cert, nil
			}
		})
		if err != nil || !asked {
			t.Errorf("%s: asked %v, %v", tls.VersionName(version), asked, err)
		}
	}
}

// Who offers the versions that only AWS's legacy policies have is refused.
func TestVersionsBefore12AreRefused(t *testing.T) {
	x := newScene(t, Limits{})
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		_, err := x.handshake(x.cert, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		var alert *net.OpError
		if !errors.As(err, &alert) || alert.Op != "remote error" {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// IPv4 and IPv6 are served alike. Where the machine has no IPv6, it cannot be
// listened on, and nobody can come that way.
func TestBothFamiliesAreServed(t *testing.T) {
	x := newScene(t, Limits{})
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		go x.gateway.Serve(ln, Plain)
		d, err := x.handshakeAt(ln.Addr().String(), x.cert)
		must(t, err)
		d.version = mqtt.V5
		d.connect(x.name())
		if !d.accepted() {
			t.Errorf("%s: it was not accepted", address)
		}
	}
}
