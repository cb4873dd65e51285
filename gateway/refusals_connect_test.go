package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
)

// shakes makes a cause of a handshake; what the device saw is the error of its
// own TLS library, or the end.
func shakes(cert func(*scene) tls.Certificate, alpn bool, change ...func(*tls.Config)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		address := x.plain
		if alpn {
			address = x.alpn
		}
		d, err := x.handshakeAt(address, cert(x), change...)
		if err == nil { // TLS 1.3: the server judges after the client is done
			_, err = d.conn.Read(make([]byte, 1))
		}
		var op *net.OpError
		var untrusted *tls.CertificateVerificationError
		switch {
		case errors.As(err, &op) && op.Op == "remote error":
			return d.local(), "alert: " + op.Err.Error()
		case errors.As(err, &untrusted):
			d.tcp.Close()
			return d.local(), "its own alert"
		}
		return d.local(), "socket closed"
	}
}

// speaks makes a cause of bytes that are sent before TLS.
func speaks(b string, closes bool) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		c, err := net.Dial("tcp", x.plain)
		must(x.t, err)
		defer c.Close()
		_, err = c.Write([]byte(b))
		must(x.t, err)
		if closes {
			c.Close()
		} else {
			drain(c)
		}
		return c.LocalAddr().String(), "socket closed"
	}
}

func nobody(*scene) tls.Certificate { return tls.Certificate{} }

// alerts makes a client of TLS 1.2 end the handshake with the alert, as soon
// as it has seen the server's certificate.
func alerts(code byte) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		var d *raw
		tcp, err := net.Dial("tcp", x.plain)
		must(x.t, err)
		d = &raw{t: x.t, tcp: tcp}
		conn := tls.Client(tcp, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error {
				_, _ = tcp.Write([]byte{21, 3, 3, 0, 2, 2, code}) // a fatal alert, in the clear
				return errors.Join(tcp.Close(), errors.New("enough"))
			}})
		_ = conn.Handshake()
		return d.local(), "its own alert"
	}
}

// selfSigned makes a certificate that nobody registered, with the given
// subject.
func selfSigned(t testing.TB, subject pkix.Name) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func foreign(x *scene) tls.Certificate { return selfSigned(x.t, pkix.Name{CommonName: "lock-0"}) }

var tlsCauses = []cause{
	{"no client certificate", once, shakes(nobody, false)},
	{"no client certificate, TLS 1.2", once, shakes(nobody, false, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
	{"a server name that is no endpoint", once, shakes(withDevice, false, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "elsewhere.example", true })},
	{"TLS 1.1", once, shakes(withDevice, false, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })},
	{"another key than the certificate's", once, shakes(func(x *scene) tls.Certificate {
		other, _ := x.device("", allowAll)
		return tls.Certificate{Certificate: x.cert.Certificate, PrivateKey: other.PrivateKey}
	}, false)},
	{"no cipher suite in common", once, shakes(withDevice, false, func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	})},
	{"another ALPN on the ALPN port", once, shakes(withDevice, true, alpn("h2", "x-amzn-foo"))},
	{"no certificate for MQTT on the ALPN port", once, shakes(nobody, true, alpn(alpnMQTT))},
	{"no certificate for HTTPS by ALPN on the ALPN port", once, shakes(nobody, true, alpn(alpnHTTPS))},
	{"the device does not trust the server", once, shakes(withDevice, false, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() })},
	{"the device's clock says 1970", once, shakes(withDevice, false, func(c *tls.Config) { c.Time = func() time.Time { return time.Unix(0, 0) } })},
	{"the device does not trust the server (unknown_ca)", once, alerts(48)},
	{"the device refuses the server's certificate (bad_certificate)", once, alerts(42)},
	{"the device's clock is wrong (certificate_expired)", once, alerts(45)},
	{"MQTT without TLS", once, speaks("\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05plain", false)},
	{"HTTP without TLS", once, speaks("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", false)},
	{"something else than TLS", once, speaks("SSH-2.0-OpenSSH_9.2\r\n", false)},
	{"closed before a word", once, speaks("", true)},
	{"closed in the middle of the ClientHello", once, speaks("\x16\x03\x01\x02\x00\x01\x00\x01", true)},
}

// first makes a cause of the first bytes after the handshake.
func first(digits string) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		d := x.raw(x.cert, mqtt.V311)
		d.hex(digits)
		return d.local(), d.end()
	}
}

var silentCauses = []cause{
	{"no TLS ClientHello in time", once, speaks("", false)},
	{"half a ClientHello", once, speaks("\x16\x03\x01\x02\x00\x01\x00\x01", false)},
}

// silentLater are silent when the handshake is done, which has to be so in time.
var silentLater = []cause{
	{"no CONNECT in time", once, first("")},
	{"half a CONNECT", once, first("10 11 00 04 4d")},
}

func clean(on bool) func(*mqtt.Connect)    { return func(p *mqtt.Connect) { p.CleanStart = on } }
func will(w mqtt.Will) func(*mqtt.Connect) { return func(p *mqtt.Connect) { p.Will = &w } }
func sni(name string) func(c *tls.Config)  { return func(c *tls.Config) { c.ServerName = name } }
func maxPacket(n uint32) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) { p.Properties.MaximumPacketSize = mqtt.Some(n) }
}

