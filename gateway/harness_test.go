package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/bus/local"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/allowlist"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/wire"
)

// A rig is a whole gateway over SQLite, with a clock that tests can move.
type rig struct {
	t       testing.TB
	db      store.DB
	store   *flakyDB // db, as gateway and engine see it
	ca      *ca.CA
	gateway *Gateway
	follows atomic.Pointer[Gateway] // gateway, as the goroutine of follow may see it
	engine  *provision.Service
	names   *fixedNames
	journal *memoryJournal
	plain   string // address of the plain port
	alpn    string
	https   string
	signers *signers
	judge   *judge
	other   arn.Tenant

	heard ears // what the gateway has followed

	mu     sync.Mutex
	shift  time.Duration
	frozen time.Time // the clock stands still, but for shift; zero: it runs
}

// ears count events.
type ears struct {
	mu sync.Mutex
	n  map[string]int
}

func (e *ears) hear(ev event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == nil {
		e.n = map[string]int{}
	}
	e.n[string(ev.Kind)+" "+ev.ID]++
}

func (e *ears) count(key string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n[key]
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.frozen.IsZero() {
		return r.frozen.Add(r.shift)
	}
	return time.Now().Add(r.shift)
}

// freeze stops the clock; from then on only advance moves it.
func (r *rig) freeze() {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen, r.shift = now, 0
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shift += d
}

// A flakyDB is a database that can be made to fail.
type flakyDB struct {
	store.DB
	broken atomic.Bool
	full   atomic.Bool            // fails to write, and reads
	begun  atomic.Pointer[func()] // runs once, when the next View's snapshot has begun
	read   atomic.Pointer[func()] // runs once, after the next View has read
}

var errDisk = errors.New("disk I/O error")

func (d *flakyDB) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if d.broken.Load() {
		return errDisk
	}
	err := d.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		if then := d.begun.Swap(nil); then != nil {
			_, _ = tx.Tenant(ctx, arn.Default)
			(*then)()
		}
		return f(ctx, tx)
	})
	if then := d.read.Swap(nil); then != nil {
		(*then)()
	}
	return err
}

// Peek goes the way of View, so that a test can come between.
func (d *flakyDB) Peek(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return d.View(ctx, f)
}

func (d *flakyDB) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if d.broken.Load() || d.full.Load() {
		return errDisk
	}
	return d.DB.Update(ctx, f)
}

// fixedNames: localhost is the default tenant, other.localhost another one.
type fixedNames struct {
	tenants map[string]arn.Tenant
	shown   *tls.Certificate

	mu       sync.Mutex
	domains  map[string]*access.Domain // of the default tenant, by name
	standing *access.Domain            // of its endpoint
}

func (n *fixedNames) Tenant(name string) (arn.Tenant, bool) {
	if t, ok := n.tenants[name]; ok {
		return t, true
	}
	d := n.Domain(name)
	return arn.Default, d != nil && closed(d) == ""
}

func (n *fixedNames) Domain(name string) *access.Domain {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.domains[name]
}

func (n *fixedNames) Standing(arn.Tenant) *access.Domain {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.standing
}

func (n *fixedNames) Certificate(string) (*tls.Certificate, error) { return n.shown, nil }
func (n *fixedNames) Known() []string                              { return []string{"localhost", "other.localhost"} }
func (n *fixedNames) Tenants() []arn.Tenant                        { return []arn.Tenant{arn.Default} }

// awaitStrangers waits until so many connections stand in the door. The door
// tells nobody, so this looks again and again.
func (r *rig) awaitStrangers(n int) {
	r.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		r.gateway.door.mu.Lock()
		here := r.gateway.door.strangers.Len()
		r.gateway.door.mu.Unlock()
		if here == n {
			return
		}
		runtime.Gosched()
	}
	r.t.Fatalf("there are never %d strangers", n)
}

