package provision_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wire"
)

var other = arn.Tenant{Account: "111122223333", Region: "us-east-1"}

// A rig is the engine over SQLite, with a clock that tests move, a store that
// fails when told to, and a function that answers what a test says.
type rig struct {
	t        testing.TB
	db       *lever
	ca       *ca.CA
	function *function
	engine   *provision.Service
	csr      []byte

	mu  sync.Mutex
	now time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return rigOver(t, db)
}

func rigOver(t testing.TB, db store.DB) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), function: &function{}}
	r.db = &lever{DB: db}
	dir := t.TempDir()
	key, _, err := seal.Open(dir, "", nil)
	must(t, err)
	r.ca, err = ca.Open(ca.Config{Dir: dir + "/ca", Seal: key, Now: r.clock})
	must(t, err)
	r.engine = r.newEngine()
	device, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	r.csr, err = sim.CSR(device, "device")
	must(t, err)
	r.update(func(ctx context.Context, tx store.Tx) error {
		for _, tn := range []arn.Tenant{arn.Default, other} {
			if _, err := tenants.Ensure(ctx, tx, tn, r.now); err != nil {
				return err
			}
		}
		return policy.Ensure(ctx, tx, arn.Default, "device", document, r.now)
	})
	return r
}

// newEngine is the engine as it is after a restart.
func (r *rig) newEngine() *provision.Service {
	return &provision.Service{
		DB: r.db, CA: r.ca, Keys: ca.NewKeyPool(1, 1), Functions: r.function,
		Reserved: func(name string) bool { return name == "localhost" },
		Now:      r.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) update(f func(context.Context, store.Tx) error) {
	r.t.Helper()
	must(r.t, r.db.DB.Update(context.Background(), f))
}

func (r *rig) view(f func(context.Context, store.Tx) error) {
	r.t.Helper()
	must(r.t, r.db.DB.View(context.Background(), f))
}

const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`

// body is a template of one thing named lamp-SERIAL; more are members of the
// thing besides its name, such as `,"Properties":…`.
func body(properties string, more ...string) string {
	return `{"Parameters":{"SerialNumber":{"Type":"String"},"Site":{"Type":"String","Default":"lab"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["lamp",{"Ref":"SerialNumber"}]]}` + properties + `}` + strings.Join(more, "") + `},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}}},
 "DeviceConfiguration":{"site":{"Ref":"Site"}}}`
}

const attributes = `,"AttributePayload":{"serial":{"Ref":"SerialNumber"},"site":{"Ref":"Site"}}`

// template stores a template in the default tenant, with the rig's function as
// its hook when asked is set.
func (r *rig) template(name, text string, asked bool, tags ...string) {
	r.t.Helper()
	r.templateOf(arn.Default, name, text, asked, tags...)
}

func (r *rig) templateOf(t arn.Tenant, name, text string, asked bool, tags ...string) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		rec := &templates.Record{
			Tenant: t, Name: name, Type: templates.FleetProvisioning, Enabled: true, RoleARN: "arn:aws:iam::000000000000:role/r",
			Created: r.now, Tags: map[string]string{},
		}
		for i := 0; i < len(tags); i += 2 {
			rec.Tags[tags[i]] = tags[i+1]
		}
		if asked {
			rec.Hook = &templates.HookRecord{TargetARN: "arn:aws:lambda:us-east-1:000000000000:function:gate"}
		}
		if _, err := tx.TemplateRecord(ctx, t, name); err == nil {
			if err := templates.Delete(ctx, tx, t, name, r.now); err != nil {
				return err
			}
		}
		return templates.Create(ctx, tx, rec, text)
	})
}

func (r *rig) change(name string, ch templates.Change) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Update(ctx, tx, arn.Default, name, ch, r.clock())
	})
}

// claim is a caller with a claim made by hand, which only its policy limits.
func (r *rig) claim() provision.Caller {
	return provision.Caller{Tenant: arn.Default, CertID: arn.CertID(strings.Repeat("c", 64)), ClientID: "boot", Since: r.clock()}
}

// token makes a certificate and gives the token that buys it.
func (r *rig) token() (token string, id arn.CertID) {
	r.t.Helper()
	a, err := r.engine.CreateFromCSR(context.Background(), r.claim(), r.csr)
	must(r.t, err)
	return a.Token, arn.CertID(a.CertificateID)
}

func request(token, serial string) wire.RegisterRequest {
	return wire.RegisterRequest{Token: token, Parameters: map[string]string{"SerialNumber": serial}}
}

// register asks template "fleet" for a thing.
func (r *rig) register(token, serial string) (*wire.RegisterAnswer, error) {
	return r.engine.RegisterThing(context.Background(), r.claim(), "fleet", request(token, serial))
}

// registered is register that must succeed.
func (r *rig) registered(token, serial string) *wire.RegisterAnswer {
	r.t.Helper()
	a, err := r.register(token, serial)
	must(r.t, err)
	return a
}

// wantFault checks the kind and the public sentence of an error.
func wantFault(t testing.TB, err error, kind fault.Kind, text string) {
	t.Helper()
	_, said := fault.Show(err)
	if !fault.Is(err, kind) || !strings.Contains(said, text) {
		t.Errorf("got %v (%v: %s)\nwant %v: … %s …", err, fault.Of(err), said, kind, text)
	}
}

func (r *rig) wantStatus(id arn.CertID, want string) {
	r.t.Helper()
	if got := r.status(id); got != want {
		r.t.Errorf("certificate %.8s is %s, want %s", id, got, want)
	}
}

// status of a certificate, or "absent".
func (r *rig) status(id arn.CertID) (status string) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if fault.Is(err, fault.Missing) {
			status = "absent"
			return nil
		}
		if err == nil {
			status = string(c.Status)
		}
		return err
	})
	return status
}

func (r *rig) thing(name string) (th *things.Thing) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) (err error) {
		th, err = tx.Thing(ctx, arn.Default, name)
		return err
	})
	return th
}

// lefts gives the left ends of links of a kind.
func (r *rig) lefts(k ref.Kind, right string) (out []string) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) error {
		links, _, err := tx.Lefts(ctx, arn.Default, k, right, ref.All)
		for _, l := range links {
			out = append(out, l.Left)
		}
		return err
	})
	return out
}

// snapshot writes down all that a registration may change, and how many events
// it emitted.
func (r *rig) snapshot() string {
	r.t.Helper()
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	r.view(func(ctx context.Context, tx store.Tx) error {
		all, _, err := tx.ListThings(ctx, arn.Default, things.Filter{}, ref.All)
		if err != nil {
			return err
		}
		for _, th := range all {
			add("thing %s type=%s billing=%s %v version=%d", th.Name, th.Type, th.BillingGroup, th.Attributes, th.Version)
			for _, k := range []ref.Kind{ref.GroupThing, ref.BillingThing} {
				links, _, err := tx.Lefts(ctx, arn.Default, k, th.Name, ref.All)
				if err != nil {
					return err
				}
				add("  %s %v", k, ends(links))
			}
		}
		certificates, _, err := tx.ListCertificates(ctx, arn.Default, ref.All)
		if err != nil {
			return err
		}
		for _, c := range certificates {
			add("certificate %s %s version=%d", c.ID, c.Status, c.Version)
			for _, k := range []ref.Kind{ref.ThingPrincipal, ref.PolicyTarget} {
				links, _, err := tx.Lefts(ctx, arn.Default, k, arn.Default.Cert(c.ID), ref.All)
				if err != nil {
					return err
				}
				add("  %s %v", k, ends(links))
			}
		}
		policies, _, err := tx.ListPolicies(ctx, arn.Default, ref.All)
		for _, p := range policies {
			add("policy %s %s", p.Name, p.Default)
		}
		return err
	})
	events, _, err := r.db.Outbox(context.Background(), 100_000)
	must(r.t, err)
	add("%d events", len(events))
	return strings.Join(out, "\n")
}

func ends(links []ref.Link) []string {
	var out []string
	for _, l := range links {
		out = append(out, l.Left+l.Data)
	}
	slices.Sort(out)
	return out
}
