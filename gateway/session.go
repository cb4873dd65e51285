package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// A session is one connection, from the end of its handshake to its end.
//
// run, on a goroutine of its own, owns every field that names no other owner.
type session struct {
	g          *Gateway
	number     uint64
	conn       *tls.Conn
	raw        net.Conn
	from       netip.Addr
	remote     string
	leaf       *x509.Certificate
	certID     arn.CertID
	serverName string
	since      time.Time
	rec        *attempts.Recorder
	ctx        context.Context
	cancel     context.CancelFunc

	// Set by CONNECT, before the session stands in the hub; fixed afterwards.
	version   mqtt.Version
	tenant    arn.Tenant
	clientID  string
	cert      *certs.Certificate
	claim     *certs.ClaimRecord
	hasThing  bool
	exclusive bool // its thing is bound exclusively, whatever the client id
	reasons   bool // the device wants reason strings
	window    int  // QoS 1 messages it takes unacknowledged
	maxPacket int  // bytes it takes; 0: any
	keepAlive time.Duration

	template string            // the one whose answers it listens to
	aliases  map[uint16]string // topics by alias; nil until the first

	rights   atomic.Pointer[rights]
	stale    atomic.Bool // rights are to be read again before the next action
	rightsMu sync.Mutex  // one reader of rights at a time

	subsMu   sync.Mutex
	subs     map[string]*subscription
	detached bool // guarded by subsMu: no subscription may be added

	out   outbox
	noted atomic.Bool // a withheld message was noted in the attempt

	endOnce sync.Once
	ended   atomic.Pointer[string] // why, once end was called
	passed  bool                   // CONNECT was accepted
}

// run serves the connection to its end.
func (s *session) run(deadline time.Time) {
	defer s.g.sessions.Done()
	r := mqtt.NewReader(s.conn, s.g.Limits.FirstPacket)
	why := s.serve(r, deadline)
	s.close(why)
}

// serve gives the sentence that says how the connection ended.
func (s *session) serve(r *mqtt.Reader, deadline time.Time) string {
	_ = s.raw.SetReadDeadline(deadline)
	first, err := r.Next(0)
	if err != nil {
		return s.notConnect(err)
	}
	if why := s.connect(first.(*mqtt.Connect)); why != "" {
		return why
	}
	r.SetLimit(s.g.Limits.Packet)
	for {
		_ = s.raw.SetReadDeadline(s.silence())
		p, err := r.Next(s.version)
		if err != nil {
			return s.broken(err)
		}
		if why := s.handle(p); why != "" {
			return why
		}
	}
}

// silence is when a device that says nothing more is gone: one and a half
// times its keep-alive (MQTT 5.0, 3.1.2.10).
func (s *session) silence() time.Time { return time.Now().Add(s.keepAlive * 3 / 2) }

// handle serves one packet. It gives a sentence when the connection is over.
func (s *session) handle(p mqtt.Packet) string {
	switch p := p.(type) {
	case *mqtt.Publish:
		return s.publish(p)
	case *mqtt.Puback:
		s.acknowledged(p.PacketID)
	case *mqtt.Subscribe:
		return s.subscribe(p)
	case *mqtt.Unsubscribe:
		return s.unsubscribe(p)
	case *mqtt.Pingreq:
		s.send(&mqtt.Pingresp{})
	case *mqtt.Disconnect:
		s.endOnce.Do(func() {}) // nothing is sent after a DISCONNECT
		return "The device said DISCONNECT."
	case *mqtt.Connect:
		return s.violation(mqtt.ProtocolError, "The device sent a second CONNECT.")
	case *mqtt.Pubrec, *mqtt.Pubrel, *mqtt.Pubcomp:
		return s.violation(mqtt.QoSNotSupported, "The device sent "+p.Type().String()+"; QoS 2 is not supported.")
	default:
		return s.violation(mqtt.ProtocolError, "The device sent "+p.Type().String()+", which only a server may send.")
	}
	return ""
}

// violation ends the connection because of what the device did, and says so on
// MQTT 5. A 3.1.1 device just sees its socket close.
func (s *session) violation(code mqtt.ReasonCode, text string) string {
	s.rec.Refuse("mqtt", text)
	s.g.Metrics.Refusal("mqtt")
	s.end(code, text)
	return text
}

// broken explains why no further packet came.
func (s *session) broken(err error) string {
	var bad *mqtt.Error
	switch {
	case s.ended.Load() != nil:
		return *s.ended.Load()
	case errors.As(err, &bad):
		code := bad.Code
		if code == mqtt.PacketTooLarge { // not among the codes AWS sends
			code = mqtt.QuotaExceeded
		}
		return s.violation(code, bad.Text)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.violation(mqtt.KeepAliveTimeout, fmt.Sprintf("The device was silent for one and a half times its keep-alive of %v.", s.keepAlive))
	case errors.Is(err, io.EOF):
		return "The device closed the connection without DISCONNECT."
	}
	return "The connection was lost."
}

// notConnect explains a connection whose first packet was no CONNECT.
func (s *session) notConnect(err error) string {
	var bad *mqtt.Error
	text := "The device closed the connection before CONNECT."
	switch {
	case errors.As(err, &bad):
		text = "The first packet is no CONNECT that can be read. " + bad.Text
		if bad.Code == mqtt.UnsupportedProtocolVersion { // MQTT 3.1.1, 3.2.2.3
			s.version = mqtt.V311
			s.send(&mqtt.Connack{Code: mqtt.RefusedVersion})
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "The device said nothing after the TLS handshake: no CONNECT arrived in time."
	}
	s.rec.Refuse("connect", text)
	s.g.Metrics.Refusal("connect")
	s.g.door.failed(s.from)
	return text
}

// close undoes everything and keeps the attempt if it is worth keeping.
func (s *session) close(why string) {
	s.cancel()
	s.detach()
	s.g.hub.leave(s)
	s.finish()
	s.g.door.leave(s.raw)
	if s.passed {
		s.g.Metrics.Connection(-1)
	}
	a, keep := s.rec.Close(why)
	s.g.Metrics.Attempt(a.Door, string(a.Outcome))
	if keep {
		s.g.Journal.Record(a)
	}
}

// end ends the connection from outside or inside; the first call wins. On MQTT
// 5 the device is told the code and the sentence. The reader notices the closed
// socket and cleans up.
func (s *session) end(code mqtt.ReasonCode, text string) {
	s.endOnce.Do(func() {
		s.ended.Store(&text)
		s.cancel()
		if s.version == mqtt.V5 && s.out.ready.Load() {
			d := &mqtt.Disconnect{Code: code}
			if s.reasons {
				d.Properties.ReasonString = mqtt.Some(arn.Clip(text, maxReason))
			}
			s.send(d)
		}
		s.closeSoon()
	})
}

// maxReason keeps a reason string inside small receive buffers.
const maxReason = 512

// detach takes every subscription out and lets none in again.
func (s *session) detach() {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	s.detached = true
	for _, sub := range s.subs {
		s.g.topics.remove(s.tenant, sub)
	}
	clear(s.subs)
}

// refused writes one refusal to the attempt and the counters; an attempt that
// goes on is journalled at once, so that `slipway trace` shows it while the
// device is still connected.
func (s *session) refused(step, cause, text string) {
	s.rec.Refuse(step, text)
	s.g.Metrics.Refusal(cause)
	if s.passed {
		s.g.Journal.Record(s.rec.Snapshot())
	}
}

// sentence is what the log and the device may see of an error.
func sentence(err error) string {
	_, text := fault.Show(err)
	return text
}
