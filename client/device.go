// Package client is the device's side of the wire, raw: one connection, one
// goroutine, no retries. The simulator, the demo, the benchmarks and the tests
// stand on it; slipway-agent, which real devices run, stands on Paho.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// Options say how a device connects.
type Options struct {
	Address    string // host:port
	ServerName string // SNI, and the name that the server must prove; empty: the address's host
	Roots      *x509.CertPool
	Cert       tls.Certificate
	Version    mqtt.Version // default MQTT 5
	ClientID   string
	KeepAlive  uint16
	ALPN       []string
	Curves     []tls.CurveID // default: Go's
	Timeout    time.Duration // of each step; default 10 s
}

// A Device is one open connection. It is for one goroutine.
type Device struct {
	conn    *tls.Conn
	r       *mqtt.Reader
	version mqtt.Version
	timeout time.Duration
	nextID  uint16
	buf     []byte
	inbox   []*mqtt.Publish

	// TLS and Connect are how long the handshake and CONNECT took.
	TLS, Connect time.Duration
}

// A Refused error is a server's no.
type Refused struct {
	Packet mqtt.Type
	Code   mqtt.ReasonCode
	Reason string // the reason string of MQTT 5, if the server gave one
}

func (e *Refused) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s 0x%02x: %s", e.Packet, byte(e.Code), e.Reason)
	}
	return fmt.Sprintf("%s 0x%02x (%s)", e.Packet, byte(e.Code), e.Code)
}

// ErrClosed says that the server closed the connection without a word, which
// is how MQTT 3.1.1 refuses.
var ErrClosed = errors.New("the server closed the connection without a word")

// Dial opens a connection and passes CONNECT.
func Dial(ctx context.Context, o Options) (*Device, error) {
	if o.Version == 0 {
		o.Version = mqtt.V5
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 60
	}
	start := time.Now()
	conn, err := dialTLS(ctx, o)
	if err != nil {
		return nil, err
	}
	d := &Device{conn: conn, r: mqtt.NewReader(conn, 1<<20), version: o.Version, timeout: o.Timeout, TLS: time.Since(start)}
	start = time.Now()
	if err := d.connect(o); err != nil {
		conn.Close()
		return nil, err
	}
	d.Connect = time.Since(start)
	return d, nil
}

func dialTLS(ctx context.Context, o Options) (*tls.Conn, error) {
	name := o.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(o.Address)
		if err != nil {
			return nil, err
		}
		name = host
	}
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: o.Timeout},
		Config: &tls.Config{
			ServerName: name, RootCAs: o.Roots, Certificates: []tls.Certificate{o.Cert},
			NextProtos: o.ALPN, CurvePreferences: o.Curves, MinVersion: tls.VersionTLS12,
		},
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, err := dialer.DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}

func (d *Device) connect(o Options) error {
	if err := d.Write(&mqtt.Connect{Version: o.Version, ClientID: o.ClientID, CleanStart: true, KeepAlive: o.KeepAlive}); err != nil {
		return err
	}
	p, err := d.read()
	if err != nil {
		return err
	}
	ack, ok := p.(*mqtt.Connack)
	if !ok {
		return fmt.Errorf("the server answered CONNECT with %s", p.Type())
	}
	if ack.Code != mqtt.Success {
		return &Refused{mqtt.CONNACK, ack.Code, ack.Properties.ReasonString.Or("")}
	}
	return nil
}

// Write sends one packet.
func (d *Device) Write(p mqtt.Packet) error {
	b, err := mqtt.Append(d.buf[:0], p, d.version)
	if err != nil {
		return err
	}
	d.buf = b
	_ = d.conn.SetWriteDeadline(time.Now().Add(d.timeout))
	_, err = d.conn.Write(b)
	return closed(err)
}

// closed gives ErrClosed for the many ways in which a closed socket shows.
func closed(err error) error {
	var netErr net.Error
	if err == nil || errors.As(err, &netErr) && netErr.Timeout() {
		return err
	}
	return fmt.Errorf("%w (%v)", ErrClosed, err)
}

// read gives the next packet; a DISCONNECT of the server is a *Refused.
func (d *Device) read() (mqtt.Packet, error) {
	_ = d.conn.SetReadDeadline(time.Now().Add(d.timeout))
	p, err := d.r.Next(d.version)
	if err != nil {
		return nil, closed(err)
	}
	if gone, ok := p.(*mqtt.Disconnect); ok {
		return nil, &Refused{mqtt.DISCONNECT, gone.Code, gone.Properties.ReasonString.Or("")}
	}
	return p, nil
}

