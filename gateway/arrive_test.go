package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
)

// arrivalBody makes a thing of the subject: its serial number names it.
func arrivalBody(prefix string) string {
	return `{"Parameters":{"AWS::IoT::Certificate::SerialNumber":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["` + prefix + `",{"Ref":"AWS::IoT::Certificate::SerialNumber"}]]}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"all"}}}}`
}

func serialNumber(n string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.SerialNumber = n }
}

// sponsor registers the CA in SNI_ONLY mode in the tenant, which then registers
// what it signed, and the policy that its devices get.
func (x *scene) sponsor(t arn.Tenant, ca certtest.Cert, r *certs.Registration, change ...func(*certs.Authority)) *certs.Authority {
	x.t.Helper()
	a, _, err := certs.ReadAuthority(ca.PEM, "", certs.SNIOnly, time.Now())
	must(x.t, err)
	a.Tenant, a.Status, a.Automatic, a.Registration = t, certs.Active, true, r
	for _, f := range change {
		f(a)
	}
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Ensure(ctx, tx, t, "all", allowAll, x.now()); err != nil {
			return err
		}
		return certs.AddAuthority(ctx, tx, a, "", x.now())
	})
	return a
}

func inline(body string) *certs.Registration { return &certs.Registration{TemplateBody: body} }

// tries connects, and gives what the device saw; "" when it was accepted.
func (x *scene) tries(cert certtest.Cert, v mqtt.Version, change ...func(*tls.Config)) (saw string, d *raw) {
	x.t.Helper()
	d = x.raw(cert.TLS(), v, change...)
	d.connect(cert.Subject.CommonName)
	switch a := d.packet().(type) {
	case nil:
		return "socket closed", d
	case *mqtt.Connack:
		if a.Code == mqtt.Success {
			return "", d
		}
		d.note(a)
	}
	return d.end(), d
}

// found is the certificate in the tenant; nil: it is not registered.
func (x *scene) found(t arn.Tenant, cert certtest.Cert) (c *certs.Certificate) {
	x.t.Helper()
	must(x.t, x.db.View(context.Background(), func(ctx context.Context, tx store.Tx) (err error) {
		c, err = tx.Certificate(ctx, t, arn.IDOf(cert.Raw))
		if fault.Is(err, fault.Missing) {
			c, err = nil, nil
		}
		return err
	}))
	return c
}

// thingsOf gives the things that the certificate is attached to.
func (x *scene) thingsOf(t arn.Tenant, cert certtest.Cert) (names []string) {
	x.t.Helper()
	must(x.t, x.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		links, _, err := tx.Lefts(ctx, t, ref.ThingPrincipal, t.Cert(arn.IDOf(cert.Raw)), ref.All)
		for _, l := range links {
			names = append(names, l.Left)
		}
		return err
	}))
	return names
}

// attemptOf is the attempt of the device's connection.
func (x *scene) attemptOf(d *raw) *attempts.Attempt {
	x.t.Helper()
	return x.journal.await(x.t, "of "+d.local(), func(a *attempts.Attempt) bool { return a.Remote == d.local() })
}

func stepNames(a *attempts.Attempt) (names []string) {
	for _, s := range a.Steps {
		names = append(names, s.Name)
	}
	return slices.Compact(names)
}