func newRig(t testing.TB, limits Limits) *rig {
	t.Helper()
	r := &rig{t: t, other: arn.Tenant{Account: "111122223333", Region: "us-east-1"}}
	r.journal = &memoryJournal{folded: map[string]int{}, new: make(chan struct{})}
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Now: r.now})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	r.db, r.store = db, &flakyDB{DB: db}
	dir := t.TempDir()
	key, _, err := seal.Open(dir, "", rand.Reader)
	must(t, err)
	r.ca, err = ca.Open(ca.Config{Dir: dir + "/ca", Seal: key, Now: r.now, Rand: rand.Reader})
	must(t, err)
	shown, err := r.ca.ServerCertificate([]string{"localhost", "other.localhost", "127.0.0.1", site})
	must(t, err)
	r.names = &fixedNames{tenants: map[string]arn.Tenant{"localhost": arn.Default, "127.0.0.1": arn.Default, "other.localhost": r.other}, shown: shown}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	set := functions.NewSet(func(_ context.Context, _ arn.Tenant, name string) (*functions.Spec, error) {
		if _, known := verdicts[name]; known {
			return &functions.Spec{Name: name, Kind: functions.HTTP, URL: "https://factory.example/"}, nil
		}
		if name != "factory" {
			return nil, nil
		}
		return &functions.Spec{Name: name, Kind: functions.Allowlist, CSV: "SerialNumber\nA1\nA2\nA3\n"}, nil
	}, map[string]functions.Opener{functions.Allowlist: allowlist.Open, functions.HTTP: func(_ arn.Tenant, s functions.Spec) (functions.Function, error) {
		return canned(verdicts[s.Name]), nil
	}})
	t.Cleanup(func() { set.Close() })
	r.engine = &provision.Service{
		DB: r.store, CA: r.ca, Keys: ca.NewKeyPool(1, 1), Functions: set, Reserved: func(n string) bool { return n == "localhost" },
		Now: r.now, Rand: rand.Reader, Log: log,
	}
	r.signers = &signers{keys: map[string]Caller{}}
	r.judge = newJudge(r)
	r.gateway = New(Config{Authorizers: r.judge, Signatures: r.signers, DB: r.store, Names: r.names, Provision: r.engine, Journal: r.journal, Limits: limits, Now: r.now, Rand: rand.Reader, Log: log})
	r.follows.Store(r.gateway)
	t.Cleanup(r.gateway.Close)
	r.plain = r.serve(Plain)
	r.alpn = r.serve(ByALPN)
	r.https = r.serve(HTTPS)
	r.follow()
	r.update(func(ctx context.Context, tx store.Tx) error {
		for _, tn := range []arn.Tenant{arn.Default, r.other} {
			if _, err := tenants.Ensure(ctx, tx, tn, r.now()); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

func (r *rig) serve(mode Mode) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	go r.gateway.Serve(ln, mode)
	return ln.Addr().String()
}

// follow carries the outbox to the gateway, as the server does.
func (r *rig) follow() {
	bus := &local.Bus{}
	bus.Subscribe(func(e event.Event) { r.follows.Load().Follow(e); r.heard.hear(e) })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.db.Committed():
			}
			events, position, err := r.db.Outbox(ctx, 1000)
			if err == nil && len(events) > 0 {
				bus.Publish(events)
				r.db.Forget(ctx, position)
			}
		}
	}()
}

// settled waits until the gateway has followed what was committed so far: a
// connection that is opened from then on has rights that need not be read anew.
func (r *rig) settled() {
	r.t.Helper()
	for waits := true; waits; runtime.Gosched() {
		events, _, err := r.db.Outbox(context.Background(), 1)
		must(r.t, err)
		waits = len(events) > 0
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) update(f func(context.Context, store.Tx) error) {
	r.t.Helper()
	must(r.t, r.db.Update(context.Background(), f))
}

// fleet makes the template, with a policy for its devices.
func (r *rig) fleet(name, body, hook string, tags map[string]string) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Ensure(ctx, tx, arn.Default, "device", devicePolicy, r.now()); err != nil {
			return err
		}
		rec := &templates.Record{Tenant: arn.Default, Name: name, Type: templates.FleetProvisioning, Enabled: true,
			RoleARN: "arn:aws:iam::000000000000:role/provisioning", Default: 1, Next: 2, Created: r.now(), Modified: r.now(), Tags: tags,
			Versions: []templates.VersionRecord{{ID: 1, Body: body, Created: r.now()}}}
		if hook != "" {
			rec.Hook = &templates.HookRecord{PayloadVersion: "2020-04-01", TargetARN: "arn:aws:lambda:us-east-1:000000000000:function:" + hook}
		}
		return tx.PutTemplate(ctx, rec)
	})
}

const devicePolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":["arn:aws:iot:*:*:topic/dt/*","arn:aws:iot:*:*:topic/$aws/certificates/*"]},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/dt/*"}]}`

const fleetBody = `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["lock",{"Ref":"SerialNumber"}]]},"AttributePayload":{"serial":{"Ref":"SerialNumber"}}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}}},
 "DeviceConfiguration":{"site":"lab"}}`

// claim makes a claim for the template.
func (r *rig) claim(template string, validFor time.Duration) (tls.Certificate, *certs.Certificate) {
	r.t.Helper()
	c, key, _, err := r.engine.Claim(context.Background(), arn.Default, provision.NewClaim{Template: template, ValidFor: validFor, MadeBy: "test"})
	must(r.t, err)
	pair, err := tls.X509KeyPair([]byte(c.PEM), []byte(key))
	must(r.t, err)
	return pair, c
}

// device makes an ACTIVE certificate with the given policy documents, attached
// to a thing when one is named.
func (r *rig) device(thing string, documents ...string) (tls.Certificate, arn.CertID) {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(r.t, err)
	csr, err := sim.CSR(key, "device")
	must(r.t, err)
	c, err := r.engine.IssueFromCSR(context.Background(), arn.Default, string(csr), true)
	must(r.t, err)
	r.attach(c.ID, thing, documents...)
	r.settled()
	leaf, err := tls.X509KeyPair([]byte(c.PEM), keyPEM(r.t, key))
	must(r.t, err)
	return leaf, c.ID
}

func (r *rig) options(cert tls.Certificate, clientID string, v mqtt.Version) client.Options {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.ca.ServerRootPEM())
	return client.Options{Address: r.plain, ServerName: "localhost", Roots: roots, Cert: cert, ClientID: clientID, Version: v, Timeout: patience}
}

func (r *rig) sim(cert tls.Certificate, template, serial string, f wire.Format, v mqtt.Version) *sim.Device {
	return &sim.Device{Connect: r.options(cert, "boot-"+serial, v), Template: template,
		Parameters: map[string]string{"SerialNumber": serial}, Format: f}
}
