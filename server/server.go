package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/bulk"
	"github.com/slipway-iot/slipway/bus/local"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/allowlist"
	httpfn "github.com/slipway-iot/slipway/functions/http"
	"github.com/slipway-iot/slipway/functions/process"
	"github.com/slipway-iot/slipway/gateway"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/journal"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
)

// Server is one node.
type Server struct {
	cfg       Config
	seal      *seal.Key
	newUnlock bool
	bare      store.DB // what devices do is written here
	db        store.DB // the same, and records what callers of the control plane do
	trail     *trail.DB
	sealer    *sealer
	ca        *ca.CA
	keys      *ca.KeyPool
	hosts     *hosts
	functions *functions.Set
	authorize *authorize.Service
	provision *provision.Service // for devices
	issuer    *provision.Service // for callers of the control plane
	bulk      *bulk.Service
	journal   *journal.Journal
	dispatch  *dispatch.Dispatcher
	callers   map[bool]*http.Client // of the endpoints of rules; true: of those that may be private
	gateway   *gateway.Gateway
	control   *control.Server
	metrics   *metrics.Metrics
	bus       *local.Bus
	pulse     pulse
	told      switches // which events are published
	retell    retelling
	guesses   *throttle // of codes that devices show, by callers of the control plane
	lock      *os.File  // on the data folder, held until Close

	listeners map[string]net.Listener
	endpoints Endpoints
	ready     chan struct{}
	closing   sync.Once
}

// Endpoints is where a running server is reached; DATA/endpoints.json holds
// it.
type Endpoints struct {
	MQTT    string `json:"mqtt"`
	ALPN    string `json:"alpn,omitempty"`
	HTTPS   string `json:"https,omitempty"`
	Control string `json:"control"`
	Host    string `json:"host"`
	RootCA  string `json:"rootCA"`
}

// EndpointsFile is written in the data folder once all ports are open, and
// removed at stop.
const EndpointsFile = "endpoints.json"

// New checks the configuration and opens everything that Run needs. After an
// error nothing stays open.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: metrics.New(), bus: &local.Bus{}, listeners: map[string]net.Listener{}, ready: make(chan struct{}),
		guesses: newThrottle(10, 10*time.Second, 200, 500*time.Millisecond)}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.openData, s.openStore, s.openCA, s.ensureAdmin, s.openUseCases, s.openBulk, s.listen, s.openControl,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openData(context.Context) (err error) {
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "--data %s: the folder cannot be made.", s.cfg.Data)
	}
	if err := os.Chmod(s.cfg.Data, 0o700); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "--data %s: its mode cannot be set to 0700.", s.cfg.Data)
	}
	if s.lock, err = lockFolder(filepath.Join(s.cfg.Data, "lock")); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "--data %s: another server runs on this folder, or its lock cannot be taken.", s.cfg.Data)
	}
	// A server that was killed left its endpoints behind.
	if err := os.Remove(filepath.Join(s.cfg.Data, EndpointsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.InvalidRequest, err, "--data %s: %s of an earlier run cannot be removed.", s.cfg.Data, EndpointsFile)
	}
	s.seal, s.newUnlock, err = seal.Open(s.cfg.Data, s.cfg.Passphrase, s.cfg.Rand)
	return err
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if s.cfg.Store == "sqlite" {
		s.bare, err = openSQLite(ctx, s.cfg)
	} else {
		s.bare, err = openPostgres(ctx, s.cfg)
	}
	if err != nil {
		s.bare = nil
		return err
	}
	s.trail = trail.New(s.bare, s.cfg.Now, map[string]trail.Viewer{store.FunctionDocument: s.viewFunction, bucketDocument: s.viewBucket})
	s.db = s.trail
	s.sealer = &sealer{db: s.bare, box: s.seal}
	return s.adopt(ctx)
}

// adopt takes over the events of nodes that died, an earlier run of this one
// among them.
func (s *Server) adopt(ctx context.Context) error {
	n, err := s.db.Adopt(ctx)
	if n > 0 {
		s.cfg.Log.InfoContext(ctx, "events of an earlier run are told again", slog.Int("events", n))
	}
	return err
}

func openSQLite(ctx context.Context, c Config) (store.DB, error) {
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(c.Data, "slipway.db"), Now: c.Now})
	if err != nil {
		return nil, err
	}
	return db, nil
}