func TestTheFirstConnectionProvisions(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, inline(arrivalBody("lamp")))
	for i, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			serial := fmt.Sprintf("A%d", i)
			leaf := ca.Sign(t, "dev-"+serial, serialNumber(serial))
			saw, d := x.tries(leaf, v)
			if v == mqtt.V311 && saw != "socket closed" || v == mqtt.V5 && !(strings.HasPrefix(saw, "CONNACK 0x87") && strings.Contains(saw, "provisioned just now and is ACTIVE") && strings.Contains(saw, "Connect again.")) {
				t.Errorf("the first connection saw %q", saw)
			}
			c := x.found(arn.Default, leaf)
			if c == nil || c.Status != certs.Active || c.Mode != certs.SNIOnly || c.CAID != string(arn.IDOf(ca.Raw)) || c.PEM != leaf.PEM {
				t.Fatalf("the certificate is %+v", c)
			}
			if got := x.thingsOf(arn.Default, leaf); !slices.Equal(got, []string{"lamp-" + serial}) {
				t.Errorf("its things are %v", got)
			}
			a := x.attemptOf(d)
			if want := []string{"tls", "find", "register", "plan", "apply", "announce", "connect", "end"}; !slices.Equal(stepNames(a), want) {
				t.Errorf("the attempt's steps are %v\nwant %v", stepNames(a), want)
			}
			if a.Outcome != attempts.Provisioned || a.Door != "jitp" || a.Thing != "lamp-"+serial || !slices.Contains(a.Keys, serial) || a.Tenant != arn.Default {
				t.Errorf("got %+v", a)
			}
			if saw, _ := x.tries(leaf, v); saw != "" {
				t.Errorf("the second connection saw %q", saw)
			}
		})
	}
	if rows := x.journal.rows(); len(rows) != 0 {
		t.Errorf("a device that was provisioned is folded with those refused: %v", rows)
	}
}

func TestTheFirstConnectionIsAdmittedIfWanted(t *testing.T) {
	x := newScene(t, Limits{})
	x.gateway.JITPInline = true
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, inline(arrivalBody("lamp")))
	leaf := ca.Sign(t, "dev-1", serialNumber("A1"))
	saw, d := x.tries(leaf, mqtt.V311)
	if saw != "" || !d.alive() {
		t.Fatalf("it saw %q", saw)
	}
	if a := x.attemptOf(d); a.Outcome != attempts.Provisioned || a.Thing != "lamp-A1" {
		t.Errorf("while it is connected, its attempt is %+v", a)
	}
	x.setStatus(arn.IDOf(leaf.Raw), certs.Revoked)
	if saw := d.end(); saw != "socket closed" {
		t.Errorf("revoked, it saw %q", saw)
	}
}

// TestATemplateByNameMayFailAndBeRepaired holds that a failure leaves nothing
// but the waiting certificate, says why, and is made good by the next CONNECT.
func TestATemplateByNameMayFailAndBeRepaired(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	body := strings.Replace(arrivalBody("lamp"), `"PolicyName":"all"`, `"PolicyName":"later"`, 1)
	x.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "lamps", Type: templates.JustInTime, Enabled: true,
			RoleARN: "arn:aws:iam::000000000000:role/r", Created: x.now()}, body)
	})
	x.sponsor(arn.Default, ca, &certs.Registration{TemplateName: "lamps"})
	leaf := ca.Sign(t, "dev-1", serialNumber("A1"))
	for _, words := range []string{"Policy later, which the template attaches, does not exist", "Policy later"} {
		saw, d := x.tries(leaf, mqtt.V5)
		if !strings.HasPrefix(saw, "CONNACK 0x87") || !strings.Contains(saw, words) || !strings.Contains(saw, "template lamps was not carried out") {
			t.Errorf("it saw %q", saw)
		}
		if c := x.found(arn.Default, leaf); c == nil || c.Status != certs.PendingActivation {
			t.Fatalf("the certificate is %+v", c)
		}
		if got := x.thingsOf(arn.Default, leaf); got != nil {
			t.Errorf("things %v were kept", got)
		}
		if a := x.attemptOf(d); a.Outcome != attempts.Refused || a.Door != "jitp" || a.Template != "lamps" || slices.Contains(stepNames(a), "apply") {
			t.Errorf("got %+v", a)
		}
	}
	must(t, x.db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Thing(ctx, arn.Default, "lamp-A1"); !fault.Is(err, fault.Missing) {
			t.Errorf("the thing is there: %v", err)
		}
		return nil
	}))
	x.update(func(ctx context.Context, tx store.Tx) error {
		return policy.Ensure(ctx, tx, arn.Default, "later", allowAll, x.now())
	})
	if saw, _ := x.tries(leaf, mqtt.V5); !strings.Contains(saw, "provisioned just now") {
		t.Errorf("after the repair it saw %q", saw)
	}
	if saw, _ := x.tries(leaf, mqtt.V5); saw != "" {
		t.Errorf("then it saw %q", saw)
	}
}

