package mqttlink

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// A peer is the server's end of one connection, driven by a test.
type peer struct {
	t       *testing.T
	conn    *tls.Conn
	reader  *mqtt.Reader
	version mqtt.Version
}

func (p *peer) send(packet mqtt.Packet) {
	b, err := mqtt.Append(nil, packet, p.version)
	if err != nil {
		p.t.Error(err)
	}
	_, _ = p.conn.Write(b)
}

// next reads a packet; nil means that the device has gone. Pings, which the
// MQTT 5 library sends from the start, are answered on the way.
func (p *peer) next() mqtt.Packet {
	for {
		packet, err := p.reader.Next(p.version)
		if err != nil {
			return nil
		}
		if packet.Type() != mqtt.PINGREQ {
			return packet
		}
		p.send(&mqtt.Pingresp{})
	}
}

// greet takes CONNECT and accepts it.
func (p *peer) greet() *mqtt.Connect {
	connect, ok := p.next().(*mqtt.Connect)
	if !ok {
		return nil
	}
	p.version = connect.Version
	p.send(&mqtt.Connack{})
	return connect
}

func because(sentence string) mqtt.Properties {
	return mqtt.Properties{ReasonString: mqtt.Some(sentence)}
}

// listen starts a server for one connection and gives the options to reach it.
// The script has ended when the test ends.
func listen(t *testing.T, v mqtt.Version, script func(*peer)) Options {
	t.Helper()
	server, roots := newCertificate(t, "127.0.0.1")
	client, _ := newCertificate(t, "claim")
	config := &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		script(&peer{t: t, conn: conn.(*tls.Conn), reader: mqtt.NewReader(conn, 1<<16), version: v})
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return Options{Host: host, Port: port, ClientID: "device-1", Version: v,
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{client}}}
}

func newCertificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// bothVersions runs a test on each version of MQTT.
func bothVersions(t *testing.T, f func(t *testing.T, v mqtt.Version)) {
	for name, v := range map[string]mqtt.Version{"over MQTT 5": V5, "over MQTT 3.1.1": V311} {
		t.Run(name, func(t *testing.T) { f(t, v) })
	}
}

func mustConnect(t *testing.T, o Options) Link {
	t.Helper()
	l, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// wantError compares the parts that the agent looks at.
func wantError(t *testing.T, err error, cause Cause, code mqtt.ReasonCode, words string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Cause != cause || e.Code != code || !strings.Contains(e.Error(), words) {
		t.Errorf("got %#v (%v), want cause %d, code %d, %q", e, err, cause, code, words)
	}
}

func TestARequestAndItsAnswer(t *testing.T) {
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		var connect *mqtt.Connect
		var bye mqtt.Packet
		ended := make(chan struct{})
		o := listen(t, v, func(p *peer) {
			defer close(ended)
			connect = p.greet()
			for packet := p.next(); packet != nil; packet = p.next() {
				switch q := packet.(type) {
				case *mqtt.Subscribe:
					p.send(&mqtt.Suback{PacketID: q.PacketID, Codes: []mqtt.ReasonCode{1, 1}})
				case *mqtt.Publish: // the answer overtakes the acknowledgement
					p.send(&mqtt.Publish{Topic: q.Topic + "/accepted", QoS: 1, PacketID: 7, Payload: q.Payload})
					p.send(&mqtt.Puback{PacketID: q.PacketID})
				case *mqtt.Disconnect:
					bye = q
					return
				}
			}
		})
		l := mustConnect(t, o)
		if err := l.Subscribe(t.Context(), "q/accepted", "q/rejected"); err != nil {
			t.Fatal(err)
		}
		if err := l.Publish(t.Context(), "q", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if m := <-l.Messages(); m.Topic != "q/accepted" || string(m.Payload) != "hello" {
			t.Errorf("got %+v", m)
		}
		l.Close()
		<-l.Done()
		<-ended
		if connect == nil || connect.ClientID != "device-1" || !connect.CleanStart || connect.Version != v || bye == nil {
			t.Errorf("the server saw %+v and then %+v", connect, bye)
		}
	})
}

func TestConnectIsRefused(t *testing.T) {
	t.Run("over MQTT 5 with the server's words", func(t *testing.T) {
		o := listen(t, V5, func(p *peer) {
			p.next()
			p.send(&mqtt.Connack{Code: mqtt.NotAuthorized, Properties: because("Certificate 12 expired.")})
		})
		_, err := Connect(t.Context(), o)
		wantError(t, err, Refused, mqtt.NotAuthorized, "Certificate 12 expired.")
	})
	t.Run("over MQTT 3.1.1 with a code", func(t *testing.T) {
		o := listen(t, V311, func(p *peer) {
			p.next()
			p.send(&mqtt.Connack{Code: mqtt.RefusedNotAuthorized})
		})
		_, err := Connect(t.Context(), o)
		wantError(t, err, Refused, mqtt.NotAuthorized, "CONNECT")
	})
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		_, err := Connect(t.Context(), listen(t, v, func(p *peer) { p.next() }))
		wantError(t, err, Closed, 0, "without a word during CONNECT")
	})
}

