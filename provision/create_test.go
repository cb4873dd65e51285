package provision_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/wire"
)

// intents gives those that wait now.
func (r *rig) intents() (all []*certs.Intent) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) (err error) {
		all, err = tx.StaleIntents(ctx, r.clock().Add(time.Hour), 1000)
		return err
	})
	return all
}

func (r *rig) certificates() (all []*certs.Certificate) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) (err error) {
		all, _, err = tx.ListCertificates(ctx, arn.Default, ref.All)
		return err
	})
	return all
}

func TestACertificateForTheDevicesOwnKey(t *testing.T) {
	r := newRig(t)
	a, err := r.engine.CreateFromCSR(context.Background(), r.claim(), r.csr)
	must(t, err)
	block, _ := pem.Decode([]byte(a.CertificatePEM))
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	if a.CertificateID != string(arn.IDOf(block.Bytes)) || a.PrivateKey != "" || len(a.Token) > 400 {
		t.Errorf("got %+v", a)
	}
	if cert.NotAfter.Format(time.RFC3339) != "2049-12-31T23:59:59Z" {
		t.Errorf("it ends at %v", cert.NotAfter)
	}
	stored := r.certificates()
	if len(stored) != 1 || stored[0].Status != certs.PendingActivation || stored[0].Origin != certs.FromCSR || stored[0].PEM != a.CertificatePEM || stored[0].Version != 1 {
		t.Errorf("stored %+v", stored)
	}
	if len(r.intents()) != 0 {
		t.Error("its intent is still there")
	}
	if got := r.lefts(ref.PolicyTarget, arn.Default.Cert(stored[0].ID)); len(got) != 0 {
		t.Errorf("it has policies: %v", got)
	}
	again, err := r.engine.CreateFromCSR(context.Background(), r.claim(), r.csr)
	must(t, err)
	if again.CertificateID == a.CertificateID || again.Token == a.Token {
		t.Error("the same request got the same certificate or token")
	}
}

func TestACertificateWithAKeyMadeHere(t *testing.T) {
	r := newRig(t) // nobody fills its pool
	a, err := r.engine.CreateKeys(context.Background(), r.claim())
	must(t, err)
	if _, err := tls.X509KeyPair([]byte(a.CertificatePEM), []byte(a.PrivateKey)); err != nil || !strings.HasPrefix(a.PrivateKey, "-----BEGIN RSA PRIVATE KEY-----\n") {
		t.Errorf("key and certificate: %v\n%s", err, a.PrivateKey)
	}
	if n := r.engine.Keys.Misses(); n != 1 {
		t.Errorf("the empty pool was missed %d times", n)
	}
	t.Run("but not for a device that left while the pool was empty", func(t *testing.T) {
		ctx, leave := context.WithCancel(context.Background())
		leave()
		before := r.snapshot()
		if _, err := r.engine.CreateKeys(ctx, r.claim()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		if r.snapshot() != before || len(r.intents()) != 0 {
			t.Error("something was stored")
		}
	})
}

func TestNothingIsSignedUnexamined(t *testing.T) {
	r := newRig(t)
	_, err := r.engine.CreateFromCSR(context.Background(), r.claim(), []byte("no request"))
	wantFault(t, err, fault.InvalidCSR, "")
	if len(r.intents()) != 0 || len(r.certificates()) != 0 {
		t.Error("something was stored")
	}
}

// The intent is on disk before the key is used: a device that leaves between
// the two gets no signature, and the intent tells of it.
func TestTheIntentComesFirst(t *testing.T) {
	r := newRig(t)
	ctx, leave := context.WithCancel(context.Background())
	r.db.afterUpdate = leave
	_, err := r.engine.CreateFromCSR(ctx, r.claim(), r.csr)
	wantFault(t, err, fault.Unavailable, "before its certificate was signed")
	if i := r.intents(); len(i) != 1 || i[0].Subject != "CN=device" || i[0].Purpose != "csr" {
		t.Errorf("got %+v", i)
	}
	if len(r.certificates()) != 0 {
		t.Error("a certificate was stored")
	}
}

func TestTheStoreFailsWhileACertificateIsMade(t *testing.T) {
	for _, test := range []struct {
		say          string
		break_       func(*lever)
		intents      int
		certificates int
	}{
		{"the intent failed and was not stored", func(l *lever) { l.lostCommit = true }, 0, 0},
		{"the intent failed and was stored", func(l *lever) { l.lostAnswer = true }, 1, 0},
		{"the certificate failed and was not stored", func(l *lever) { l.afterUpdate = func() { l.lostCommit = true } }, 1, 0},
		{"the certificate failed and was stored", func(l *lever) { l.afterUpdate = func() { l.afterUpdate = func() { l.lostAnswer = true } } }, 0, 1},
		{"the token failed, so the certificate was not stored", func(l *lever) { l.afterUpdate = func() { l.atWrite = 3 } }, 1, 0},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			test.break_(r.db)
			if a, err := r.engine.CreateFromCSR(context.Background(), r.claim(), r.csr); err == nil {
				t.Fatalf("got %+v", a)
			}
			if got := len(r.intents()); got != test.intents {
				t.Errorf("%d intents, want %d", got, test.intents)
			}
			if got := len(r.certificates()); got != test.certificates {
				t.Errorf("%d certificates, want %d", got, test.certificates)
			}
			*r.db = lever{DB: r.db.DB}
			r.token() // the device asks again
			r.advance(25 * time.Hour)
			must(t, r.engine.ReapOnce(context.Background()))
			if len(r.intents()) != 0 || len(r.certificates()) != 0 {
				t.Error("the reaper left something")
			}
		})
	}
}

