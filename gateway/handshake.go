package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
)

// What is spoken on one port, by ALPN (device-gateway.md, section 1). A client
// that offers none speaks HTTP.
const (
	alpnMQTT   = "x-amzn-mqtt-ca" // with a client certificate
	alpnCustom = "mqtt"           // with a custom authorizer
	alpnHTTPS  = "x-amzn-http-ca" // HTTP with a client certificate
	alpnHTTP   = "http/1.1"       // signed, or with a custom authorizer
)

// tcpKeepAlive lets the dead socket of a device that lost power go.
const tcpKeepAlive = 15 * time.Second

// tlsConfig checks no chain: identity is the leaf's fingerprint, and its status
// is in the store (DESIGN.md, decision 6). On the plain port there is no ALPN
// list, since the JavaScript SDK offers x-amzn-mqtt-ca there too, and a list
// without a match aborts.
func (g *Gateway) tlsConfig(mode Mode) *tls.Config {
	choose := g.chooser(mode)
	// An empty configuration makes crypto/tls answer unrecognized_name.
	stranger := &tls.Config{MinVersion: tls.VersionTLS12}
	return &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello, ok := h.Context().Value(helloKey{}).(*hello); ok {
			hello.name, hello.seen = h.ServerName, true
			hello.protocols, hello.suites = slices.Clone(h.SupportedProtos), slices.Clone(h.CipherSuites)
		}
		if h.ServerName != "" {
			if _, known := g.Names.Tenant(h.ServerName); !known {
				return stranger, nil
			}
		}
		return choose(h.SupportedProtos), nil
	}}
}

// chooser gives what a port asks of a client that offers the protocols.
func (g *Gateway) chooser(mode Mode) func(offered []string) *tls.Config {
	with := func(auth tls.ClientAuthType, protocols ...string) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, ClientAuth: auth, NextProtos: protocols, SessionTicketsDisabled: true,
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				c, err := g.Names.Certificate(h.ServerName)
				if hello, ok := h.Context().Value(helloKey{}).(*hello); ok && err == nil {
					hello.shown = c.Leaf
				}
				return c, err
			},
		}
	}
	switch mode {
	case HTTPS: // asked for and not required: SigV4, authorizers and device codes share the port
		only := with(tls.RequestClientCert, alpnHTTP, alpnHTTPS)
		return func([]string) *tls.Config { return only }
	case ByALPN:
		mqtt, https := with(tls.RequireAnyClientCert, alpnMQTT), with(tls.RequireAnyClientCert, alpnHTTPS)
		custom, http := with(tls.NoClientCert, alpnCustom), with(tls.NoClientCert, alpnHTTP)
		return func(offered []string) *tls.Config {
			switch {
			case slices.Contains(offered, alpnMQTT):
				return mqtt
			case slices.Contains(offered, alpnHTTPS):
				return https
			case slices.Contains(offered, alpnCustom):
				return custom
			}
			return http
		}
	}
	only := with(tls.RequireAnyClientCert)
	return func([]string) *tls.Config { return only }
}

// speaksMQTT says what follows the handshake.
func speaksMQTT(mode Mode, protocol string) bool {
	return mode == Plain || mode == ByALPN && (protocol == alpnMQTT || protocol == alpnCustom)
}

// A hello is what the device said first, for the sentence that refuses it.
type hello struct {
	heard     bool // a byte arrived
	seen      bool // a whole ClientHello did
	name      string
	protocols []string
	suites    []uint16
	shown     *x509.Certificate // what the server showed; nil if it came to none
}

// An ear notices the first byte of a connection.
type ear struct {
	net.Conn
	heard bool
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	e.heard = e.heard || n > 0
	return n, err
}

type helloKey struct{}

// admit takes a fresh connection through the door. The handshake has a
// goroutine of its own, so that the stack it grew is dropped with it.
func (g *Gateway) admit(conn net.Conn, config *tls.Config, mode Mode) {
	from := addressOf(conn)
	if why := g.door.enter(conn, from); why != "" {
		rec := g.open(conn, from)
		rec.Refuse("door", why)
		g.strangerGone(from, "door", rec)
		_ = conn.Close()
		return
	}
	if !g.begin() { // the gateway closed meanwhile
		_ = conn.Close()
		g.door.leave(conn)
		return
	}
	go g.handshake(conn, from, config, mode)
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

func (g *Gateway) handshake(conn net.Conn, from netip.Addr, config *tls.Config, mode Mode) {
	stretch(0)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: tcpKeepAlive, Interval: tcpKeepAlive, Count: 3})
	}
	rec := g.open(conn, from)
	h := &hello{}
	deadline := time.Now().Add(g.Limits.Handshake) // a wait, not a value: the real clock
	_ = conn.SetDeadline(deadline)
	e := &ear{Conn: conn}
	tc := tls.Server(e, config)
	ctx := context.WithValue(g.ctx, helloKey{}, h)
	if err := tc.HandshakeContext(ctx); err != nil {
		h.heard = e.heard
		g.handshakeFailed(conn, from, rec, h, err)
		return
	}
	state := tc.ConnectionState()
	who := identityOf(state)
	if !speaksMQTT(mode, state.NegotiatedProtocol) {
		g.web.take(&visit{Conn: tc, identity: who, raw: conn, from: from, state: state, rec: rec})
		return
	}
	s := g.session(who, tc, conn, from, state.ServerName, rec)
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
		cause, text = "crowd", tooManyStrangers
	}
	rec.Refuse("tls", text)
	g.turnAway(conn, from, rec, cause, conn)
}

// turnAway ends a connection that never became a session.
func (g *Gateway) turnAway(conn net.Conn, from netip.Addr, rec *attempts.Recorder, cause string, last net.Conn) {
	defer g.sessions.Done()
	g.door.failed(from)
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