func openPostgres(ctx context.Context, c Config) (store.DB, error) {
	db, err := postgres.Open(ctx, c.Store, postgres.Options{Now: c.Now})
	if fault.Is(err, fault.Unavailable) {
		return nil, fault.Wrap(fault.Unavailable, err, "--store: the PostgreSQL database cannot be reached. Check that it runs, and the URL's host, port, name and password.")
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (s *Server) openCA(ctx context.Context) (err error) {
	s.ca, err = ca.Open(ca.Config{Dir: filepath.Join(s.cfg.Data, "ca"), Seal: s.seal, Now: s.cfg.Now, Rand: s.cfg.Rand})
	if err != nil {
		return err
	}
	if there, err := os.ReadFile(s.rootCAPath()); err == nil && bytes.Equal(there, s.ca.ServerRootPEM()) {
		return nil
	}
	return writeFile(s.rootCAPath(), s.ca.ServerRootPEM(), 0o644)
}

func (s *Server) rootCAPath() string { return filepath.Join(s.cfg.Data, "root-ca.pem") }

func (s *Server) openUseCases(ctx context.Context) error {
	s.hosts = newHosts(s.ca, s.db, s.cfg.Hosts, s.cfg.Now)
	if err := s.hosts.load(ctx); err != nil {
		return err
	}
	s.keys = ca.NewKeyPool(s.cfg.Pool, 1)
	s.functions = functions.NewSet(s.lookupFunction, map[string]functions.Opener{
		functions.Process:   process.Driver{Rand: s.cfg.Rand, Now: s.cfg.Now, Grant: s.grant}.Open,
		functions.HTTP:      httpfn.Driver{OwnPorts: s.ownPorts, Now: s.cfg.Now}.Open,
		functions.Allowlist: allowlist.Open,
	})
	s.authorize = &authorize.Service{DB: watched{s.bare, s.fresh}, Functions: s.functions, Now: s.cfg.Now, Metrics: s.metrics}
	s.provision, s.issuer = s.provisioner(s.db), s.provisioner(s.db)
	s.provision.Cause = arrival
	s.journal = journal.New(s.bare, s.cfg.Log, s.metrics, s.cfg.Now)
	s.callers = map[bool]*http.Client{}
	for _, private := range []bool{false, true} {
		s.callers[private] = httpfn.Driver{OwnPorts: s.ownPorts}.Client(private)
	}
	s.dispatch = s.dispatcher()
	s.gateway = gateway.New(gateway.Config{
		DB: watched{s.bare, s.fresh}, Listener: s.hear, Wanted: s.wanted, Paced: s.paced, Names: s.hosts, Provision: s.provision, Journal: s.journal, Limits: s.cfg.Limits, JITPInline: s.cfg.JITPInline,
		Authorizers: s.authorize, Signatures: signatures{s}, Web: newDevicePort(s), Now: s.cfg.Now, Rand: s.cfg.Rand, Log: s.cfg.Log, Metrics: s.metrics,
	})
	s.observe()
	return nil
}

// provisioner makes the engine over a store. Whatever differs between doors is
// an argument of its methods.
func (s *Server) provisioner(db store.DB) *provision.Service {
	return &provision.Service{
		DB: db, CA: s.ca, Keys: s.keys, Functions: s.functions, Reserved: s.hosts.Reserved,
		Now: s.cfg.Now, Rand: s.cfg.Rand, Log: s.cfg.Log, Metrics: s.metrics, Profile: s.cfg.Profile,
	}
}

// paced says whether AWS's rate quotas hold for an account's devices.
func (s *Server) paced(t arn.Tenant) bool { return s.hosts.Profile(t).Or(s.cfg.Profile) == tenants.AWS }

// lookupFunction reads a function's spec.
func (s *Server) lookupFunction(ctx context.Context, t arn.Tenant, name string) (*functions.Spec, error) {
	var body []byte
	err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		body, err = tx.Document(ctx, t, store.FunctionDocument, name)
		return err
	})
	if fault.Is(err, fault.Missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.unsealSpec(body)
}

// listen opens every port before anything is served, so that the first device
// finds all of them. What the server shows is made here too, so that a name
// for which no certificate can be made is told now and not to a device.
func (s *Server) listen(ctx context.Context) error {
	for _, port := range s.cfg.ports() {
		if port.address == "" {
			continue
		}
		var config net.ListenConfig
		if port.flag != "control" {
			config.KeepAlive = -1 // the gateway's own, for those whom it lets in
		}
		ln, err := config.Listen(ctx, "tcp", port.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fault.Wrap(fault.InvalidRequest, err, "--%s %s: the port is in use; stop what holds it, or choose another.", port.flag, port.address)
		}
		if err != nil {
			return fault.Wrap(fault.InvalidRequest, err, "--%s %s: the port cannot be opened.", port.flag, port.address)
		}
		s.listeners[port.flag] = ln
		if port.flag != "control" || s.controlTLS() {
			s.hosts.bind(ln.Addr())
		}
	}
	if at := s.listeners["control"].Addr(); !s.controlTLS() && !loopbackAddress(at.String()) {
		return fault.New(fault.InvalidRequest, "--control %s leads to %s, which is not on loopback; give an address that is, or one that is not by its number.", s.cfg.Control, at)
	}
	if _, err := s.hosts.Certificate(""); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "--host: no server certificate can be made for these names.")
	}
	s.endpoints = Endpoints{
		MQTT: s.address("mqtt"), ALPN: s.address("alpn"), HTTPS: s.address("https"), Control: s.controlURL(),
		Host: s.hosts.Endpoint(arn.Default), RootCA: s.rootCAPath(),
	}
	return nil
}