func TestNoRandomnessNoToken(t *testing.T) {
	r := newRig(t)
	r.engine.Rand = strings.NewReader("short")
	if _, err := r.engine.CreateFromCSR(context.Background(), r.claim(), r.csr); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if len(r.intents()) != 0 {
		t.Error("an intent was stored")
	}
}

func TestAClaimWhoseTimeIsOver(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	who := r.claim()
	who.NotAfter = r.clock().Add(time.Hour)
	trusted := r.claim()
	trusted.Claim = &certs.ClaimRecord{Trusted: true, Template: "fleet"}
	token, _ := r.token()

	r.advance(5 * time.Minute)
	_, err := r.engine.CreateFromCSR(context.Background(), trusted, r.csr)
	must(t, err)
	r.advance(time.Microsecond)
	_, err = r.engine.CreateFromCSR(context.Background(), trusted, r.csr)
	wantFault(t, err, fault.Refused, "older than five minutes")
	_, err = r.engine.CreateKeys(context.Background(), trusted)
	wantFault(t, err, fault.Refused, "older than five minutes")

	r.advance(50 * time.Minute)
	_, err = r.engine.CreateFromCSR(context.Background(), who, r.csr)
	must(t, err)
	t.Run("RegisterThing still follows the token's hour", func(t *testing.T) {
		_, err := r.engine.RegisterThing(context.Background(), trusted, "fleet", request(token, "1"))
		must(t, err)
	})
	r.advance(10 * time.Minute)
	_, err = r.engine.CreateFromCSR(context.Background(), who, r.csr)
	wantFault(t, err, fault.Refused, "expired at 2026-03-01T13:00:00Z, while the device was connected")
}

