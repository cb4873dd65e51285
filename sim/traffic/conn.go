// Package traffic is load for a broker: publishers and subscribers that speak
// MQTT 3.1.1 over mutual TLS and cost less than what they measure. Every message
// carries the number of its publisher and its own, so that what was lost is
// counted and not guessed.
package traffic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// A Broker is where the load goes.
type Broker struct {
	Address    string
	ServerName string // that it must prove
	Roots      *x509.CertPool
}

// A Client is who a connection is.
type Client struct {
	ID   string
	Cert tls.Certificate
}

// handTime is how long a step may take that is not measured.
const handTime = 20 * time.Second

// readRoom holds several TLS records; no packet of a run is longer.
const readRoom = 64 << 10

// A conn is one connection. Its reader is one goroutine, its writer another.
type conn struct {
	tls    *tls.Conn
	buf    []byte
	lo, hi int // buf[lo:hi] has arrived and is not used yet
}

// dial opens a connection and passes CONNECT.
func dial(ctx context.Context, b Broker, c Client, clean bool) (*conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: handTime}, Config: &tls.Config{
		ServerName: b.ServerName, RootCAs: b.Roots, Certificates: []tls.Certificate{c.Cert},
		CurvePreferences: []tls.CurveID{tls.X25519}, MinVersion: tls.VersionTLS13,
	}}
	raw, err := d.DialContext(ctx, "tcp", b.Address)
	if err != nil {
		return nil, err
	}
	n := &conn{tls: raw.(*tls.Conn), buf: make([]byte, readRoom)}
	connect := &mqtt.Connect{Version: mqtt.V311, ClientID: c.ID, CleanStart: clean, KeepAlive: 600}
	answer, err := n.ask(connect, mqtt.CONNACK)
	if err == nil && answer[1] != 0 {
		err = fmt.Errorf("%s was refused with CONNACK %d", c.ID, answer[1])
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *conn) close() { _ = n.tls.Close() }

// ask sends a packet and gives the body of its answer.
func (n *conn) ask(p mqtt.Packet, answer mqtt.Type) ([]byte, error) {
	b, err := mqtt.Append(nil, p, mqtt.V311)
	if err != nil {
		return nil, err
	}
	_ = n.tls.SetDeadline(time.Now().Add(handTime))
	defer n.tls.SetDeadline(time.Time{})
	if _, err := n.tls.Write(b); err != nil {
		return nil, err
	}
	first, body, err := n.next()
	if err == nil && mqtt.Type(first>>4) != answer {
		err = fmt.Errorf("%s was answered with %s", p.Type(), mqtt.Type(first>>4))
	}
	return body, err
}

// subscribe listens to a filter.
func (n *conn) subscribe(filter string, qos byte) error {
	body, err := n.ask(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: filter, QoS: qos}}}, mqtt.SUBACK)
	if err == nil && body[2] != qos {
		err = fmt.Errorf("SUBSCRIBE to %s at QoS %d was answered with %d", filter, qos, body[2])
	}
	return err
}

// next gives one packet; body is good until the next call.
func (n *conn) next() (first byte, body []byte, err error) {
	for {
		if first, body, ok := n.cut(); ok {
			return first, body, nil
		}
		if n.lo > 0 {
			n.hi = copy(n.buf, n.buf[n.lo:n.hi])
			n.lo = 0
		}
		if n.hi == len(n.buf) {
			return 0, nil, io.ErrShortBuffer
		}
		got, err := n.tls.Read(n.buf[n.hi:])
		if n.hi += got; got == 0 && err != nil {
			return 0, nil, err
		}
	}
}

// cut takes a whole packet off what has arrived.
func (n *conn) cut() (first byte, body []byte, ok bool) {
	b := n.buf[n.lo:n.hi]
	size, shift := 0, 0
	for i := 1; i < len(b) && i <= 4; i++ {
		size |= int(b[i]&0x7f) << shift
		shift += 7
		if b[i] >= 0x80 {
			continue
		}
		if whole := i + 1 + size; whole <= len(b) {
			n.lo += whole
			return b[0], b[i+1 : whole], true
		}
		return 0, nil, false
	}
	return 0, nil, false
}

// more says whether another whole packet has arrived already.
func (n *conn) more() bool {
	lo := n.lo
	_, _, ok := n.cut()
	n.lo = lo
	return ok
}
