package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/wire"
)

var other = arn.Tenant{Account: "111122223333", Region: "us-east-1"}

// hang is when a test gives up on what should have happened long ago. It only
// bounds a failing run.
const hang = 3 * time.Minute

// A site is a server on free ports, in a folder of its own.
type site struct {
	*Server
	t    testing.TB
	log  *buffer
	stop func() error // ends Run and gives its error
}

// made is a server that does not run yet.
func made(t testing.TB, data string, change ...func(*Config)) (*Server, error) {
	t.Helper()
	cfg := Config{Data: data, MQTT: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 1}
	for _, c := range change {
		c(&cfg)
	}
	return New(context.Background(), cfg)
}

func start(t testing.TB, data string, change ...func(*Config)) *site {
	t.Helper()
	log := &buffer{}
	change = append([]func(*Config){func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) }}, change...)
	srv, err := made(t, data, change...)
	must(t, err)
	return run(t, srv, log)
}

func run(t testing.TB, srv *Server, log *buffer) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	s := &site{Server: srv, t: t, log: log}
	var once sync.Once
	var ended error
	s.stop = func() error {
		once.Do(func() { cancel(); ended = <-done })
		return ended
	}
	t.Cleanup(func() { must(t, s.stop()) })
	select {
	case <-srv.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("the server ended: %v", err)
	}
	return s
}

// A buffer is a log that goroutines may write while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault checks the kind and the public sentence of an error.
func wantFault(t testing.TB, err error, kind fault.Kind, text string) {
	t.Helper()
	_, said := fault.Show(err)
	if !fault.Is(err, kind) || !strings.Contains(said, text) {
		t.Errorf("got %v (%v: %s)\nwant %v: … %s …", err, fault.Of(err), said, kind, text)
	}
}

// wantRefusal checks what the control plane refused with.
func wantRefusal(t testing.TB, err error, exception, text string) {
	t.Helper()
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Type != exception || !strings.Contains(refused.Message, text) {
		t.Errorf("got %v\nwant %s: … %s …", err, exception, text)
	}
}

// admin is a client with the first admin's key.
func (s *site) admin() *api.Client {
	s.t.Helper()
	c, err := s.Admin()
	must(s.t, err)
	return s.with(c.ID, c.Secret)
}

func (s *site) with(id, secret string) *api.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.ServerRoot())
	return &api.Client{Endpoint: s.Endpoints().Control, Region: arn.Default.Region, AccessKeyID: id, Secret: secret, Roots: roots}
}

// as is a client with a new key of the role.
func (s *site) as(account string, role tenants.Role) *api.Client {
	s.t.Helper()
	id, secret, err := tenants.Draw(rand.Reader)
	must(s.t, err)
	s.update(func(ctx context.Context, tx store.Tx) error {
		k := &tenants.AccessKey{ID: id, Account: account, Role: role, Name: string(role), Created: time.Now()}
		if role == tenants.Installer {
			k.Templates = []string{"fleet"}
		}
		if err := tenants.AddAccessKey(ctx, tx, s.seal, k, secret); err != nil {
			return err
		}
		_, err := tenants.Ensure(ctx, tx, arn.Tenant{Account: account, Region: arn.Default.Region}, time.Now())
		return err
	})
	return s.with(id, secret)
}

func call(c *api.Client, method, path, body string) (string, error) {
	var sent any
	if body != "" {
		sent = []byte(body)
	}
	var out []byte
	err := c.Do(context.Background(), method, path, nil, nil, sent, &out)
	return string(out), err
}

func (s *site) update(f func(context.Context, store.Tx) error) {
	s.t.Helper()
	must(s.t, s.db.Update(context.Background(), f))
}

// get fetches one of the pages beside the API.
func (s *site) get(path string) (int, string) {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.ServerRoot())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get(s.Endpoints().Control + path)
	must(s.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(s.t, err)
	return answer.StatusCode, string(body)
}

const fleet = `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["lamp",{"Ref":"SerialNumber"}]]}}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}}}}`

// furnish makes a template with a policy for its devices.
func (s *site) furnish() {
	s.t.Helper()
	s.update(func(ctx context.Context, tx store.Tx) error {
		const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
		if err := policy.Ensure(ctx, tx, arn.Default, "device", document, time.Now()); err != nil {
			return err
		}
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "fleet", Enabled: true, RoleARN: "r"}, fleet)
	})
}

// device is a virtual device that holds a claim for the template.
func (s *site) device(serial string) *sim.Device {
	s.t.Helper()
	cert, key, _, err := s.provision.Claim(context.Background(), arn.Default, provision.NewClaim{Template: "fleet"})
	must(s.t, err)
	pair, err := tls.X509KeyPair([]byte(cert.PEM), []byte(key))
	must(s.t, err)
	return &sim.Device{Connect: s.options(pair, "boot-"+serial), Template: "fleet", Format: wire.JSON, Parameters: map[string]string{"SerialNumber": serial}}
}

func (s *site) options(pair tls.Certificate, clientID string) client.Options {
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.ServerRoot())
	return client.Options{Address: s.Endpoints().MQTT, ServerName: "localhost", Roots: roots, Cert: pair,
		ClientID: clientID, Version: mqtt.V5, Timeout: hang}
}

func (s *site) setStatus(id arn.CertID, to certs.Status) {
	s.t.Helper()
	s.update(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if err != nil {
			return err
		}
		return certs.SetStatus(ctx, tx, c, to, time.Now())
	})
}

// A storeLever is a store that fails when told to.
type storeLever struct {
	store.DB
	mu                          sync.Mutex
	noViews, noOutbox, noForget bool
}

var errDisk = errors.New("disk I/O error")

func (l *storeLever) pull(which *bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *which {
		return errDisk
	}
	return nil
}

func (l *storeLever) set(which *bool, to bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*which = to
}

func (l *storeLever) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if err := l.pull(&l.noViews); err != nil {
		return err
	}
	return l.DB.View(ctx, f)
}

func (l *storeLever) Peek(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if err := l.pull(&l.noViews); err != nil {
		return err
	}
	return l.DB.Peek(ctx, f)
}
