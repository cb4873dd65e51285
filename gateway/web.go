package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/attempts"
)

// web serves the connections that speak HTTP: POST /topics/…, direct messages
// and the WebSocket at /mqtt are answered here, all else by Config.Web. It stands behind the same
// door as MQTT, and its connections have done their handshake already.
type web struct {
	g      *Gateway
	server *http.Server
	in     chan net.Conn
	done   chan struct{} // closed when no more is taken
	opened sync.Once
	ending sync.Once
}

// Bounds of a request. The headers hold a session token or, encoded, MQTT 5
// properties of 8 KB each.
const (
	maxHeaders  = 40 << 10
	webRequest  = 20 * time.Second
	webIdle     = time.Minute
	webFarewell = time.Second
)

func newWeb(g *Gateway) *web {
	w := &web{g: g, in: make(chan net.Conn), done: make(chan struct{})}
	w.server = &http.Server{
		Handler: w, ReadHeaderTimeout: g.Limits.Handshake, ReadTimeout: webRequest, WriteTimeout: webRequest, IdleTimeout: webIdle,
		MaxHeaderBytes: maxHeaders, ConnState: w.changed, ErrorLog: slog.NewLogLogger(g.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, visitKey{}, c)
		},
	}
	return w
}

// open begins to serve, once.
func (w *web) open() {
	w.opened.Do(func() {
		if !w.g.begin() {
			return
		}
		go func() {
			defer w.g.sessions.Done()
			_ = w.server.Serve(w) // until close
		}()
	})
}

// take hands a connection to the HTTP server. From here on changed hears of its
// end, unless a session takes it over.
func (w *web) take(v *visit) {
	select {
	case w.in <- v:
	case <-w.done:
		_ = v.Close()
		w.left(v)
	}
}

// Accept, Close and Addr make web the listener of its own server.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.in:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error {
	w.ending.Do(func() { close(w.done) })
	return nil
}

func (w *web) Addr() net.Addr { return &net.TCPAddr{} }

// close lets requests in progress end, for a moment.
func (w *web) close() {
	_ = w.Close()
	grace, cancel := context.WithTimeout(context.Background(), webFarewell)
	defer cancel()
	if w.server.Shutdown(grace) != nil {
		_ = w.server.Close()
	}
}

// changed is told what becomes of a connection. One that a session took over
// is the session's.
func (w *web) changed(c net.Conn, state http.ConnState) {
	if v, ok := c.(*visit); ok && state == http.StateClosed {
		w.left(v)
	}
}

// left ends a connection's stay. One that never brought a request has an
// attempt that says so.
func (w *web) left(v *visit) {
	defer w.g.sessions.Done()
	if !v.asked {
		cause, text := v.explain(w.g)
		v.rec.Step("tls", greeting(v.state, v.certID))
		v.rec.Refuse("http", text)
		if cause != crowd {
			w.g.door.failed(v.from)
		}
		w.g.strangerGone(v.from, cause, v.rec)
	}
	w.g.door.leave(v.raw)
}

// A visit is one connection that speaks HTTP.
type visit struct {
	*tls.Conn
	identity
	raw   net.Conn
	from  netip.Addr
	state tls.ConnectionState
	rec   *attempts.Recorder
	asked bool // a request was read; set and read by the connection's goroutine
	first atomic.Uint32

	domain *access.Domain // of the server name; nil: it has none
	asks   bool           // for a request without a signature an authorizer must vouch
	kept   keptVerdict    // of its latest request; used by the connection's goroutine
}

type visitKey struct{}

// sawByte marks that first holds a byte.
const sawByte = 0x100

// Read notices the first byte, which tells MQTT from HTTP.
func (v *visit) Read(b []byte) (int, error) {
	n, err := v.Conn.Read(b)
	if n > 0 && v.first.Load() == 0 {
		v.first.Store(sawByte | uint32(b[0]))
	}
	return n, err
}

// explain says why no request came.
func (v *visit) explain(g *Gateway) (cause, text string) {
	switch first := v.first.Load(); {
	case g.ctx.Err() != nil:
		return "shutdown", shuttingDown
	case g.door.showedOut(v.raw):
		return crowd, tooManyStrangers
	case first == sawByte|0x10:
		return "alpn", "What arrived after the TLS handshake looks like MQTT, and HTTP was expected: the device offered no ALPN that picks MQTT. Let it offer " + alpnMQTT + " (" + alpnCustom + " with a custom authorizer), or use the MQTT port."
	case first != 0:
		return "not-http", "What arrived after the TLS handshake is no HTTP request that can be read."
	}
	return "silent", "The connection ended after the TLS handshake, and no HTTP request had come."
}

// ServeHTTP answers one request.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	v := r.Context().Value(visitKey{}).(*visit)
	v.asked = true
	r.TLS = &v.state
	path := r.URL.EscapedPath()
	_, direct := clientOf(path)
	if err := v.unfit(r, path); err != nil {
		v.session(w.g, r).refuseHTTPS(rw, "domain", err)
		return
	}
	switch {
	case path == "/mqtt":
		w.g.upgrade(rw, r, v)
	case strings.HasPrefix(path, topicsPath) && !signedRequest(r):
		w.g.publishHTTPS(rw, r, v)
	case direct && !signedRequest(r):
		w.g.directHTTPS(rw, r, v)
	case w.g.Web != nil:
		w.g.Web.ServeHTTP(rw, r)
	default:
		http.NotFound(rw, r)
	}
}

// signedRequest says whether a request carries a SigV4 signature.
func signedRequest(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}
