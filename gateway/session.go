package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire/websocket"
)

// A session is one connection, from the end of its handshake to its end.
//
// run, and the goroutine it hands over to, own every field that names no other
// owner.
type session struct {
	g *Gateway
	identity
	conn       link
	raw        net.Conn // below conn: deadlines and the end are set here
	from       netip.Addr
	remote     string
	serverName string
	domain     *access.Domain  // of the server name; nil: it has none
	asks       bool            // an authorizer must vouch for the device
	opened     *authorize.HTTP // the request that opened a WebSocket, for its authorizer
	again      func()          // asks the authorizer anew until the connection ends; nil: there is none
	since      time.Time
	rec        *attempts.Recorder
	ctx        context.Context
	cancel     context.CancelFunc

	// Set by CONNECT, before the session stands in the hub; fixed afterwards.
	version   mqtt.Version
	tenant    arn.Tenant
	clientID  string
	claim     *certs.ClaimRecord
	hasThing  bool
	reasons   bool // the device wants reason strings
	window    int  // QoS 1 messages it takes unacknowledged
	maxPacket int  // bytes it takes; 0: any
	aliasMax  int  // topic aliases it takes
	keepAlive time.Duration
	pace      *pace // nil: no rate quota holds

	template string            // the one whose answers it listens to
	aliases  map[uint16]string // topics by alias; nil until the first

	rights   atomic.Pointer[rights]
	changes  atomic.Uint64 // what may have changed the rights, counted by Follow
	seen     atomic.Uint64 // the change that rights hold
	rightsMu sync.Mutex    // one reader of rights at a time

	// Set by CONNECT as well.
	lasting *lasting       // nil: the session ends with the connection
	asked   time.Duration  // how long CONNECT wanted it to last
	longest time.Duration  // how long it may
	earlier int            // connections of the session that it took the place of
	expiry  *time.Duration // what DISCONNECT set instead; nil: nothing
	own     filterSet      // of a session that ends with the connection
	revoked atomic.Bool    // its certificate is good no more

	wire  *ear       // below conn, if that is TLS; nil: a WebSocket
	alone bool       // the packet at hand has none behind it; the reader's
	owed  []*session // what it caused is written by the reader; the reader's

	out   outbox
	noted atomic.Bool // a withheld message was noted in the attempt

	will      willBox
	displaced *session // the connection that was taken over, until its will is settled

	entered   atomic.Bool   // CONNECT was accepted, and what it set is fixed
	dismissed atomic.Bool   // DeleteConnection ended it
	absent    bool          // it has left the hub; guarded by hub.mu
	left      chan struct{} // closed then; nil until somebody waits; guarded by hub.mu

	endOnce  sync.Once
	ended    atomic.Pointer[string] // why, once end was called
	endCode  atomic.Uint32          // with which reason code, set before ended
	said     bool                   // the device said DISCONNECT
	saidWill bool                   // … and asked for its will
	expired  string                 // AWS's word for it, once the connection's time was over
	ident    string                 // in lifecycle events; empty until the first
	number   *int                   // among its client id's connections; nil until an event needs it
	https    bool                   // it is one request over HTTPS, without CONNECT
	topic    string                 // … and of the direct message that it brings; empty: it brings none
	passed   bool                   // CONNECT was accepted; fixed before CONNACK
	arrived  bool                   // a thing came of CONNECT, accepted or not
	cause    string                 // of a refused CONNECT: alike attempts are folded
}

// A link carries MQTT: TLS itself, or a WebSocket in it. CloseWrite says that
// nothing more will be written.
type link interface {
	io.ReadWriter
	CloseWrite() error
}

// run serves the connection up to the end of CONNECT, which takes a deep stack.
// What follows has a goroutine of its own, on which an idle connection waits
// with a small one.
func (s *session) run(deadline time.Time) {
	stretch(0)
	r := mqtt.NewReader(s.conn, s.g.Limits.FirstPacket)
	s.alone = mayHurry
	if why := s.begin(r, deadline); why != "" {
		s.close(why)
		s.g.sessions.Done()
		return
	}
	go func() {
		defer s.g.sessions.Done()
		s.close(s.serve(r))
	}()
}

// begin takes the first packet. It gives a sentence when the connection is over.
func (s *session) begin(r *mqtt.Reader, deadline time.Time) string {
	_ = s.raw.SetReadDeadline(deadline)
	first, err := r.Next(0)
	if err != nil {
		return s.notConnect(err)
	}
	return s.connect(first.(*mqtt.Connect))
}

// inOneGo is how many packets a device may have handled before others have
// their turn: one that sends without end never waits, and the scheduler would
// let it go on for 10 ms each time.
const inOneGo = 32

// breath is how long a device that sends without end holds it, while others are
// on their way in: they have many steps to go, and each would wait for it.
const breath = time.Millisecond

