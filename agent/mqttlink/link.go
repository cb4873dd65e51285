// Package mqttlink is the agent's connection to a server: MQTT 5 or 3.1.1 over
// mutual TLS. It is the only package that knows the two client libraries.
//
// A Link is made for one conversation. It never reconnects by itself: what to
// do after a lost connection is the agent's decision, which knows what was
// asked and what was stored. What went wrong is told as exactly as the
// protocol allows; on MQTT 3.1.1 that is often nothing but a closed socket.
package mqttlink

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// The versions of MQTT that a link speaks.
const (
	V5   = mqtt.V5
	V311 = mqtt.V311
)

// Options say where to connect and as whom.
type Options struct {
	Host, Port string      // Host is also the name that the server has to prove
	TLS        *tls.Config // roots and the client certificate; the rest is set here
	ClientID   string
	Version    mqtt.Version
}

// A Message is one PUBLISH from the server.
type Message struct {
	Topic   string
	Payload []byte
}

// A Link is one open MQTT connection. Its errors are of type *Error.
type Link interface {
	// Subscribe asks for QoS 1 on every topic and waits for the SUBACK. It
	// fails if one of them is refused.
	Subscribe(ctx context.Context, topics ...string) error
	// Publish sends with QoS 1 and waits for the PUBACK.
	Publish(ctx context.Context, topic string, payload []byte) error
	// Messages are the server's, in order. The channel is never closed.
	Messages() <-chan Message
	// Done is closed when the connection has ended; Err then says why.
	Done() <-chan struct{}
	Err() error
	// Close says DISCONNECT and waits until everything the link owns has ended.
	Close()
}

// Connect opens a connection: TCP, TLS, CONNECT and CONNACK.
func Connect(ctx context.Context, o Options) (Link, error) {
	conn, err := dial(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Version == V311 {
		return connect311(ctx, conn, o)
	}
	return connect5(ctx, conn, o)
}

const (
	keepAlive = 60 * time.Second
	// inbox is how many messages may wait for the agent. It asks one thing at a
	// time, so that more than two are nobody's answers.
	inbox = 16
)

// alpn is the protocol name that AWS wants for MQTT with a client certificate
// on port 443, where it also serves other protocols.
const alpn = "x-amzn-mqtt-ca"

func dial(ctx context.Context, o Options) (*witness, error) {
	config := o.TLS.Clone()
	config.ServerName = o.Host
	config.MinVersion = tls.VersionTLS12
	if o.Port == "443" {
		config.NextProtos = []string{alpn}
	}
	address := net.JoinHostPort(o.Host, o.Port)
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fromTLS(ctx, "the TLS handshake", o.Version, err)
	}
	return &witness{Conn: conn}, nil
}

// A witness is a connection that remembers how its reading ended. The client
// libraries report the end of a connection in many ways; the first read error
// is what happened.
type witness struct {
	net.Conn
	mu  sync.Mutex
	end error
}

func (w *witness) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.end == nil {
			w.end = err
		}
	}
	return n, err
}

// ended is the first read error, or nil while the connection is readable.
func (w *witness) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// A session is what both versions share: the inbox, and the end.
type session struct {
	conn     *witness
	version  mqtt.Version
	messages chan Message

	alive context.Context // ends with the connection
	end   context.CancelCauseFunc
}

func newSession(conn *witness, v mqtt.Version) session {
	alive, end := context.WithCancelCause(context.Background())
	return session{conn: conn, version: v, messages: make(chan Message, inbox), alive: alive, end: end}
}

func (s *session) Messages() <-chan Message { return s.messages }
func (s *session) Done() <-chan struct{}    { return s.alive.Done() }
func (s *session) Err() error               { return context.Cause(s.alive) }

// during gives an operation a context that also ends with the connection: the
// MQTT 5 library forgets who waits for an acknowledgement when it loses one.
func (s *session) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

// deliver puts a message into the inbox. A full inbox means that the server
// sends what nobody asked for; the message is dropped.
func (s *session) deliver(topic string, payload []byte) {
	select {
	case s.messages <- Message{topic, payload}:
	default:
	}
}

// lost ends the session without a word of MQTT. The first end decides.
func (s *session) lost(err error) {
	if seen := s.conn.ended(); seen != nil {
		err = seen
	}
	s.end(fromTLS(context.Background(), "the session", s.version, err))
}

// because explains why an operation failed. If the connection is broken, the
// reason is that of its end, which the library may tell a moment later.
func (s *session) because(ctx context.Context, op string, broken bool, err error) error {
	if broken || s.conn.ended() != nil || s.Err() != nil {
		select {
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
		}
	}
	return fromTLS(ctx, op, s.version, err)
}