func TestASubscriptionIsRefused(t *testing.T) {
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		l := mustConnect(t, listen(t, v, func(p *peer) {
			p.greet()
			if q, ok := p.next().(*mqtt.Subscribe); ok {
				p.send(&mqtt.Suback{PacketID: q.PacketID, Codes: []mqtt.ReasonCode{1, mqtt.NotAuthorized}})
			}
			p.next()
		}))
		wantError(t, l.Subscribe(t.Context(), "a", "b"), Refused, mqtt.NotAuthorized, "SUBSCRIBE to ")
	})
}

func TestAPublishIsRefused(t *testing.T) {
	t.Run("over MQTT 5 in its acknowledgement", func(t *testing.T) {
		l := mustConnect(t, listen(t, V5, func(p *peer) {
			p.greet()
			if q, ok := p.next().(*mqtt.Publish); ok {
				p.send(&mqtt.Puback{PacketID: q.PacketID, Code: mqtt.NotAuthorized, Properties: because("no statement allows it")})
			}
			p.next()
		}))
		wantError(t, l.Publish(t.Context(), "q", nil), Refused, mqtt.NotAuthorized, "no statement allows it")
	})
	t.Run("over MQTT 5 by DISCONNECT", func(t *testing.T) {
		l := mustConnect(t, listen(t, V5, func(p *peer) {
			p.greet()
			p.next()
			p.send(&mqtt.Disconnect{Code: mqtt.NotAuthorized, Properties: because("no statement allows it")})
		}))
		wantError(t, l.Publish(t.Context(), "q", nil), Refused, mqtt.NotAuthorized, "no statement allows it")
		<-l.Done()
		wantError(t, l.Err(), Refused, mqtt.NotAuthorized, "no statement allows it")
	})
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		l := mustConnect(t, listen(t, v, func(p *peer) {
			p.greet()
			p.next()
		}))
		wantError(t, l.Publish(t.Context(), "q", nil), Closed, 0, "without a word")
	})
}

func TestAConnectionThatEndsSaysSo(t *testing.T) {
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		l := mustConnect(t, listen(t, v, func(p *peer) { p.greet() }))
		<-l.Done()
		wantError(t, l.Err(), Closed, 0, "without a word")
	})
	t.Run("and until then says nothing", func(t *testing.T) {
		l := mustConnect(t, listen(t, V5, func(p *peer) { p.greet(); p.next() }))
		if l.Err() != nil {
			t.Error(l.Err())
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		ctx, giveUp := context.WithCancel(t.Context())
		_, err := Connect(ctx, listen(t, v, func(p *peer) {
			p.next()
			giveUp()
			p.next()
		}))
		wantError(t, err, TimedOut, 0, "CONNECT")
	})
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		ctx, giveUp := context.WithCancel(t.Context())
		l := mustConnect(t, listen(t, v, func(p *peer) {
			p.greet()
			p.next()
			giveUp()
			p.next()
		}))
		wantError(t, l.Subscribe(ctx, "a"), TimedOut, 0, "SUBSCRIBE")
	})
}

func TestTLS(t *testing.T) {
	t.Run("a server that no root vouches for is not trusted", func(t *testing.T) {
		o := listen(t, V5, func(p *peer) { p.next() })
		_, o.TLS.RootCAs = newCertificate(t, "other")
		_, err := Connect(t.Context(), o)
		wantError(t, err, Untrusted, 0, "certificate is not accepted")
	})
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		// The verdict on the client's certificate: a TLS 1.3 server gives it after
		// the client's side of the handshake is over. The server lingers, since an
		// alert that is followed by a reset may be lost on its way.
		o := listen(t, v, func(p *peer) {
			p.next()
			_, _ = io.Copy(io.Discard, p.conn.NetConn())
		})
		o.TLS.Certificates = nil
		_, err := Connect(t.Context(), o)
		wantError(t, err, Alert, 0, "certificate required")
	})
	t.Run("a port where nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host, port, _ := net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		_, err = Connect(t.Context(), Options{Host: host, Port: port, TLS: &tls.Config{}, Version: V5})
		wantError(t, err, Unreachable, 0, "refused")
	})
	t.Run("a port that speaks no TLS", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.Close()
			}
		}()
		host, port, _ := net.SplitHostPort(l.Addr().String())
		_, err = Connect(t.Context(), Options{Host: host, Port: port, TLS: &tls.Config{}, Version: V5})
		wantError(t, err, Unreachable, 0, "TLS handshake")
	})
}

func TestAFloodOfMessagesIsDropped(t *testing.T) {
	bothVersions(t, func(t *testing.T, v mqtt.Version) {
		l := mustConnect(t, listen(t, v, func(p *peer) {
			p.greet()
			for range 10 * inbox {
				p.send(&mqtt.Publish{Topic: "flood"})
			}
			if q, ok := p.next().(*mqtt.Publish); ok {
				p.send(&mqtt.Puback{PacketID: q.PacketID})
			}
			p.next()
		}))
		if err := l.Publish(t.Context(), "q", nil); err != nil {
			t.Error(err)
		}
		if n := len(l.Messages()); n > inbox {
			t.Errorf("%d messages are kept", n)
		}
	})
}