// givesWay lets others have their turn.
func (s *session) givesWay(r *mqtt.Reader) {
	if r.Buffered() > 0 && s.g.anteroom.lately() {
		s.pause(breath)
		return
	}
	runtime.Gosched()
}

// serve gives the sentence that says how the connection ended.
func (s *session) serve(r *mqtt.Reader) string {
	r.SetLimit(s.g.Limits.Packet)
	for packets := 1; ; packets++ {
		if packets%inOneGo == 0 {
			s.givesWay(r)
		}
		_ = s.raw.SetReadDeadline(s.silence())
		if why := s.ended.Load(); why != nil { // after the deadline, which end moves
			return *why
		}
		p, err := r.Next(s.version)
		if err != nil {
			return s.broken(err)
		}
		if why := s.ended.Load(); why != nil { // cut or taken over: what came since does not count
			return *why
		}
		s.alone = mayHurry && r.Buffered() == 0
		why := s.handle(p)
		s.pays()
		if why != "" {
			return why
		}
	}
}

// silence is when a device that says nothing more is gone: one and a half
// times its keep-alive (MQTT 5.0, 3.1.2.10), or when the connection's time is
// over.
func (s *session) silence() time.Time {
	at := time.Now().Add(s.keepAlive * 3 / 2)
	if !s.until.IsZero() && s.until.Before(at) {
		return s.until
	}
	return at
}

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
		s.says(&mqtt.Pingresp{})
	case *mqtt.Disconnect:
		s.said, s.saidWill = true, p.Code == mqtt.DisconnectWithWill
		if why := s.shorten(p); why != "" {
			return why
		}
		s.farewell(nil) // nothing is sent after a DISCONNECT
		return "The device said DISCONNECT."
	case *mqtt.Connect:
		return s.violation(mqtt.ProtocolError, "The device sent a second CONNECT; one connection begins with one.")
	case *mqtt.Auth:
		return s.violation(mqtt.ProtocolError, "The device sent AUTH; enhanced authentication is not supported.")
	case *mqtt.Pubrec, *mqtt.Pubrel, *mqtt.Pubcomp:
		return s.violation(mqtt.QoSNotSupported, "The device sent "+p.Type().String()+", which belongs to QoS 2; only QoS 0 and 1 are supported.")
	default:
		return s.violation(mqtt.ProtocolError, "The device sent "+p.Type().String()+", which only a server may send.")
	}
	return ""
}

// violation ends the connection because of what the device did, and says so on
// MQTT 5. A 3.1.1 device just sees its socket close.
func (s *session) violation(code mqtt.ReasonCode, text string) string {
	s.refused("mqtt", "mqtt", text)
	s.end(code, text)
	return text
}

// broken explains why no further packet came.
func (s *session) broken(err error) string {
	var bad *mqtt.Error
	var frame *websocket.Error
	switch {
	case s.ended.Load() != nil:
		return *s.ended.Load()
	case errors.As(err, &bad):
		return s.violation(disconnectCode(bad.Code), bad.Text)
	case errors.As(err, &frame):
		return s.violation(mqtt.ProtocolError, frame.Text)
	case errors.Is(err, websocket.ErrClosed): // as good as a DISCONNECT (device-gateway.md, section 3.10)
		s.said = true
		s.farewell(nil)
		return "The device closed the WebSocket."
	case errors.Is(err, os.ErrDeadlineExceeded):
		if why := s.overstays(); why != "" {
			return why
		}
		return s.violation(mqtt.KeepAliveTimeout, fmt.Sprintf("The device was silent for one and a half times its keep-alive of %v; within that time it must send something, if only PINGREQ.", s.keepAlive))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "The device closed the connection without DISCONNECT."
	}
	return "The connection was lost without DISCONNECT."
}

// disconnectCode puts the codes that AWS sends in a DISCONNECT in place of
// those it does not (device-gateway.md, section 3.3).
func disconnectCode(c mqtt.ReasonCode) mqtt.ReasonCode {
	switch c {
	case mqtt.PacketTooLarge:
		return mqtt.QuotaExceeded
	case mqtt.UnsupportedProtocolVersion: // in a second CONNECT
		return mqtt.ProtocolError
	}
	return c
}

// notConnect explains a connection whose first packet was no CONNECT.
func (s *session) notConnect(err error) string {
	var bad *mqtt.Error
	var frame *websocket.Error
	switch {
	case errors.As(err, &bad):
		if bad.Code == mqtt.UnsupportedProtocolVersion { // MQTT 3.1.1, 3.2.2.3
			s.version = mqtt.V311
			s.send(&mqtt.Connack{Code: mqtt.RefusedVersion})
		}
		return s.strange("not-connect", "The first packet is no CONNECT that can be read. "+bad.Text)
	case errors.As(err, &frame):
		return s.strange("not-connect", frame.Text)
	case s.g.ctx.Err() != nil:
		return s.strange("shutdown", shuttingDown)
	case s.g.door.showedOut(s.raw):
		return s.strange(crowd, tooManyStrangers)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.strange("silent", fmt.Sprintf("The device was silent after the TLS handshake: no whole CONNECT arrived within %v.", s.g.Limits.Handshake))
	}
	if s.signed != nil {
		return s.strange("broken-off", "The device closed the WebSocket before CONNECT.")
	}
	return s.strange("broken-off", "The device closed the connection before CONNECT. Often it does not trust the server's certificate: does it hold this server's root-ca.pem?")
}