// TestManyFirstConnectionsAtOnceAreOne holds that a device which dials again
// before it was answered, or twice, is registered and provisioned once.
func TestManyFirstConnectionsAtOnceAreOne(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, inline(arrivalBody("lamp")))
	leaf := ca.Sign(t, "dev-1", serialNumber("A1"))
	var all sync.WaitGroup
	for range 12 {
		d := x.raw(leaf.TLS(), mqtt.V5)
		all.Go(func() {
			d.connect("dev-1")
			d.packet() // refused or, once the first is done, accepted
		})
	}
	all.Wait()
	saw, d := x.tries(leaf, mqtt.V5)
	if saw != "" || !d.alive() {
		t.Errorf("it saw %q", saw)
	}
	id := arn.IDOf(leaf.Raw)
	x.setStatus(id, certs.Inactive) // the last of its events: that it was cut says that all were heard
	d.end()
	made, changed := x.heard.count("certificate.created "+string(id)), x.heard.count("certificate.status "+string(id))
	if made != 1 || changed != 2 {
		t.Errorf("the certificate was registered %d times and changed %d times, first to ACTIVE and last to INACTIVE", made, changed)
	}
	if got := x.thingsOf(arn.Default, leaf); !slices.Equal(got, []string{"lamp-A1"}) {
		t.Errorf("its things are %v", got)
	}
}

func TestAHandshakeAloneRegistersNothing(t *testing.T) {
	x := newScene(t, Limits{})
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, inline(arrivalBody("lamp")))
	leaf := ca.Sign(t, "dev-1", serialNumber("A1"))
	d := x.raw(leaf.TLS(), mqtt.V5)
	d.tcp.Close()
	x.journal.await(t, "of the handshake", func(a *attempts.Attempt) bool { return a.Remote == d.local() })
	if c := x.found(arn.Default, leaf); c != nil {
		t.Errorf("it was registered: %+v", c)
	}
}

// TestWithoutATemplateArrivalIsAnnounced holds what JITR is: the event at
// registration and at every CONNECT until somebody activates the certificate.
func TestWithoutATemplateArrivalIsAnnounced(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) {
		if strings.HasPrefix(m.Topic, "$aws/") {
			heard <- m
		}
	}
	ca := certtest.CA(t, "maker")
	a := x.sponsor(arn.Default, ca, nil)
	leaf := ca.Sign(t, "dev-1")
	rule := x.online(x.cert, "rule", mqtt.V5)
	rule.send(subscribe("$aws/events/certificates/registered/+"))
	await[*mqtt.Suback](rule)
	deaf := x.online(func() tls.Certificate { c, _ := x.device("", onlyConnect); return c }(), "deaf", mqtt.V5)
	for i, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		saw, d := x.tries(leaf, v)
		if v == mqtt.V311 && saw != "socket closed" || v == mqtt.V5 && !strings.Contains(saw, "waits, PENDING_ACTIVATION") {
			t.Errorf("connection %d saw %q", i, saw)
		}
		m := await[*mqtt.Publish](rule)
		if m.Topic != "$aws/events/certificates/registered/"+string(a.ID) {
			t.Errorf("the event came on %s", m.Topic)
		}
		x.wantRegistered(m.Payload, a, leaf)
		if m := <-heard; m.Tenant != arn.Default || m.Topic != "$aws/events/certificates/registered/"+string(a.ID) || m.ClientID != "" || m.Principal != "" {
			t.Errorf("the listener heard %+v", m)
		}
		if got := x.attemptOf(d); got.Door != "jitr" || got.Outcome != attempts.Refused || !slices.Contains(stepNames(got), "announce") || slices.Contains(stepNames(got), "register") != (i == 0) {
			t.Errorf("got %+v", got)
		}
	}
	id := arn.IDOf(leaf.Raw)
	x.setStatus(id, certs.Active)
	x.allow(arn.Default, id)
	if saw, _ := x.tries(leaf, mqtt.V311); saw != "" {
		t.Errorf("activated, it saw %q", saw)
	}
	if !deaf.alive() || len(heard) != 0 {
		t.Error("it was announced once more, or told to who may not hear it")
	}
}

