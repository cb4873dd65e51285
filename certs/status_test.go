package certs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func certificate(n int, s certs.Status) *certs.Certificate {
	return &certs.Certificate{
		Tenant: arn.Default, ID: arn.CertID(fmt.Sprintf("%064x", n)), PEM: "pem", Status: s, Mode: "DEFAULT", Serial: fmt.Sprintf("%x", n),
		Origin: certs.FromCSR, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0), Created: noon, Modified: noon, Version: 1, Generation: "g",
	}
}

// The state machine of certificates-lifecycle.md, section 2, whole.
func TestStatuses(t *testing.T) {
	db := open(t)
	all := []certs.Status{certs.Active, certs.Inactive, certs.Revoked, certs.PendingActivation}
	n := 0
	for _, from := range all {
		for _, to := range append(all, "PENDING_TRANSFER", "REGISTER_INACTIVE", "") {
			n++
			c := certificate(n, from)
			settable := to == certs.Active || to == certs.Inactive || to == certs.Revoked
			allowed := settable && (from != certs.Revoked || to == certs.Revoked)
			err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
				if err := certs.Add(ctx, tx, c); err != nil {
					return err
				}
				if err := certs.SetStatus(ctx, tx, c, to, noon.Add(time.Hour)); err != nil && !fault.Is(err, fault.CertificateState) {
					return err
				} else if (err == nil) != allowed {
					t.Errorf("%s to %q gave %v", from, to, err)
				}
				stored, err := tx.Certificate(ctx, c.Tenant, c.ID)
				if err != nil {
					return err
				}
				want, version := from, 1
				if allowed && from != to {
					want, version = to, 2
				}
				if stored.Status != want || stored.Version != version {
					t.Errorf("%s to %q stored %s, version %d", from, to, stored.Status, stored.Version)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestACertificateIsAddedOnce(t *testing.T) {
	db := open(t)
	add := func() error {
		return db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			return certs.Add(ctx, tx, certificate(1, certs.Inactive))
		})
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	err := add()
	if !fault.Is(err, fault.Exists) || !strings.Contains(err.Error(), "already provisioned or registered") {
		t.Errorf("got %v", err)
	}
	events, _, err := db.Outbox(context.Background(), 10)
	if err != nil || len(events) != 1 || events[0].Kind != event.CertificateCreated || events[0].Detail != "INACTIVE" {
		t.Errorf("got %+v, %v", events, err)
	}
}

func TestDeletionTakesTheClaimAlong(t *testing.T) {
	db := open(t)
	c := certificate(1, certs.Inactive)
	err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		if err := certs.Add(ctx, tx, c); err != nil {
			return err
		}
		claim := &certs.ClaimRecord{Tenant: c.Tenant, CertID: c.ID, Template: "fleet", Expires: noon, Created: noon}
		if err := tx.InsertClaim(ctx, claim); err != nil {
			return err
		}
		if err := certs.Delete(ctx, tx, c, false); err != nil {
			return err
		}
		if _, err := tx.Claim(ctx, c.Tenant, c.ID); !fault.Is(err, fault.Missing) {
			t.Errorf("the claim gave %v", err)
		}
		_, err := tx.Certificate(ctx, c.Tenant, c.ID)
		if !fault.Is(err, fault.Missing) {
			t.Errorf("the certificate gave %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