const shuttingDown = "The server is shutting down."

// crowd is the cause of being shown out; the door has counted that already.
const crowd = "crowd"

const tooManyStrangers = "The connection was closed to make room: too many wait before CONNECT, and it had waited longest."

// strange refuses a connection before anyone is authenticated.
func (s *session) strange(cause, text string) string {
	s.cause = cause
	if s.signed != nil {
		s.who()
	} else {
		s.rec.Who(arn.Default, s.certID, "")
	}
	s.rec.Refuse("connect", text)
	s.g.Metrics.Refusal(cause)
	if cause != crowd {
		s.g.door.failed(s.from)
	}
	return text
}

// close undoes everything, keeps the attempt if it is worth keeping, and lets
// the device know. A device that sees its socket closed finds its attempt
// journalled.
func (s *session) close(why string) {
	s.cancel()
	s.g.door.pass(s.raw) // it stands there no more, although it may take a while to leave
	s.detach()
	if s.passed {
		s.depart()
	}
	s.g.hub.leave(s)
	s.leave()
	s.leaveWill() // what becomes of it stands in the attempt
	s.journal(why)
	if s.passed {
		s.tellDisconnected()
	}
	s.finish()
	s.g.door.leave(s.raw)
	if s.pace != nil {
		s.pace.account.disconnected()
	}
	if s.passed {
		s.g.Metrics.Connection(-1)
	}
}

// journal keeps the attempt. A stranger's are folded by address; those of a
// known certificate that is refused again and again, by its sentence, client id
// and address: many devices may share a claim.
func (s *session) journal(why string) {
	a, keep := s.rec.Close(why)
	s.g.Metrics.Attempt(a.Door, string(a.Outcome))
	switch {
	case !keep:
	case evicted(a) != "": // those who evict each other do so again and again
		s.g.Journal.Fold(s.name(), evicted(a)+" "+s.clientID, a)
	case s.passed || s.arrived:
		s.g.Journal.Record(a)
	case s.known():
		s.g.Journal.FoldEach(s.name(), a.Reason, s.clientID+" "+placeOf(s.from).String(), a)
	default:
		a.Tenant = arn.Default
		s.g.Journal.Fold(placeOf(s.from).String(), s.cause, a)
	}
}

// end ends the connection from outside or inside; the first call wins. On MQTT
// 5 the device is told the code and the sentence. The reader wakes and closes;
// if it is busy, the socket is closed over its head. end does not wait.
func (s *session) end(code mqtt.ReasonCode, text string) {
	s.endOnce.Do(func() {
		s.endCode.Store(uint32(code))
		s.ended.Store(&text)
		s.cancel()
		var last *mqtt.Disconnect
		if s.version == mqtt.V5 {
			last = &mqtt.Disconnect{Code: code}
			last.Properties.ReasonString = s.reason(text)
		}
		s.farewell(last)
		_ = s.raw.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		time.AfterFunc(closeTimeout, func() { _ = s.raw.Close() })
	})
}

// detach takes every subscription out, unless the session outlives the
// connection.
func (s *session) detach() {
	if s.lasting == nil {
		s.own.close(s.g, s.tenant)
	}
}

// filters are the subscriptions of the connection's session.
func (s *session) filters() *filterSet {
	if s.lasting != nil {
		return &s.lasting.subs
	}
	return &s.own
}

// refused writes one refusal to the attempt and the counters; an attempt that
// goes on is journalled at once, so that `slipway trace` shows it while the
// device is still connected. A device that is refused in a loop fills its
// timeline and is journalled no more until it leaves.
func (s *session) refused(step, cause, text string) {
	s.g.Metrics.Refusal(cause)
	if s.rec.Refuse(step, text) {
		s.record()
	}
}

// record journals the attempt as it is now.
func (s *session) record() {
	if s.passed {
		s.g.Journal.Record(s.rec.Snapshot())
	}
}

// sentence is what the log and the device may see of an error.
func sentence(err error) string {
	_, text := fault.Show(err)
	return text
}

// overstays ends a connection whose time is over.
func (s *session) overstays() string {
	reason, text := s.overstayed(time.Now()) // a wait, not a value: the real clock
	if text == "" {
		return ""
	}
	s.expired = reason
	s.rec.Step("end", text)
	s.end(mqtt.AdministrativeAction, text)
	return text
}
