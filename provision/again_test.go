package provision_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/wire"
)

func TestManyAskTheSameAtOnce(t *testing.T) {
	for say, asked := range map[string]bool{"with a function": true, "without": false} {
		t.Run(say, func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), asked)
			token, id := r.token()
			const many = 32
			answers := make([]*wire.RegisterAnswer, many)
			failures := make([]error, many)
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() { answers[i], failures[i] = r.register(token, "1") })
			}
			wg.Wait()
			must(t, errors.Join(failures...))
			for _, a := range answers {
				if diff := cmp.Diff(answers[0], a); diff != "" {
					t.Errorf("two answers: %s", diff)
				}
			}
			if th := r.thing("lamp-1"); th.Version != 1 {
				t.Errorf("the thing has version %d", th.Version)
			}
			r.wantStatus(id, "ACTIVE")
			if got := strings.Count(r.snapshot(), "\nthing "); got != 0 { // the first line is the one thing
				t.Errorf("%d things too many", got)
			}
			before := r.function.calls.Load()
			if before > many || !asked && before > 0 {
				t.Errorf("the function was asked %d times", before)
			}
			r.registered(token, "1")
			if r.function.calls.Load() != before {
				t.Error("the function was asked again for an answer that was given")
			}
		})
	}
}

func TestALostAnswerIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.db")
	open := func() store.DB {
		db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
		must(t, err)
		return db
	}
	db := open()
	t.Cleanup(func() { db.Close() })
	r := rigOver(t, db)
	r.template("fleet", body(attributes), true)
	token, id := r.token()
	want := r.registered(token, "1")
	snapshot := r.snapshot()
	again := func(t *testing.T, req wire.RegisterRequest) {
		t.Helper()
		got, err := r.engine.RegisterThing(context.Background(), r.claim(), "fleet", req)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(snapshot, r.snapshot()); diff != "" {
			t.Errorf("something changed: %s", diff)
		}
		if n := r.function.calls.Load(); n != 1 {
			t.Errorf("the function was asked %d times", n)
		}
	}
	t.Run("in either format", func(t *testing.T) {
		for _, f := range []wire.Format{wire.JSON, wire.CBOR} {
			req, err := wire.DecodeRegister(f, request(token, "1").Encode(f))
			must(t, err)
			again(t, req)
		}
	})
	t.Run("over a connection with another claim", func(t *testing.T) {
		who := r.claim()
		who.CertID, who.ClientID = arn.CertID(strings.Repeat("d", 64)), "reborn"
		got, err := r.engine.RegisterThing(context.Background(), who, "fleet", request(token, "1"))
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		must(t, db.Close())
		db = open()
		r.db.DB = db
		_, err := db.Adopt(context.Background())
		must(t, err)
		r.engine = r.newEngine()
		again(t, request(token, "1"))
	})
	t.Run("when the template changed since", func(t *testing.T) {
		r.template("fleet", body(""), true, "slipway:reprovision", "deny")
		snapshot = r.snapshot()
		again(t, request(token, "1"))
	})
	t.Run("when the template was disabled since", func(t *testing.T) {
		off := false
		r.change("fleet", templates.Change{Enabled: &off})
		snapshot = r.snapshot()
		again(t, request(token, "1"))
	})
	t.Run("when the template is gone", func(t *testing.T) {
		r.update(func(ctx context.Context, tx store.Tx) error {
			return templates.Delete(ctx, tx, arn.Default, "fleet", r.now)
		})
		snapshot = r.snapshot()
		again(t, request(token, "1"))
	})
	t.Run("but not for a certificate that was revoked since", func(t *testing.T) {
		r.template("fleet", body(attributes), true)
		r.setStatus(id, certs.Revoked)
		_, err := r.register(token, "1")
		wantFault(t, err, fault.BadToken, "was revoked")
	})
}

func TestATokenBuysOneThing(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(attributes), false)
	r.template("doors", body(attributes), false)
	token, _ := r.token()
	r.registered(token, "1")
	snapshot := r.snapshot()
	for say, ask := range map[string]func() error{
		"with other parameters":    func() error { _, err := r.register(token, "2"); return err },
		"with a parameter more":    func() error { return r.ask("fleet", token, "SerialNumber", "1", "Site", "lab") },
		"with another template":    func() error { return r.ask("doors", token, "SerialNumber", "1") },
		"without parameters":       func() error { return r.ask("fleet", token) },
		"with the token shortened": func() error { return r.ask("fleet", token[1:], "SerialNumber", "1") },
		"with a token of 1 MB":     func() error { return r.ask("fleet", strings.Repeat("A", 1<<20), "SerialNumber", "1") },
		"with a token of control characters": func() error {
			return r.ask("fleet", "\x00\xff", "SerialNumber", "1")
		},
	} {
		t.Run(say, func(t *testing.T) {
			wantFault(t, ask(), fault.BadToken, "certificate ownership token")
			if diff := cmp.Diff(snapshot, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
		})
	}
}

func (r *rig) ask(template, token string, parameters ...string) error {
	req := wire.RegisterRequest{Token: token, Parameters: map[string]string{}}
	for i := 0; i < len(parameters); i += 2 {
		req.Parameters[parameters[i]] = parameters[i+1]
	}
	_, err := r.engine.RegisterThing(context.Background(), r.claim(), template, req)
	return err
}

