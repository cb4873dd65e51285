package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
)

// tcpKeepAlive lets the dead socket of a device that lost power go.
const tcpKeepAlive = 15 * time.Second

// tlsConfig lets the server name and ALPN choose the way in.
func (g *Gateway) tlsConfig(mode Mode) *tls.Config {
	byALPN := g.entries(mode)
	// An empty configuration makes crypto/tls answer unrecognized_name.
	stranger := &tls.Config{MinVersion: tls.VersionTLS12}
	return &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello, ok := h.Context().Value(helloKey{}).(*hello)
		if !ok {
			return stranger, nil
		}
		hello.name, hello.seen = h.ServerName, true
		hello.versions = known(h.SupportedVersions)
		hello.protocols, hello.suites = slices.Clone(h.SupportedProtos), slices.Clone(h.CipherSuites)
		hello.entry = byALPN(h.SupportedProtos)
		if h.ServerName != "" {
			if hello.domain = g.Names.Domain(h.ServerName); hello.domain != nil {
				hello.entry, hello.refused = g.under(hello.domain, mode, hello.entry)
			} else if _, known := g.Names.Tenant(h.ServerName); !known {
				hello.entry = nil
			}
		}
		if hello.entry == nil {
			return stranger, nil
		}
		return hello.entry.tls, nil
	}}
}

// A hello is what the device said first, for the sentence that refuses it.
type hello struct {
	heard     bool // a byte arrived
	seen      bool // a whole ClientHello did
	name      string
	protocols []string
	suites    []uint16
	versions  []uint16
	shown     *x509.Certificate // what the server showed; nil if it came to none
	domain    *access.Domain    // of the server name; nil: it has none
	entry     *entry            // nil: the name lets nobody in
	refused   string            // why, if it has a domain configuration
}

// known leaves out what a client offers to test whether servers pass over what
// they do not know (RFC 8701).
func known(offered []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(offered), func(v uint16) bool { return v < tls.VersionTLS10 || v > tls.VersionTLS13 })
}

type helloKey struct{}

// admit takes a fresh connection through the door. The handshake has a
// goroutine of its own, so that the stack it grew is dropped with it.
func (g *Gateway) admit(conn net.Conn, config *tls.Config) {
	from := addressOf(conn)
	if v := g.door.enter(conn, from); v != admitted {
		g.refuseAtDoor(conn, from, v)
		return
	}
	if !g.begin() { // the gateway closed meanwhile
		_ = conn.Close()
		g.door.leave(conn)
		return
	}
	go g.handshake(conn, from, config)
}

// refuseAtDoor costs as little as can be, since this is what a flood meets:
// only the first of an address and a minute is written down, the others count.
func (g *Gateway) refuseAtDoor(conn net.Conn, from netip.Addr, v verdict) {
	if g.Journal.Again(placeOf(from).String(), "door", g.Now()) {
		g.Metrics.Refusal("door")
		g.Metrics.Attempt("connect", string(attempts.Refused))
	} else {
		rec := g.open(conn, from)
		rec.Refuse("door", g.door.why(v))
		g.strangerGone(from, "door", rec)
	}
	if v == tooOften {
		g.tarpit.take(conn)
		return
	}
	_ = conn.Close()
}

func (g *Gateway) open(conn net.Conn, from netip.Addr) *attempts.Recorder {
	return attempts.Open(attemptID(), conn.RemoteAddr().String(), from.String(), g.Now)
}

// attemptID is a UUID that begins with the time: attempts of one moment lie
// together in the store.
func attemptID() string {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	return id.String()
}

func (g *Gateway) handshake(conn net.Conn, from netip.Addr, config *tls.Config) {
	stretch(0)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: tcpKeepAlive, Interval: tcpKeepAlive, Count: 3})
	}
	rec := g.open(conn, from)
	h := &hello{}
	// A wait, not a value: the real clock. Up to a quarter longer, or those who
	// came in one moment and said nothing would all have to be sent away in one.
	deadline := time.Now().Add(g.Limits.Handshake + rand.N(g.Limits.Handshake/4+1))
	_ = conn.SetDeadline(deadline)
	e := &ear{Conn: conn, room: g.anteroom, ctx: g.ctx, from: placeOf(from)}
	tc := tls.Server(e, config)
	ctx := context.WithValue(g.ctx, helloKey{}, h)
	err := tc.HandshakeContext(ctx)
	e.leaveRoom()
	if err != nil {
		h.heard = e.heard
		g.handshakeFailed(conn, from, rec, h, err)
		return
	}
	state := tc.ConnectionState()
	who := identityOf(state)
	if !h.entry.mqtt {
		g.web.take(&visit{Conn: tc, identity: who, raw: conn, from: from, state: state, rec: rec, domain: h.domain, asks: h.entry.asks})
		return
	}
	s := g.session(who, tc, conn, from, state.ServerName, rec)
	s.domain, s.asks, s.wire = h.domain, h.entry.asks, e
	e.hurry(mayHurry)
	rec.Step("tls", greeting(state, s.certID))
	go s.run(deadline)
}

// identityOf is who the handshake proved the device to be: the leaf alone
// counts.
func identityOf(state tls.ConnectionState) identity {
	if len(state.PeerCertificates) == 0 {
		return identity{}
	}
	leaf := state.PeerCertificates[0]
	return identity{leaf: leaf, certID: arn.IDOf(leaf.Raw)}
}

// session is a connection that is about to send CONNECT.
func (g *Gateway) session(who identity, conn link, raw net.Conn, from netip.Addr, serverName string, rec *attempts.Recorder) *session {
	s := &session{
		g: g, identity: who, conn: conn, raw: raw, from: from, remote: raw.RemoteAddr().String(),
		serverName: serverName, since: g.Now(), rec: rec,
	}
	s.ctx, s.cancel = context.WithCancel(g.ctx)
	return s
}

// handshakeFailed explains a handshake that came to nothing.
func (g *Gateway) handshakeFailed(conn net.Conn, from netip.Addr, rec *attempts.Recorder, h *hello, err error) {
	cause, text := explainHandshake(h, err, g.Names.Known())
	switch {
	case g.ctx.Err() != nil:
		cause, text = "shutdown", shuttingDown
	case g.door.showedOut(conn):
		cause, text = crowd, tooManyStrangers
	}
	rec.Refuse("tls", text)
	g.turnAway(conn, from, rec, cause, conn)
}

// turnAway ends a connection that never became a session.
func (g *Gateway) turnAway(conn net.Conn, from netip.Addr, rec *attempts.Recorder, cause string, last net.Conn) {
	defer g.sessions.Done()
	if cause != crowd {
		g.door.failed(from)
	}
	g.strangerGone(from, cause, rec)
	_ = last.Close()
	g.door.leave(conn)
}

func (g *Gateway) strangerGone(from netip.Addr, cause string, rec *attempts.Recorder) {
	a, _ := rec.Close("")
	g.Metrics.Refusal(cause)
	g.Metrics.Attempt(a.Door, string(a.Outcome))
	g.Journal.Fold(placeOf(from).String(), cause, a)
}

func addressOf(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
