package provision_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
)

// arrivalBody is body for devices that connect before they are known.
func arrivalBody(properties string) string {
	return strings.NewReplacer(`"SerialNumber"`, `"AWS::IoT::Certificate::SerialNumber"`, `,"Site":{"Type":"String","Default":"lab"}`, ``,
		`"DeviceConfiguration":{"site":{"Ref":"Site"}}`, `"DeviceConfiguration":{}`).Replace(body(properties))
}

// factory registers a CA in the tenant that registers what it signed, and moves
// the clock to the day of its certificates.
func (r *rig) factory(t arn.Tenant, registration *certs.Registration) certtest.Cert {
	r.t.Helper()
	r.advance(time.Since(r.clock()))
	ca := certtest.CA(r.t, "factory")
	a, _, err := certs.ReadAuthority(ca.PEM, "", certs.SNIOnly, r.clock())
	must(r.t, err)
	a.Tenant, a.Status, a.Automatic, a.Registration = t, certs.Active, true, registration
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Ensure(ctx, tx, t, "device", document, r.now); err != nil {
			return err
		}
		return certs.AddAuthority(ctx, tx, a, "", r.now)
	})
	return ca
}

func lamp(t *testing.T, ca certtest.Cert, serial string) certtest.Cert {
	return ca.Sign(t, "lamp", func(c *x509.Certificate) { c.Subject.SerialNumber = serial })
}

// arrive is a CONNECT of the leaf, on an engine.
func arrive(e *provision.Service, t arn.Tenant, leaf certtest.Cert) (*provision.Arrival, error) {
	who := provision.Caller{Tenant: t, CertID: arn.IDOf(leaf.Raw), ClientID: "lamp"}
	return e.JustInTime(context.Background(), who, leaf.Certificate)
}

// wantLamp checks that the leaf is one thing, ACTIVE.
func (r *rig) wantLamp(leaf certtest.Cert, name string) {
	r.t.Helper()
	id := arn.IDOf(leaf.Raw)
	r.wantStatus(id, "ACTIVE")
	if got := r.lefts(ref.ThingPrincipal, arn.Default.Cert(id)); fmt.Sprint(got) != "["+name+"]" {
		r.t.Errorf("its things are %v, want %s", got, name)
	}
	if got := r.lefts(ref.PolicyTarget, arn.Default.Cert(id)); fmt.Sprint(got) != "[device]" {
		r.t.Errorf("its policies are %v", got)
	}
}

// TestAFirstConnectionThatFailsAnywhereGoesOn fails one write after the other:
// nothing of the template is kept, and the next connection makes it whole.
func TestAFirstConnectionThatFailsAnywhereGoesOn(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, &certs.Registration{TemplateBody: arrivalBody(`,"AttributePayload":{"serial":{"Ref":"SerialNumber"}}`)})
	n := 1
	for ; ; n++ {
		leaf := lamp(t, ca, fmt.Sprint("S", n))
		name := fmt.Sprint("lamp-S", n)
		r.db.atWrite = n
		_, err := arrive(r.engine, arn.Default, leaf)
		r.db.atWrite = 0
		if err == nil {
			r.wantLamp(leaf, name)
			break
		}
		if s := r.status(arn.IDOf(leaf.Raw)); !errors.Is(err, errDisk) || s == "ACTIVE" {
			t.Errorf("write %d: got %v, and the certificate is %s", n, err, s)
		}
		r.view(func(ctx context.Context, tx store.Tx) error {
			if _, err := tx.Thing(ctx, arn.Default, name); !fault.Is(err, fault.Missing) {
				t.Errorf("write %d: the thing is there: %v", n, err)
			}
			return nil
		})
		if a, err := arrive(r.engine, arn.Default, leaf); err != nil || a.Thing != name {
			t.Errorf("after write %d: got %+v, %v", n, a, err)
		}
		r.wantLamp(leaf, name)
	}
	if n < 4 {
		t.Errorf("only %d writes were failed", n-1)
	}
}