// await reads until a packet is the one asked for. Messages that arrive before
// it are kept for Receive.
func (d *Device) await(want func(mqtt.Packet) bool) (mqtt.Packet, error) {
	for {
		p, err := d.read()
		if err != nil {
			return nil, err
		}
		if m, ok := p.(*mqtt.Publish); ok {
			if err := d.took(m); err != nil {
				return nil, err
			}
			d.inbox = append(d.inbox, m)
			continue
		}
		if want(p) {
			return p, nil
		}
	}
}

func (d *Device) took(m *mqtt.Publish) error {
	if m.QoS == 0 {
		return nil
	}
	return d.Write(&mqtt.Puback{PacketID: m.PacketID})
}

func (d *Device) id() uint16 {
	d.nextID++
	return d.nextID
}

// Subscribe asks for filters at QoS 1; each must be granted.
func (d *Device) Subscribe(filters ...string) error {
	p := &mqtt.Subscribe{PacketID: d.id()}
	for _, f := range filters {
		p.Filters = append(p.Filters, mqtt.Subscription{Filter: f, QoS: 1})
	}
	if err := d.Write(p); err != nil {
		return err
	}
	got, err := d.await(func(q mqtt.Packet) bool {
		a, ok := q.(*mqtt.Suback)
		return ok && a.PacketID == p.PacketID
	})
	if err != nil {
		return err
	}
	ack := got.(*mqtt.Suback)
	for _, code := range ack.Codes {
		if code.Failed() {
			return &Refused{mqtt.SUBACK, code, ack.Properties.ReasonString.Or("")}
		}
	}
	return nil
}

// Publish sends a message at QoS 1 and waits for its PUBACK.
func (d *Device) Publish(topic string, payload []byte) error {
	p := &mqtt.Publish{Topic: topic, Payload: payload, QoS: 1, PacketID: d.id()}
	if err := d.Write(p); err != nil {
		return err
	}
	got, err := d.await(func(q mqtt.Packet) bool {
		a, ok := q.(*mqtt.Puback)
		return ok && a.PacketID == p.PacketID
	})
	if err != nil {
		return err
	}
	if ack := got.(*mqtt.Puback); ack.Code.Failed() {
		return &Refused{mqtt.PUBACK, ack.Code, ack.Properties.ReasonString.Or("")}
	}
	return nil
}

// Receive gives the next message.
func (d *Device) Receive() (*mqtt.Publish, error) {
	for len(d.inbox) == 0 {
		p, err := d.read()
		if err != nil {
			return nil, err
		}
		if m, ok := p.(*mqtt.Publish); ok {
			if err := d.took(m); err != nil {
				return nil, err
			}
			return m, nil
		}
	}
	m := d.inbox[0]
	d.inbox = d.inbox[1:]
	return m, nil
}

// Rejected is the answer on a rejected topic.
type Rejected struct{ wire.Rejection }

func (e *Rejected) Error() string {
	return fmt.Sprintf("%d %s: %s", e.StatusCode, e.ErrorCode, e.ErrorMessage)
}

// Request publishes to a reserved topic and waits for its answer; the device
// must have subscribed to it. A rejection is a *Rejected.
func (d *Device) Request(topic string, f wire.Format, payload []byte) ([]byte, error) {
	if err := d.Publish(topic, payload); err != nil {
		return nil, err
	}
	for {
		m, err := d.Receive()
		if err != nil {
			return nil, err
		}
		switch m.Topic {
		case wire.Accepted(topic):
			return m.Payload, nil
		case wire.Rejected(topic):
			r, err := wire.DecodeRejection(f, m.Payload)
			if err != nil {
				return nil, err
			}
			return nil, &Rejected{r}
		}
	}
}

// Ping sends PINGREQ and waits for its answer.
func (d *Device) Ping() error {
	if err := d.Write(&mqtt.Pingreq{}); err != nil {
		return err
	}
	_, err := d.await(func(q mqtt.Packet) bool { return q.Type() == mqtt.PINGRESP })
	return err
}

// Wait reads until the server ends the connection, and says how.
func (d *Device) Wait() error {
	for {
		_ = d.conn.SetReadDeadline(time.Time{})
		p, err := d.r.Next(d.version)
		if err != nil {
			return closed(err)
		}
		if gone, ok := p.(*mqtt.Disconnect); ok {
			return &Refused{mqtt.DISCONNECT, gone.Code, gone.Properties.ReasonString.Or("")}
		}
	}
}

// Close says DISCONNECT and closes.
func (d *Device) Close() {
	_ = d.Write(&mqtt.Disconnect{})
	_ = d.conn.Close()
}

// Abort closes the socket without a word, as a crash does.
func (d *Device) Abort() { _ = d.conn.NetConn().Close() }