func TestValidity(t *testing.T) {
	r := newRig(t)
	r.template("short", body(""), false, "slipway:validity", "90d")
	r.template("long", body(""), false, "slipway:validity", "36500d")
	r.template("plain", body(""), false)
	aws := time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
	lasts := func(claimFor, listensTo string, may ...string) time.Time {
		t.Helper()
		who := r.claim()
		who.Template = listensTo
		who.MayPublish = func(topic string) bool {
			return slices.ContainsFunc(may, func(name string) bool { return topic == wire.RegisterTopic(name, wire.CBOR) })
		}
		if claimFor != "" {
			who.Claim = &certs.ClaimRecord{Template: claimFor}
		}
		a, err := r.engine.CreateFromCSR(context.Background(), who, r.csr)
		must(t, err)
		for _, c := range r.certificates() {
			if string(c.ID) == a.CertificateID {
				return c.NotAfter
			}
		}
		return time.Time{}
	}
	for _, test := range []struct {
		say, claim, listens string
		want                time.Time
	}{
		{"without any hint as AWS's", "", "", aws},
		{"by the template that the claim is for", "short", "", r.clock().AddDate(0, 0, 90)},
		{"by the template that the device listens to", "", "short", r.clock().AddDate(0, 0, 90)},
		{"the claim's template wins", "short", "plain", r.clock().AddDate(0, 0, 90)},
		{"by a template that says nothing, as AWS's", "plain", "", aws},
		{"by a template that does not exist, as AWS's", "", "nobody", aws},
		{"never longer than the authority's own", "long", "", aws},
	} {
		t.Run(test.say, func(t *testing.T) {
			if got := lasts(test.claim, test.listens); !got.Equal(test.want) {
				t.Errorf("it ends at %v, want %v", got, test.want)
			}
		})
	}
	for want, may := range map[time.Time][]string{
		r.clock().AddDate(0, 0, 90): {"short", "nobody"},
		aws:                         {"short", "plain"}, // which of them, nobody knows
	} {
		if got := lasts("", "", may...); !got.Equal(want) {
			t.Errorf("made for who may register with %v it ends at %v, want %v", may, got, want)
		}
	}
	t.Run("a change counts once it was told", func(t *testing.T) {
		r.update(func(ctx context.Context, tx store.Tx) error {
			return templates.Tag(ctx, tx, arn.Default, "short", map[string]string{"slipway:validity": "1h"}, nil, r.clock())
		})
		events, _, err := r.db.Outbox(context.Background(), 1000)
		must(t, err)
		for _, e := range events {
			if e.Kind == event.TemplateChanged {
				r.engine.Follow(e)
			}
		}
		if got := lasts("short", ""); !got.Equal(r.clock().Add(time.Hour)) {
			t.Errorf("it ends at %v", got)
		}
		if got := lasts("", "", "short"); !got.Equal(r.clock().Add(time.Hour)) {
			t.Errorf("it ends at %v", got)
		}
	})
}

// Whoever claims by a policy for several templates learns from the timeline why
// the certificate lasts longer than the template says.
func TestACertificateThatLastsLongerThanItsTemplateSaysIsNoted(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false, "slipway:validity", "90d")
	token, _ := r.token()
	trace := &steps{}
	who := r.claim()
	who.Trace = trace
	_, err := r.engine.RegisterThing(t.Context(), who, "fleet", request(token, "1"))
	must(t, err)
	if text := strings.Join(trace.all, "\n"); !strings.Contains(text, "lasts until 2049-12-31, longer than slipway:validity of template fleet") {
		t.Errorf("got %s", text)
	}
}

func TestTheControlPlanesCertificates(t *testing.T) {
	r := newRig(t)
	for active, want := range map[bool]string{true: "ACTIVE", false: "INACTIVE"} {
		c, err := r.engine.IssueFromCSR(context.Background(), arn.Default, string(r.csr), active)
		must(t, err)
		r.wantStatus(c.ID, want)
	}
	c, key, public, err := r.engine.IssueKeys(context.Background(), arn.Default, true)
	must(t, err)
	if _, err := tls.X509KeyPair([]byte(c.PEM), []byte(key)); err != nil || !strings.HasPrefix(public, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("%v\n%s", err, public)
	}
	if _, err := r.engine.IssueFromCSR(context.Background(), arn.Default, "no request", true); !fault.Is(err, fault.InvalidCSR) {
		t.Errorf("got %v", err)
	}
}

