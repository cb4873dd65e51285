package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// A raw is a device that sends bytes of the test's own, over real TLS.
type raw struct {
	t       testing.TB
	tcp     net.Conn
	conn    *tls.Conn
	r       *mqtt.Reader
	version mqtt.Version
	sees    []string            // what it was sent, but for successes
	frame   func([]byte) []byte // puts bytes in a WebSocket; nil: there is none
}

// patience bounds every wait of a test; nothing comes near it unless it hangs.
const patience = time.Minute

// handshake opens a connection up to TLS; change may spoil the configuration.
func (r *rig) handshake(cert tls.Certificate, change ...func(*tls.Config)) (*raw, error) {
	return r.handshakeAt(r.plain, cert, change...)
}

func (r *rig) handshakeAt(address string, cert tls.Certificate, change ...func(*tls.Config)) (*raw, error) {
	r.t.Helper()
	tcp, err := net.Dial("tcp", address)
	must(r.t, err)
	r.t.Cleanup(func() { tcp.Close() })
	must(r.t, tcp.SetDeadline(time.Now().Add(patience)))
	config := &tls.Config{ServerName: "localhost", RootCAs: r.roots()}
	if cert.Certificate != nil {
		config.Certificates = []tls.Certificate{cert}
	}
	for _, f := range change {
		f(config)
	}
	d := &raw{t: r.t, tcp: tcp, conn: tls.Client(tcp, config)}
	d.r = mqtt.NewReader(d.conn, 1<<20)
	return d, d.conn.Handshake()
}

func (r *rig) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.ca.ServerRootPEM())
	return roots
}

// raw opens a connection up to TLS, which must succeed.
func (r *rig) raw(cert tls.Certificate, v mqtt.Version, change ...func(*tls.Config)) *raw {
	r.t.Helper()
	d, err := r.handshake(cert, change...)
	must(r.t, err)
	d.version = v
	return d
}

// online opens a connection and passes CONNECT.
func (r *rig) online(cert tls.Certificate, clientID string, v mqtt.Version, change ...func(*mqtt.Connect)) *raw {
	r.t.Helper()
	d := r.raw(cert, v)
	d.connect(clientID, change...)
	if a, ok := d.packet().(*mqtt.Connack); !ok || a.Code != mqtt.Success {
		r.t.Fatalf("CONNECT of %s as %q was not accepted: %+v", v, clientID, a)
	}
	return d
}

func (d *raw) connect(clientID string, change ...func(*mqtt.Connect)) {
	d.t.Helper()
	p := &mqtt.Connect{Version: d.version, ClientID: clientID, CleanStart: true, KeepAlive: 60}
	for _, f := range change {
		f(p)
	}
	d.send(p)
}

// send writes packets. A server that has closed already is no failure here:
// what it said is read afterwards.
func (d *raw) send(packets ...mqtt.Packet) {
	d.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		b, err = mqtt.Append(b, p, d.version)
		must(d.t, err)
	}
	d.bytes(b)
}

func (d *raw) bytes(b []byte) {
	if d.frame != nil {
		b = d.frame(b)
	}
	_, _ = d.conn.Write(b)
}

// hex writes bytes given as hexadecimal digits and spaces.
func (d *raw) hex(digits string) {
	d.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	must(d.t, err)
	d.bytes(b)
}

// packet gives the next packet, nil when the server has closed.
func (d *raw) packet() mqtt.Packet {
	d.t.Helper()
	v := d.version
	if v == 0 {
		v = mqtt.V311
	}
	p, err := d.r.Next(v)
	var bad *mqtt.Error
	var late net.Error
	switch {
	case err == nil:
		return p
	case errors.As(err, &bad), errors.As(err, &late) && late.Timeout():
		d.t.Fatalf("the server sent %v", err)
	}
	return nil
}

// await gives the next packet that is not an answer to something else.
func await[P mqtt.Packet](d *raw) P {
	d.t.Helper()
	for {
		switch p := d.packet().(type) {
		case P:
			return p
		case nil:
			var none P
			d.t.Fatalf("the server closed before %T", none)
		}
	}
}

