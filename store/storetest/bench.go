package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// Bench measures the claim flow's share of a store: the three commits and
// eight reads that one device costs, with 1, 16 and 64 devices at a time.
func Bench(b *testing.B, open func(b *testing.B) store.DB) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			db := open(b)
			must(b, prepareFlow(db))
			before, cpu := db.Stats(), cpuTime()
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			together(clients, func(int) {
				for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
					if err := flow(db, int(n)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			after := db.Stats()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(after.Commits-before.Commits)/float64(b.N), "commits/op")
			b.ReportMetric(float64(after.Retries-before.Retries)/float64(b.N), "retries/op")
		})
	}
}

// cpuTime is what this process has used, in user and system mode. On a shared
// machine it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// claimed is the certificate that every device of the benchmark starts with.
var claimed = certID(1 << 60)

func prepareFlow(db store.DB) error {
	return db.Update(context.Background(), func(ctx context.Context, tx tx) error {
		c := certificate(1 << 60)
		c.Status = certs.Active
		if err := tx.InsertCertificate(ctx, c); err != nil {
			return err
		}
		if err := tx.PutTemplate(ctx, templateRecord("fleet")); err != nil {
			return err
		}
		if err := tx.PutPolicy(ctx, policyRecord("claim")); err != nil {
			return err
		}
		if _, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, ref.Link{Left: "claim", Right: arn.Default.Cert(claimed), Created: noon}); err != nil {
			return err
		}
		if err := tx.InsertClaim(ctx, &certs.ClaimRecord{Tenant: arn.Default, CertID: claimed, Template: "fleet"}); err != nil {
			return err
		}
		return tx.PutPolicy(ctx, policyRecord("device"))
	})
}

// flow is one device: it connects with its claim, gets a certificate, becomes
// a thing and connects with its own.
func flow(db store.DB, n int) error {
	for _, step := range []func(store.DB, int) error{
		func(db store.DB, _ int) error { return connect(db, claimed) },
		create,
		register,
		func(db store.DB, n int) error { return connect(db, certID(n)) },
	} {
		if err := step(db, n); err != nil {
			return err
		}
	}
	return nil
}

func connect(db store.DB, id arn.CertID) error {
	return db.View(context.Background(), func(ctx context.Context, tx tx) error {
		if _, err := tx.Certificate(ctx, arn.Default, id); err != nil {
			return err
		}
		_, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, arn.Default.Cert(id), ref.All)
		return err
	})
}

func create(db store.DB, n int) error {
	c := certificate(n)
	err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
		return tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: c.Serial, Subject: "CN=device", Purpose: "csr", Created: noon})
	})
	if err != nil {
		return err
	}
	return db.Update(context.Background(), func(ctx context.Context, tx tx) error {
		if err := tx.InsertCertificate(ctx, c); err != nil {
			return err
		}
		if err := tx.InsertToken(ctx, &certs.TokenRecord{Tenant: arn.Default, Digest: token(n), CertID: c.ID, Expires: noon}); err != nil {
			return err
		}
		tx.Emit(event.Event{Kind: event.CertificateCreated, Tenant: arn.Default, ID: string(c.ID), At: noon})
		return tx.DeleteIntent(ctx, arn.Default, c.Serial)
	})
}

func token(n int) (d certs.Digest) {
	binary.BigEndian.PutUint64(d[:], uint64(n)*0x9E3779B97F4A7C15) // spread, as digests are
	return d
}

func register(db store.DB, n int) error {
	err := db.View(context.Background(), func(ctx context.Context, tx tx) error {
		if _, err := tx.Claim(ctx, arn.Default, claimed); err != nil {
			return err
		}
		_, err := tx.TemplateRecord(ctx, arn.Default, "fleet")
		return err
	})
	if err != nil {
		return err
	}
	return db.Update(context.Background(), func(ctx context.Context, tx tx) error { return apply(ctx, tx, n) })
}

// apply is the one write of a registration.
func apply(ctx context.Context, tx tx, n int) error {
	r, err := tx.Token(ctx, arn.Default, token(n))
	if err != nil {
		return err
	}
	c, err := tx.Certificate(ctx, arn.Default, r.CertID)
	if err != nil {
		return err
	}
	th := thing(fmt.Sprintf("device-%d", n*7919%1_000_003))
	if err := tx.InsertThing(ctx, th); err != nil {
		return err
	}
	if _, err := tx.PutLink(ctx, arn.Default, ref.ThingPrincipal, ref.Link{Left: th.Name, Right: arn.Default.Cert(c.ID), Created: noon}); err != nil {
		return err
	}
	if _, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, ref.Link{Left: "device", Right: arn.Default.Cert(c.ID), Created: noon}); err != nil {
		return err
	}
	c.Status, c.Version = certs.Active, 2
	if err := tx.UpdateCertificate(ctx, c); err != nil {
		return err
	}
	r.Spent, r.Answer = true, []byte(`{"thingName":"`+th.Name+`","deviceConfiguration":{}}`)
	tx.Emit(event.Event{Kind: event.CertificateStatus, Tenant: arn.Default, ID: string(c.ID), Detail: "ACTIVE", At: noon})
	tx.Emit(event.Event{Kind: event.ThingChanged, Tenant: arn.Default, ID: th.Name, At: noon})
	return tx.SpendToken(ctx, r)
}