// wantRegistered checks the event against hooks-and-events.md, section 4.
func (x *scene) wantRegistered(payload []byte, a *certs.Authority, leaf certtest.Cert) {
	x.t.Helper()
	var e map[string]any
	must(x.t, json.Unmarshal(payload, &e))
	at, _ := e["timestamp"].(float64)
	delete(e, "timestamp")
	want := map[string]any{"certificateId": string(arn.IDOf(leaf.Raw)), "caCertificateId": string(a.ID), "certificateStatus": "PENDING_ACTIVATION",
		"awsAccountId": a.Tenant.Account, "certificateRegistrationTimestamp": nil}
	if fmt.Sprint(e) != fmt.Sprint(want) || x.now().Sub(time.UnixMilli(int64(at))).Abs() > time.Minute {
		x.t.Errorf("the event says %s", payload)
	}
}

// TestOneDeviceInSeveralAccountsAndRegions holds methods.md, section 8: the
// server name says which account is meant, and each makes a thing of its own.
func TestOneDeviceInSeveralAccountsAndRegions(t *testing.T) {
	x := newScene(t, Limits{})
	abroad := arn.Tenant{Account: arn.Default.Account, Region: "eu-central-1"}
	x.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Ensure(ctx, tx, abroad, x.now())
		return err
	})
	x.names.tenants["eu.localhost"] = abroad
	ca := certtest.CA(t, "maker")
	leaf := ca.Sign(t, "dev-1", serialNumber("A1"))
	where := map[string]arn.Tenant{"localhost": arn.Default, "other.localhost": x.other, "eu.localhost": abroad}
	named := func(name string) func(*tls.Config) {
		return func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = name, true }
	}
	for name, tenant := range where {
		x.sponsor(tenant, ca, inline(arrivalBody(strings.Split(name, ".")[0])))
	}
	if saw, _ := x.tries(leaf, mqtt.V5, named("")); !strings.HasPrefix(saw, "CONNACK 0x87") || !strings.Contains(saw, "sent no server name (SNI)") {
		t.Errorf("without a server name it saw %q", saw)
	}
	for name, tenant := range where {
		if c := x.found(tenant, leaf); c != nil {
			t.Fatalf("it is registered in %v before it came there", tenant)
		}
		for _, want := range []string{"provisioned just now", ""} {
			if saw, _ := x.tries(leaf, mqtt.V5, named(name)); !strings.Contains(saw, want) || want == "" && saw != "" {
				t.Errorf("at %s it saw %q", name, saw)
			}
		}
		if got := x.thingsOf(tenant, leaf); !slices.Equal(got, []string{strings.Split(name, ".")[0] + "-A1"}) {
			t.Errorf("at %s its things are %v", name, got)
		}
	}
	if saw, _ := x.tries(leaf, mqtt.V5, named("")); !strings.Contains(saw, "SNI_ONLY mode") {
		t.Errorf("registered in three accounts and without a server name it saw %q", saw)
	}
	d, err := x.handshake(leaf.TLS(), named("elsewhere.localhost"))
	if err == nil {
		_, err = d.conn.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("at a name of nobody it saw %v", err)
	}
	x.setStatus(arn.IDOf(leaf.Raw), certs.Inactive)
	if saw, _ := x.tries(leaf, mqtt.V5, named("eu.localhost")); saw != "" {
		t.Errorf("INACTIVE in one account, it saw in another region %q", saw)
	}
}