// alive says whether the connection answers a PINGREQ. What comes before the
// answer, or before the end, is noted.
func (d *raw) alive() bool {
	d.t.Helper()
	d.send(&mqtt.Pingreq{})
	for {
		switch p := d.packet().(type) {
		case nil:
			return false
		case *mqtt.Pingresp:
			return true
		default:
			d.note(p)
		}
	}
}

// end waits until the server closes, and gives what it said before.
func (d *raw) end() string {
	d.t.Helper()
	for {
		p := d.packet()
		if p == nil {
			return strings.Join(append(d.sees, "socket closed"), "; ")
		}
		d.note(p)
	}
}

// saw gives what the device was told, and whether the connection stays.
func (d *raw) saw() string {
	d.t.Helper()
	last := "socket closed"
	if d.alive() {
		last = "the connection stays"
	}
	return strings.Join(append(d.sees, last), "; ")
}

// documented are the codes that AWS sends on MQTT 5 (device-gateway.md,
// section 3.3).
var documented = map[mqtt.Type][]mqtt.ReasonCode{
	mqtt.CONNACK:    {0x80, 0x85, 0x86, 0x87, 0x90, 0x97, 0x9B},
	mqtt.PUBACK:     {0x80, 0x87, 0x90, 0x91, 0x97},
	mqtt.SUBACK:     {0x80, 0x87, 0x8F, 0x91, 0x97},
	mqtt.DISCONNECT: {0x81, 0x82, 0x87, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x97, 0x98, 0x9B, 0xA1},
}

// note keeps what a packet says, unless it says yes.
func (d *raw) note(p mqtt.Packet) {
	var code mqtt.ReasonCode
	var reason string
	switch p := p.(type) {
	case *mqtt.Connack:
		code, reason = p.Code, p.Properties.ReasonString.Or("")
	case *mqtt.Disconnect:
		code, reason = p.Code, p.Properties.ReasonString.Or("")
	case *mqtt.Puback:
		code, reason = p.Code, p.Properties.ReasonString.Or("")
	case *mqtt.Suback:
		for _, c := range p.Codes {
			code = max(code, c)
		}
		if reason = p.Properties.ReasonString.Or(""); !code.Failed() {
			return
		}
	case *mqtt.Publish:
		d.noteAnswer(p)
		return
	}
	if code == mqtt.Success {
		return
	}
	if d.version == mqtt.V5 && !slices.Contains(documented[p.Type()], code) {
		d.t.Errorf("%s carries 0x%02X, which AWS never sends", p.Type(), byte(code))
	}
	text := fmt.Sprintf("%s 0x%02X %s", p.Type(), byte(code), code.In(p.Type(), d.version))
	if reason != "" {
		text += ": " + reason
	}
	d.sees = append(d.sees, text)
}

func (d *raw) noteAnswer(p *mqtt.Publish) {
	f := wire.JSON
	if strings.Contains(p.Topic, "/cbor/") {
		f = wire.CBOR
	}
	if !strings.HasSuffix(p.Topic, "/rejected") {
		d.sees = append(d.sees, "PUBLISH on "+p.Topic)
		return
	}
	rej, err := wire.DecodeRejection(f, p.Payload)
	must(d.t, err)
	d.sees = append(d.sees, fmt.Sprintf("rejected %d %s: %s", rej.StatusCode, rej.ErrorCode, rej.ErrorMessage))
}

// local is the address under which the journal knows the device.
func (d *raw) local() string { return d.tcp.LocalAddr().String() }

// publish is a PUBLISH at QoS 1.
func publish(topic string, payload []byte) *mqtt.Publish {
	return &mqtt.Publish{Topic: topic, Payload: payload, QoS: 1, PacketID: 7}
}

// subscribe is a SUBSCRIBE at QoS 1.
func subscribe(filters ...string) *mqtt.Subscribe {
	p := &mqtt.Subscribe{PacketID: 8}
	for _, f := range filters {
		p.Filters = append(p.Filters, mqtt.Subscription{Filter: f, QoS: 1})
	}
	return p
}

// drain reads to the end of a connection on which TLS was not spoken.
func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
