package provision_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

func (r *rig) reap() {
	r.t.Helper()
	must(r.t, r.engine.ReapOnce(context.Background()))
}

func TestTheReaperTakesWhatNobodyRegistered(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	_, forgotten := r.token()
	token, registered := r.token()
	r.registered(token, "1")
	_, activated := r.token()
	r.setStatus(activated, certs.Active)
	_, blocked := r.token()
	r.setStatus(blocked, certs.Inactive)
	_, withPolicy := r.token()
	_, withThing := r.token()
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := policy.Attach(ctx, tx, arn.Default, "device", arn.Default.Cert(withPolicy), r.now); err != nil {
			return err
		}
		return things.AttachPrincipal(ctx, tx, arn.Default, "lamp-1", arn.Default.Cert(withThing), "", r.now)
	})
	_, gone := r.token()
	r.deleteCertificate(gone)

	r.advance(time.Hour)
	r.reap()
	r.wantStatus(forgotten, "PENDING_ACTIVATION") // the hour itself is over, the moment after it is not
	r.advance(time.Microsecond)
	r.reap()
	for id, want := range map[arn.CertID]string{
		forgotten: "absent", registered: "ACTIVE", activated: "ACTIVE", blocked: "INACTIVE",
		withPolicy: "PENDING_ACTIVATION", withThing: "PENDING_ACTIVATION", gone: "absent",
	} {
		r.wantStatus(id, want)
	}
	for _, k := range []ref.Kind{ref.PolicyTarget, ref.ThingPrincipal} {
		if got := r.lefts(k, arn.Default.Cert(forgotten)); len(got) != 0 {
			t.Errorf("%s of the deleted certificate: %v", k, got)
		}
	}
	if n := r.tokens(); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
	before := r.snapshot()
	r.reap()
	if r.snapshot() != before {
		t.Error("a second round found something to do")
	}
}

func (r *rig) tokens() (n int) {
	r.t.Helper()
	r.view(func(ctx context.Context, tx store.Tx) error {
		all, err := tx.ExpiredTokens(ctx, r.clock().Add(100*time.Hour), 10_000)
		n = len(all)
		return err
	})
	return n
}

// A backlog of more than one batch goes in one round.
func TestTheReaperKeepsUp(t *testing.T) {
	r := newRig(t)
	const many = 450
	r.update(func(ctx context.Context, tx store.Tx) error {
		var old []*attempts.Attempt
		for i := range many {
			id := fmt.Sprintf("%064x", i)
			c := &certs.Certificate{Tenant: arn.Default, ID: arn.CertID(id), Status: certs.PendingActivation, Mode: "DEFAULT", Serial: id, Created: r.now, Modified: r.now}
			if err := tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: id, Created: r.now}); err != nil {
				return err
			}
			if err := certs.Entrust(ctx, tx, c, certs.Token(id), r.now); err != nil {
				return err
			}
			if err := tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: "stale" + id, Created: r.now}); err != nil {
				return err
			}
			old = append(old, &attempts.Attempt{ID: id, Tenant: arn.Default, Opened: r.now, Closed: r.now, Outcome: attempts.Refused})
		}
		return tx.InsertAttempts(ctx, old)
	})
	r.advance(31 * 24 * time.Hour)
	r.reap()
	r.view(func(ctx context.Context, tx store.Tx) error {
		left, _, err := tx.FindAttempts(ctx, arn.Default, "", ref.All)
		if len(left) != 0 {
			t.Errorf("%d attempts are left", len(left))
		}
		return err
	})
	if n, i, c := r.tokens(), len(r.intents()), len(r.certificates()); n+i+c != 0 {
		t.Errorf("%d tokens, %d intents, %d certificates are left", n, i, c)
	}
}

func TestTheReaperKeepsWhatIsYoung(t *testing.T) {
	r := newRig(t)
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: "1", Created: r.now}); err != nil {
			return err
		}
		return tx.InsertAttempts(ctx, []*attempts.Attempt{{ID: "1", Tenant: arn.Default, Opened: r.now, Closed: r.now, Outcome: attempts.Refused}})
	})
	r.advance(24 * time.Hour)
	r.reap()
	if len(r.intents()) != 1 {
		t.Error("an intent went within its day")
	}
	r.advance(29 * 24 * time.Hour)
	r.reap()
	r.view(func(ctx context.Context, tx store.Tx) error {
		left, _, err := tx.FindAttempts(ctx, arn.Default, "", ref.All)
		if len(left) != 1 {
			t.Error("an attempt went within its month")
		}
		return err
	})
}

func TestTheReaperTakesTemporaryClaims(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	r.templateOf(other, "fleet", body(""), false)
	temporary := func(tn arn.Tenant) arn.CertID {
		c, _, _, _, err := r.engine.TemporaryClaim(context.Background(), tn, "fleet", "AKIA1")
		must(t, err)
		return c.ID
	}
	mine, theirs, attached := temporary(arn.Default), temporary(other), temporary(arn.Default)
	lasting, _, _, err := r.engine.Claim(context.Background(), arn.Default, provision.NewClaim{Template: "fleet", ValidFor: 5 * time.Minute})
	must(t, err)
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "lamp-1"}); err != nil {
			return err
		}
		return things.AttachPrincipal(ctx, tx, arn.Default, "lamp-1", arn.Default.Cert(attached), "", r.now)
	})
	r.advance(time.Hour)
	r.reap()
	r.wantStatus(mine, "ACTIVE") // who comes late is told that it expired
	r.advance(6 * time.Minute)
	for range 2 {
		r.reap()
		r.wantStatus(mine, "absent")
		r.wantStatus(attached, "INACTIVE")
		r.wantStatus(lasting.ID, "ACTIVE")
	}
	r.view(func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Certificate(ctx, other, theirs); !fault.Is(err, fault.Missing) {
			t.Errorf("the other account's claim gave %v", err)
		}
		if _, err := tx.Claim(ctx, arn.Default, mine); !fault.Is(err, fault.Missing) {
			t.Errorf("its record gave %v", err)
		}
		if _, err := tx.Claim(ctx, arn.Default, attached); !fault.Is(err, fault.Missing) {
			t.Errorf("the record of the one that is attached gave %v", err)
		}
		_, err := tx.Claim(ctx, arn.Default, lasting.ID)
		return err
	})
}

// What one kind of record fails with does not keep the others.
func TestTheReaperGoesOn(t *testing.T) {
	r := newRig(t)
	_, id := r.token()
	r.update(func(ctx context.Context, tx store.Tx) error {
		return tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: "1", Created: r.now})
	})
	r.advance(25 * time.Hour)
	r.db.atWrite = 1
	r.db.afterUpdate = func() { r.db.atWrite = 0 }
	r.engine.DB = &failingReaper{r.db}
	if err := r.engine.ReapOnce(context.Background()); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	r.wantStatus(id, "PENDING_ACTIVATION")
	if len(r.intents()) != 0 {
		t.Error("the intent stayed because a token could not be removed")
	}
}

// A failingReaper is a store from which the first Update cannot delete.
type failingReaper struct{ *lever }

func (f *failingReaper) Update(ctx context.Context, do func(context.Context, store.Tx) error) error {
	first := f.atWrite > 0
	return f.lever.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return errors.Join(do(ctx, tx), map[bool]error{true: errDisk}[first])
	})
}

func TestTheReaperEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	_, id := r.token()
	r.advance(2 * time.Hour)
	ctx, stop := context.WithCancel(context.Background())
	r.db.afterUpdate = stop // after its first deed
	r.engine.Reap(ctx, time.Hour)
	r.wantStatus(id, "absent")
}