// ownPorts are the ports that no function may lead to.
func (s *Server) ownPorts() (out []int) {
	for _, ln := range s.listeners {
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
			out = append(out, tcp.Port)
		}
	}
	return out
}

func (s *Server) address(name string) string {
	if ln := s.listeners[name]; ln != nil {
		return reachable(ln.Addr())
	}
	return ""
}

// reachable writes a wildcard address as one that this machine can use.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
}

func (s *Server) controlTLS() bool { return !loopbackAddress(s.cfg.Control) }

func (s *Server) controlURL() string {
	scheme := "http://"
	if s.controlTLS() {
		scheme = "https://"
	}
	return scheme + s.address("control")
}

// Endpoints is where the server is reached.
func (s *Server) Endpoints() Endpoints { return s.endpoints }

// NewUnlockKey says that New made DATA/unlock.key.
func (s *Server) NewUnlockKey() bool { return s.newUnlock }

// Strangers counts the devices that are connected and not known yet.
func (s *Server) Strangers() int { return s.gateway.Strangers() }

// Ready is closed once the server serves.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Admin gives the first admin's access key.
func (s *Server) Admin() (*Credential, error) { return ReadAdmin(s.cfg.Data, s.seal) }

// Run serves until ctx ends, then closes everything.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.gateway.Load(ctx); err != nil {
		return ignoreEnd(err)
	}
	// The background outlives the edges: what they leave is still written.
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer s.bus.Subscribe(func(e event.Event) { s.followed(back, e) })()
	s.pulse.beat()
	var background errgroup.Group
	background.Go(func() error { s.journal.Run(back); return nil })
	background.Go(func() error { s.drain(back); return nil })
	background.Go(func() error { s.sealTrail(back); return nil })
	defer func() { stopBack(); _ = background.Wait() }()

	if err := s.gateway.AdoptWills(ctx); err != nil { // Tend tries again
		s.cfg.Log.ErrorContext(ctx, "wills of an earlier run", slog.Any("err", err))
	}
	edges, ctx := errgroup.WithContext(ctx)
	edges.Go(func() error { return ignoreEnd(s.keys.Run(ctx)) })
	edges.Go(func() error { s.dispatch.Run(ctx, s.cfg.Store == "sqlite"); return nil })
	edges.Go(func() error { s.provision.Reap(ctx, s.cfg.ReapEvery); return nil })
	edges.Go(func() error { s.bulk.Run(ctx); return nil })
	edges.Go(func() error { s.gateway.Tend(ctx); return nil })
	edges.Go(func() error { return s.gateway.Serve(s.listeners["mqtt"], gateway.Plain) })
	if ln := s.listeners["alpn"]; ln != nil {
		edges.Go(func() error { return s.gateway.Serve(ln, gateway.ByALPN) })
	}
	if ln := s.listeners["https"]; ln != nil {
		edges.Go(func() error { return s.gateway.Serve(ln, gateway.HTTPS) })
	}
	s.serveControl(ctx, edges)
	edges.Go(func() error { <-ctx.Done(); s.gateway.Close(); return nil })
	if err := s.announce(); err != nil {
		cancel()
		return errors.Join(err, edges.Wait())
	}
	defer os.Remove(filepath.Join(s.cfg.Data, EndpointsFile))
	close(s.ready)
	return edges.Wait()
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Server) announce() error {
	b, err := json.MarshalIndent(s.endpoints, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Data, EndpointsFile), append(b, '\n'), 0o600)
}

// serveControl serves the control port; off loopback with TLS.
func (s *Server) serveControl(ctx context.Context, group *errgroup.Group) {
	hs := &http.Server{
		Handler: s.controlHandler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	ln := s.listeners["control"]
	if s.controlTLS() {
		ln = tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.hosts.Certificate(h.ServerName) }})
	}
	group.Go(func() error {
		if err := hs.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := hs.Shutdown(grace); err != nil {
			return hs.Close()
		}
		return nil
	})
}

// Close releases everything; it may be called again.
func (s *Server) Close() {
	s.closing.Do(func() {
		for _, ln := range s.listeners {
			_ = ln.Close()
		}
		if s.gateway != nil {
			s.gateway.Close()
		}
		if s.functions != nil {
			_ = s.functions.Close()
		}
		if s.bare != nil {
			_ = s.bare.Close()
		}
		if s.lock != nil {
			_ = s.lock.Close()
		}
	})
}