// connectsAs is connects under another server name; the empty one sends none.
func connectsAs(name string, cert func(*scene) tls.Certificate) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		d := x.raw(cert(x), v, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = name, true })
		d.connect("lock-0")
		return d.local(), d.end()
	}
}

func expired(x *scene) tls.Certificate {
	cert, _ := x.rig.claim("fleet", time.Minute)
	x.advance(2 * time.Minute)
	return cert
}

func notYet(x *scene) tls.Certificate {
	x.advance(24 * time.Hour)
	cert, _ := x.device("", allowAll)
	x.advance(-24 * time.Hour)
	return cert
}

func unregistered(x *scene) tls.Certificate {
	cert, _ := x.pending(arn.Default)
	return cert
}

const (
	onlyTopics  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:000000000000:topic/*"}]}`
	denyConnect = `{"Version":"2012-10-17","Statement":[{"Sid":"NotNow","Effect":"Deny","Action":"iot:Connect","Resource":"*"}]}`
	onlyConnect = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
)

var connectCauses = []cause{
	{"the first packet is no CONNECT", once, first("c0 00")},
	{"HTTP within TLS", once, first("47 45 54 20 2f 20 48 54 54 50")},
	{"TLS within TLS", once, first("16 03 01 02 00 01 00 01 fc 03 03")},
	{"MQTT 3.1", once, first("10 10 00 06 4d 51 49 73 64 70 03 02 00 3c 00 02 61 62")},
	{"protocol level 3", once, first("10 0e 00 04 4d 51 54 54 03 02 00 3c 00 02 61 62")},
	{"protocol level 6", once, first("10 0e 00 04 4d 51 54 54 06 02 00 3c 00 02 61 62")},
	{"a CONNECT of more than 16 KiB", mqtt.V311, connects(withDevice, "big", func(p *mqtt.Connect) { p.Username = mqtt.Some(strings.Repeat("u", 17_000)) })},
	{"an empty client id in a session that is not clean", mqtt.V311, connects(withDevice, "", clean(false))},
	{"a client id that begins with $", 0, connects(withDevice, "$GEN/1")},
	{"a client id of 129 bytes", 0, connects(withDevice, strings.Repeat("x", 129))},
	{"a maximum packet size of 100 bytes", mqtt.V5, connects(withDevice, "small", maxPacket(100))},
	{"user properties of more than 8 KiB in CONNECT", mqtt.V5, connects(withDevice, "wordy", func(p *mqtt.Connect) { p.Properties.User = manyWords() })},
	{"an authentication method", mqtt.V5, connects(withDevice, "auth", func(p *mqtt.Connect) { p.Properties.AuthMethod = mqtt.Some("SCRAM-SHA-1") })},
	{"a certificate that nobody registered", 0, connects(foreign, "lock-0")},
	{"a certificate that nobody registered, and no server name", 0, connectsAs("", foreign)},
	{"a certificate of another account than the server name's", 0, connectsAs("other.localhost", withDevice)},
	{"a certificate that RegisterThing has not seen", 0, connects(unregistered, "lock-0")},
	{"an INACTIVE certificate", 0, connects(with(certs.Inactive), "lock-0")},
	{"a REVOKED certificate", 0, connects(with(certs.Revoked), "lock-0")},
	{"an expired certificate", 0, connects(expired, "lock-0")},
	{"a certificate from the future", 0, connects(notYet, "lock-0")},
	{"no policy", 0, connects(under(), "lock-0")},
	{"a policy that allows iot:Connect on topics", 0, connects(under(onlyTopics), "lock-0")},
	{"a policy for another client id", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, _ := x.device(x.name(), devicePolicy)
		return connects(func(*scene) tls.Certificate { return cert }, "lock-0")(x, v)
	}},
	{"a policy that denies", 0, connects(under(allowAll, denyConnect), "lock-0")},
	{"a will of QoS 2", 0, connects(withDevice, "will", will(mqtt.Will{Topic: "w", QoS: 2}))},
	{"a will on a reserved topic", 0, connects(withDevice, "will", will(mqtt.Will{Topic: "$aws/events/presence/connected/me"}))},
	{"a will whose topic has too many levels", 0, connects(withDevice, "will", will(mqtt.Will{Topic: "1/2/3/4/5/6/7/8/9"}))},
	{"a will that may not be published", 0, connects(under(onlyConnect), "will", will(mqtt.Will{Topic: "w", QoS: 1}))},
	{"a claim with the client id of a provisioned device", 0, func(x *scene, v mqtt.Version) (string, string) {
		holder := x.online(x.cert, "lock-0", v)
		defer holder.tcp.Close()
		return connects(func(x *scene) tls.Certificate { return x.claim }, "lock-0")(x, v)
	}},
	{"the store fails", 0, func(x *scene, v mqtt.Version) (string, string) {
		x.store.broken.Store(true)
		defer x.store.broken.Store(false)
		return connects(withDevice, "lock-0")(x, v)
	}},
}
