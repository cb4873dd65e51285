// Package gateway is the devices' edge: TLS, MQTT 3.1.1 and 5, policy at every
// action, and the reserved topics of device provisioning.
//
// A connection passes four gates, and each leaves a line in its attempt: TLS
// (SNI picks the tenant, the leaf's SHA-256 is the identity), CONNECT (status,
// policy), then every SUBSCRIBE, PUBLISH and delivery. One session serves one
// connection; its reader is one goroutine, and its writer exists only while
// there is something to write, so that an idle device costs little.
//
// What happens in the registry reaches the gateway as events (Follow): a
// certificate that stopped being ACTIVE cuts its connections, a changed policy
// is judged at the next action.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wire"
)

// Names says which host name belongs to which tenant.
type Names interface {
	// Tenant gives the tenant of a server name; the empty name is a device
	// that sent none, and no tenant's.
	Tenant(serverName string) (arn.Tenant, bool)
	// Domain gives the domain configuration of a server name, also one by which
	// nobody may come in: then Tenant does not know the name. Nil: the name has
	// none, or its endpoint's is as every account has it.
	Domain(serverName string) *access.Domain
	// Standing gives the configuration of a tenant's endpoint, if anything about
	// it was changed.
	Standing(t arn.Tenant) *access.Domain
	// Certificate is what the server shows under that name.
	Certificate(serverName string) (*tls.Certificate, error)
	// Known lists the names, for the sentence that refuses another.
	Known() []string
	// Tenants lists all tenants: a device without SNI may belong to any.
	Tenants() []arn.Tenant
}

// Provisioner is the use case behind the reserved topics, and behind the first
// CONNECT of a certificate that is not known yet.
type Provisioner interface {
	CreateKeys(ctx context.Context, who provision.Caller) (*wire.CreateAnswer, error)
	CreateFromCSR(ctx context.Context, who provision.Caller, csr []byte) (*wire.CreateAnswer, error)
	RegisterThing(ctx context.Context, who provision.Caller, template string, req wire.RegisterRequest) (*wire.RegisterAnswer, error)
	JustInTime(ctx context.Context, who provision.Caller, leaf *x509.Certificate) (*provision.Arrival, error)
}

// Journal keeps attempts.
type Journal interface {
	// Record keeps one attempt, in place of an earlier state of it.
	Record(a *attempts.Attempt)
	// Fold keeps attempts of which many may follow: those of one who and cause
	// become one row a minute with a count.
	Fold(who, cause string, a *attempts.Attempt)
	// FoldEach is Fold where many go by one name, as a fleet does that shares a
	// claim: each of them has a row of its own, within bounds.
	FoldEach(who, cause, each string, a *attempts.Attempt)
	// Again counts one more into the row of this minute, and is false if there
	// is none: the attempt need not be written down then.
	Again(who, cause string, at time.Time) bool
}

// Signatures knows access keys.
type Signatures interface {
	// Caller says who signed the request, in its headers or its URL, and that
	// the tenant is there and not switched off. The body was read before.
	Caller(ctx context.Context, r *http.Request, body []byte) (*Caller, error)
}

// Config is what a Gateway needs. All fields but Listener, Wanted, Paced,
// Signatures, Web, Limits and Metrics are required; zero Limits are replaced by
// defaults.
type Config struct {
	DB store.DB
	// Listener hears every message that was accepted, before its sender learns
	// so, and every event that the server publishes; nil: nobody listens.
	Listener func(context.Context, dispatch.Message)
	// Wanted says whether the Listener cares for a lifecycle event; nil: for
	// none.
	Wanted func(t arn.Tenant, topic string) bool
	// Paced says whether AWS's rate quotas hold for an account: at CONNECT, and
	// for what is no connection's; nil: for none. It does not wait.
	Paced     func(t arn.Tenant) bool
	Names     Names
	Provision Provisioner
	// JITPInline admits a device at the very CONNECT at which it was
	// provisioned just in time. AWS closes that connection.
	JITPInline bool
	Journal    Journal
	// Authorizers vouch for devices; nil: for none.
	Authorizers Authorizers
	// Signatures says who signed a request; nil: nobody is known.
	Signatures Signatures
	// Web answers HTTPS requests that are none of the devices' data plane; nil:
	// there are none.
	Web     http.Handler
	Limits  Limits
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Metrics *metrics.Metrics
}