func TestAFirstConnectionWhoseCommitIsLostGoesOn(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, &certs.Registration{TemplateBody: arrivalBody("")})
	for name, lever := range map[string]*bool{"commit": &r.db.lostCommit, "answer": &r.db.lostAnswer} {
		leaf := lamp(t, ca, name)
		for range 2 { // it meets the registration, then the template
			*lever = true
			_, err := arrive(r.engine, arn.Default, leaf)
			*lever = false
			if !errors.Is(err, errDisk) && name == "commit" {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if _, err := arrive(r.engine, arn.Default, leaf); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
		r.wantLamp(leaf, "lamp-"+name)
	}
}

func TestAFirstConnectionThatMeetsConflictsIsDoneOnce(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, &certs.Registration{TemplateBody: arrivalBody("")})
	r.engine.DB = conflicting{r.db}
	leaf := lamp(t, ca, "S1")
	a, err := arrive(r.engine, arn.Default, leaf)
	if err != nil || !a.Registered {
		t.Fatalf("got %+v, %v", a, err)
	}
	r.wantLamp(leaf, "lamp-S1")
	before := r.snapshot()
	if a, err := arrive(r.engine, arn.Default, leaf); err != nil || a.Registered || a.Certificate.Status != certs.Active {
		t.Errorf("again: got %+v, %v", a, err)
	}
	if after := r.snapshot(); after != before {
		t.Errorf("a settled certificate was touched:\n%s\n%s", before, after)
	}
}

// TestWhatTheOperatorDecidedMeanwhileStands holds that a template never changes
// a certificate that no longer waits.
func TestWhatTheOperatorDecidedMeanwhileStands(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, &certs.Registration{TemplateBody: arrivalBody("")})
	leaf := lamp(t, ca, "S1")
	r.db.afterUpdate = func() {
		r.db.afterUpdate = nil // between registration and template
		r.update(func(ctx context.Context, tx store.Tx) error {
			c, err := tx.Certificate(ctx, arn.Default, arn.IDOf(leaf.Raw))
			if err != nil {
				return err
			}
			return certs.SetStatus(ctx, tx, c, certs.Revoked, r.now)
		})
	}
	a, err := arrive(r.engine, arn.Default, leaf)
	if err != nil || a.Certificate.Status != certs.Revoked {
		t.Errorf("got %+v, %v", a, err)
	}
	if got := r.lefts(ref.ThingPrincipal, arn.Default.Cert(arn.IDOf(leaf.Raw))); got != nil {
		t.Errorf("a revoked certificate got things %v", got)
	}
}

// TestATemplateMayDenyThingsThatExist holds that the settings of a template
// count at this door too.
func TestATemplateMayDenyThingsThatExist(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, &certs.Registration{TemplateName: "lamps"})
	r.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "lamps", Type: templates.JustInTime, Enabled: true,
			RoleARN: "arn:aws:iam::000000000000:role/r", Created: r.now, Tags: map[string]string{"slipway:reprovision": "deny"}}, arrivalBody(""))
	})
	first, second := lamp(t, ca, "S1"), lamp(t, ca, "S1")
	if _, err := arrive(r.engine, arn.Default, first); err != nil {
		t.Fatal(err)
	}
	_, err := arrive(r.engine, arn.Default, second)
	wantFault(t, err, fault.Refused, "Duplicate serial: thing lamp-S1 exists already")
	r.wantStatus(arn.IDOf(second.Raw), "PENDING_ACTIVATION")
	r.wantLamp(first, "lamp-S1")
}

// TestTheQuotaOfArrivals holds AWS's rate for accounts that want it, and for
// those alone.
func TestTheQuotaOfArrivals(t *testing.T) {
	r := newRig(t)
	ca := r.factory(arn.Default, nil)
	many := func(n int) (refused int) {
		for range n {
			if _, err := arrive(r.engine, arn.Default, lamp(t, ca, "S")); err != nil {
				wantFault(t, err, fault.Refused, "at most 15 certificates a second")
				refused++
			}
		}
		return refused
	}
	if n := many(20); n != 0 {
		t.Errorf("%d were refused without a profile", n)
	}
	r.engine.Profile = tenants.AWS
	if n := many(20); n != 5 {
		t.Errorf("%d of 20 were refused", n)
	}
	r.advance(time.Second)
	if n := many(16); n != 1 {
		t.Errorf("a second later %d of 16 were refused", n)
	}
	r.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Set(ctx, tx, arn.Default, tenants.Change{Profile: new(string(tenants.None))}, r.clock())
		return err
	})
	if n := many(5); n != 0 {
		t.Errorf("%d were refused although the account has no quota", n)
	}
}