func TestATokenLastsAnHour(t *testing.T) {
	for _, test := range []struct {
		say  string
		wait time.Duration
		good bool
	}{
		{"good until the last moment of its hour", time.Hour - time.Microsecond, true},
		{"bad when the hour is over", time.Hour, false},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), true)
			token, id := r.token()
			r.advance(test.wait)
			_, err := r.register(token, "1")
			if test.good {
				must(t, err)
				r.wantStatus(id, "ACTIVE")
				return
			}
			wantFault(t, err, fault.BadToken, "expired at 2026-03-01T13:00:00Z")
			r.wantStatus(id, "PENDING_ACTIVATION")
			if r.function.calls.Load() != 0 {
				t.Error("the function was asked about a token that buys nothing")
			}
		})
	}
	t.Run("also while the function thinks", func(t *testing.T) {
		r := newRig(t)
		r.template("fleet", body(attributes), true)
		token, id := r.token()
		r.advance(time.Hour - time.Second)
		r.function.during = func() { r.advance(2 * time.Second) }
		_, err := r.register(token, "1")
		wantFault(t, err, fault.BadToken, "expired")
		r.wantStatus(id, "PENDING_ACTIVATION")
	})
}

func TestATokenIsNoOtherAccounts(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	r.templateOf(other, "fleet", strings.Replace(body(""), `,
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}}`, "", 1), false)
	token, id := r.token()
	who := r.claim()
	who.Tenant = other
	_, err := r.engine.RegisterThing(context.Background(), who, "fleet", request(token, "1"))
	wantFault(t, err, fault.BadToken, "never issued in this account and region")
	r.wantStatus(id, "PENDING_ACTIVATION")
	r.registered(token, "1")
}

func (r *rig) setStatus(id arn.CertID, to certs.Status) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if err != nil {
			return err
		}
		return certs.SetStatus(ctx, tx, c, to, r.clock())
	})
}

func (r *rig) deleteCertificate(id arn.CertID) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if err != nil {
			return err
		}
		return certs.Delete(ctx, tx, c, true)
	})
}

// What happens to the certificate before or while the function is asked
// counts: apply looks again.
func TestTheCertificateMayGo(t *testing.T) {
	for say, gone := range map[string]struct {
		do   func(*rig, arn.CertID)
		text string
	}{
		"revoked": {func(r *rig, id arn.CertID) { r.setStatus(id, certs.Revoked) }, "was revoked"},
		"deleted": {func(r *rig, id arn.CertID) { r.deleteCertificate(id) }, "was deleted"},
	} {
		t.Run(say+" before", func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), false)
			token, id := r.token()
			gone.do(r, id)
			before := r.snapshot()
			_, err := r.register(token, "1")
			wantFault(t, err, fault.BadToken, gone.text)
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
		})
		t.Run(say+" while the function thinks", func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), true)
			token, id := r.token()
			var before string
			r.function.during = func() { gone.do(r, id); before = r.snapshot() }
			_, err := r.register(token, "1")
			wantFault(t, err, fault.BadToken, gone.text)
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
		})
	}
}

func TestTheTemplateMayChangeWhileTheFunctionThinks(t *testing.T) {
	off := false
	for _, test := range []struct {
		say  string
		do   func(*rig)
		kind fault.Kind
		text string // empty: it succeeds by the body of before
	}{
		{"disabled", func(r *rig) { r.change("fleet", templates.Change{Enabled: &off}) }, fault.Refused, "is disabled"},
		{"deleted", func(r *rig) {
			r.update(func(ctx context.Context, tx store.Tx) error {
				return templates.Delete(ctx, tx, arn.Default, "fleet", r.now)
			})
		}, fault.Missing, "Template not found"},
		{"given another body", func(r *rig) {
			r.update(func(ctx context.Context, tx store.Tx) error {
				_, _, err := templates.CreateVersion(ctx, tx, arn.Default, "fleet", strings.ReplaceAll(body(""), "lamp", "torch"), true, r.now)
				return err
			})
		}, 0, ""},
		{"left without function", func(r *rig) { r.change("fleet", templates.Change{RemoveHook: true}) }, 0, ""},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), true)
			token, id := r.token()
			var before string
			r.function.during = func() { test.do(r); before = r.snapshot() }
			answer, err := r.register(token, "1")
			if test.text == "" {
				must(t, err)
				if answer.ThingName != "lamp-1" {
					t.Errorf("got %+v: the function allowed another thing", answer)
				}
				return
			}
			wantFault(t, err, test.kind, test.text)
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
			r.function.during = nil
			r.template("fleet", body(attributes), true)
			r.registered(token, "1")
			r.wantStatus(id, "ACTIVE")
		})
	}
}

// A template made anew under an old name, at the same moment, is not taken for
// the old one.
func TestATemplateMadeAnewIsReadAnew(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	token, _ := r.token()
	r.registered(token, "1")
	r.template("fleet", strings.ReplaceAll(body(""), "lamp", "torch"), false)
	token, _ = r.token()
	if answer := r.registered(token, "1"); answer.ThingName != "torch-1" {
		t.Errorf("got %+v", answer)
	}
}