// Gateway serves devices.
type Gateway struct {
	Config
	hub      *hub
	topics   *topics
	recent   *recent
	door     *door
	anteroom *anteroom
	tarpit   *tarpit
	trapping sync.Once // the tarpit runs
	web      *web
	lives    lives
	waiting  waiting
	departed departed
	turns    turns
	paces    paces

	lastings *lastings
	groups   *groups
	keeper   *keeper
	tally    *tally
	seq      atomic.Int64 // of the last message that was stored

	ctx      context.Context // ends with Close: requests in progress stop
	stop     context.CancelFunc
	sessions sync.WaitGroup // every goroutine that serves a connection

	mu        sync.Mutex // guards the two below, and sessions against a late Add
	listeners map[net.Listener]struct{}
	closed    bool
}

// New makes a gateway. Serve opens it to the network.
func New(c Config) *Gateway {
	c.Limits = c.Limits.withDefaults()
	g := &Gateway{
		Config: c, hub: newHub(), topics: newTopics(), recent: newRecent(),
		door: newDoor(c.Limits, c.Now), anteroom: newAnteroom(runtime.GOMAXPROCS(0)), tarpit: newTarpit(c.Limits.Tarpit), listeners: map[net.Listener]struct{}{},
		lastings: newLastings(), groups: newGroups(), tally: &tally{of: map[arn.Tenant]int{}},
	}
	g.keeper = newKeeper(g)
	g.seq.Store(c.Now().UnixMicro())
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.web = newWeb(g)
	return g
}

// A Mode is how a port tells what is spoken on it.
type Mode int

const (
	Plain  Mode = iota // 8883: MQTT, whatever ALPN the client offers
	ByALPN             // 443: MQTT or HTTP, with or without a certificate, by ALPN
	HTTPS              // 8443: HTTP
)

// Serve accepts connections until the listener or the gateway is closed. It
// closes the listener.
func (g *Gateway) Serve(ln net.Listener, mode Mode) error {
	if !g.track(ln) {
		return ln.Close()
	}
	defer g.untrack(ln)
	if mode != Plain {
		g.web.open()
	}
	g.trapping.Do(func() {
		if g.begin() {
			go func() { defer g.sessions.Done(); g.tarpit.run(g.ctx) }()
		}
	})
	config := g.tlsConfig(mode)
	var wait time.Duration
	for {
		conn, err := ln.Accept()
		if err == nil {
			wait = 0
			g.admit(conn, config)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		g.Log.Error("accept", slog.Any("err", err))
		if !errors.Is(err, syscall.ECONNABORTED) {
			g.tarpit.empty() // it may hold what ran short
		}
		if !passing(err) {
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		g.rest(wait)
	}
}

// passing says whether accept may succeed later: a connection was gone before
// it was taken, or file descriptors or memory ran short, which must not end
// the server.
func passing(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// rest waits, but not beyond the gateway's end.
func (g *Gateway) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.ctx.Done():
	}
}

// begin counts one more connection to wait for; it is false once the gateway
// closes.
func (g *Gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.sessions.Add(1)
	}
	return !g.closed
}

func (g *Gateway) track(ln net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.listeners[ln] = struct{}{}
	return true
}

func (g *Gateway) untrack(ln net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, ln)
	_ = ln.Close()
}

// Strangers counts the connections that have not passed CONNECT.
func (g *Gateway) Strangers() int {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	return g.door.strangers.Len()
}

// Close stops accepting, ends every session and waits for them.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.closed = true
	for ln := range g.listeners {
		_ = ln.Close()
	}
	g.mu.Unlock()
	g.stop()
	g.door.closeAll()
	g.web.close()
	for _, s := range g.hub.all() {
		s.end(mqtt.ServerShuttingDown, shuttingDown)
	}
	g.sessions.Wait()
	g.keeper.stop()
}

// Sessions counts the sessions that outlive their connections.
func (g *Gateway) Sessions() int { return g.lastings.count() }

// Connections counts the sessions that passed CONNECT.
func (g *Gateway) Connections() int { return g.hub.count() }

// usable says whether a certificate may connect at all, or why not.
func usable(c *certs.Certificate, now time.Time) string {
	switch {
	case c.Status == certs.PendingActivation:
		return "Certificate " + string(c.ID) + " is PENDING_ACTIVATION: it was made, and RegisterThing has not bound it to a thing yet. Send RegisterThing on the claim's connection first."
	case c.Status == certs.Revoked:
		return "Certificate " + string(c.ID) + " is REVOKED; the device needs a new certificate."
	case c.Status != certs.Active:
		return "Certificate " + string(c.ID) + " is " + string(c.Status) + "; only an ACTIVE certificate may connect. UpdateCertificate can set it to ACTIVE."
	case now.After(c.NotAfter):
		return "Certificate " + string(c.ID) + " expired at " + stamp(c.NotAfter) + "; the device needs a new one."
	case now.Before(c.NotBefore):
		return "Certificate " + string(c.ID) + " is not valid before " + stamp(c.NotBefore) + ", and the server's clock says " + stamp(now) + "."
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