func TestClaims(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	ctx := context.Background()
	made := provision.NewClaim{Template: "fleet", ValidFor: 48 * time.Hour, MadeBy: "AKIA1"}
	first, key, public, err := r.engine.Claim(ctx, arn.Default, made)
	must(t, err)
	if _, err := tls.X509KeyPair([]byte(first.PEM), []byte(key)); err != nil || public == "" {
		t.Errorf("the key does not fit: %v", err)
	}
	second, _, _, err := r.engine.Claim(ctx, arn.Default, provision.NewClaim{Template: "fleet"})
	must(t, err)
	for _, c := range []*certs.Certificate{first, second} {
		r.wantStatus(c.ID, "ACTIVE")
		if got := r.lefts(ref.PolicyTarget, arn.Default.Cert(c.ID)); len(got) != 1 || got[0] != provision.ClaimPolicyName {
			t.Errorf("it carries %v", got)
		}
	}
	r.view(func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.Claim(ctx, arn.Default, first.ID)
		if err != nil || rec.Template != "fleet" || rec.MadeBy != "AKIA1" || rec.Trusted || !rec.Expires.Equal(r.clock().Add(48*time.Hour)) || !rec.Expires.Equal(first.NotAfter) {
			t.Errorf("got %+v, %v", rec, err)
		}
		return nil
	})
	if second.NotAfter.Year() != 2049 {
		t.Errorf("a claim without end ends at %v", second.NotAfter)
	}

	t.Run("are made for a template that can provision", func(t *testing.T) {
		off := false
		r.template("off", body(""), false)
		r.change("off", templates.Change{Enabled: &off})
		before := r.snapshot()
		for template, want := range map[string]struct {
			kind fault.Kind
			text string
		}{"off": {fault.InvalidRequest, "Template off is disabled"}, "nobody": {fault.Missing, ""}} {
			_, _, _, err := r.engine.Claim(ctx, arn.Default, provision.NewClaim{Template: template})
			wantFault(t, err, want.kind, want.text)
			_, _, _, _, err = r.engine.TemporaryClaim(ctx, arn.Default, template, "AKIA1")
			wantFault(t, err, want.kind, want.text)
		}
		if r.snapshot() != before {
			t.Error("something was stored")
		}
	})
	t.Run("are not made for longer than the authority lasts", func(t *testing.T) {
		_, _, _, err := r.engine.Claim(ctx, arn.Default, provision.NewClaim{Template: "fleet", ValidFor: 50 * 365 * 24 * time.Hour})
		wantFault(t, err, fault.InvalidRequest, "ask for an end no later than 2059")
	})
	t.Run("do not take a policy of another content for theirs", func(t *testing.T) {
		r.template("doors", body(""), false)
		r.update(func(ctx context.Context, tx store.Tx) error {
			p, err := tx.Policy(ctx, arn.Default, provision.ClaimPolicyName)
			if err != nil {
				return err
			}
			p.Versions[0].Document = document
			return tx.PutPolicy(ctx, p)
		})
		before := r.snapshot()
		_, _, _, err := r.engine.Claim(ctx, arn.Default, provision.NewClaim{Template: "doors"})
		wantFault(t, err, fault.Conflict, "Policy slipway-claim, which every claim made here carries, was changed")
		if r.snapshot() != before {
			t.Error("something was stored")
		}
	})
}

func TestTemporaryClaims(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	c, key, _, expires, err := r.engine.TemporaryClaim(context.Background(), arn.Default, "fleet", "AKIA1")
	must(t, err)
	if _, err := tls.X509KeyPair([]byte(c.PEM), []byte(key)); err != nil {
		t.Error(err)
	}
	if want := r.clock().Add(5 * time.Minute); !expires.Equal(want) || !c.NotAfter.Equal(want) {
		t.Errorf("it ends at %v and %v", expires, c.NotAfter)
	}
	r.wantStatus(c.ID, "ACTIVE")
	if !c.Hidden || len(r.certificates()) != 0 {
		t.Errorf("it is listed: %+v", c)
	}
	if got := r.lefts(ref.PolicyTarget, arn.Default.Cert(c.ID)); len(got) != 0 {
		t.Errorf("it carries policies: %v", got)
	}
	r.view(func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.Claim(ctx, arn.Default, c.ID)
		if err != nil || !rec.Trusted || rec.Template != "fleet" {
			t.Errorf("got %+v, %v", rec, err)
		}
		return nil
	})
}