// TestNamesakesAreTriedByTheirKeys holds that of several CAs with one subject
// the one that signed is found, and that a renewed CA serves for the old one.
func TestNamesakesAreTriedByTheirKeys(t *testing.T) {
	x := newScene(t, Limits{})
	var cas []certtest.Cert
	for i := range 3 {
		cas = append(cas, certtest.CA(t, "maker"))
		x.sponsor(arn.Default, cas[i], inline(arrivalBody(fmt.Sprintf("line%d", i))))
	}
	for i, ca := range cas {
		leaf := ca.Sign(t, "dev", serialNumber(fmt.Sprint("S", i)))
		if saw, _ := x.tries(leaf, mqtt.V5); !strings.Contains(saw, "provisioned just now") {
			t.Errorf("saw %q", saw)
		}
		if got := x.thingsOf(arn.Default, leaf); !slices.Equal(got, []string{fmt.Sprintf("line%d-S%d", i, i)}) {
			t.Errorf("its things are %v", got)
		}
	}
	renewed := certtest.SelfSigned(t, "maker", cas[0].Key, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	x.sponsor(arn.Default, renewed, inline(arrivalBody("renewed")))
	x.update(func(ctx context.Context, tx store.Tx) error {
		return certs.ChangeAuthority(ctx, tx, arn.Default, arn.IDOf(cas[0].Raw), certs.AuthorityChange{Status: certs.Inactive}, x.now())
	})
	leaf := cas[0].Sign(t, "dev", serialNumber("S9"))
	if saw, _ := x.tries(leaf, mqtt.V5); !strings.Contains(saw, "provisioned just now") {
		t.Errorf("under the renewed CA it saw %q", saw)
	}
	if got := x.thingsOf(arn.Default, leaf); !slices.Equal(got, []string{"renewed-S9"}) {
		t.Errorf("its things are %v", got)
	}
}

// TestForgeriesCountAgainstTheirAddress holds that a stranger who names a CA in
// a certificate of his own is soon turned away at the door, while devices that
// were provisioned count for nothing.
func TestForgeriesCountAgainstTheirAddress(t *testing.T) {
	x := newScene(t, Limits{Burst: 5, Failures: 0.001})
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, inline(arrivalBody("lamp")))
	for i := range 8 {
		leaf := ca.Sign(t, "dev", serialNumber(fmt.Sprint("S", i)))
		if saw, _ := x.tries(leaf, mqtt.V5); !strings.Contains(saw, "provisioned just now") {
			t.Fatalf("device %d saw %q", i, saw)
		}
	}
	for i := range 5 {
		forged := certtest.CA(t, "maker").Sign(t, "dev")
		if saw, _ := x.tries(forged, mqtt.V5); !strings.Contains(saw, "whose key did not sign it") {
			t.Fatalf("forgery %d saw %q", i, saw)
		}
		if c := x.found(arn.Default, forged); c != nil {
			t.Errorf("a forgery is registered: %+v", c)
		}
	}
	if d, err := x.handshake(certtest.CA(t, "maker").Sign(t, "dev").TLS()); err == nil {
		t.Errorf("the sixth passed the handshake: %q", d.end())
	}
}

// TestWhoWaitsDoesNotCountAgainstItsAddress holds that a device which waits to be
// activated may come as often as it likes: its neighbours behind the same
// address still get in.
func TestWhoWaitsDoesNotCountAgainstItsAddress(t *testing.T) {
	x := newScene(t, Limits{Burst: 5, Failures: 0.001})
	ca := certtest.CA(t, "maker")
	x.sponsor(arn.Default, ca, nil)
	leaf := ca.Sign(t, "dev-1")
	for i := range 8 {
		if saw, _ := x.tries(leaf, mqtt.V5); !strings.Contains(saw, "waits, PENDING_ACTIVATION") {
			t.Fatalf("time %d it saw %q", i, saw)
		}
	}
	x.online(x.cert, "neighbour", mqtt.V5)
}
