package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/trail"
)

// A sealer chains the records of the audit trail (DESIGN.md, decision 15). Each
// node has one. Several may try at once: the store lets one of them move the
// head, and the others look again.
type sealer struct {
	db  store.DB
	box *seal.Key
	mu  sync.Mutex // this node's turns
}

// How much is sealed in one transaction, and how often a sealer tries at one
// head that it cannot move.
const (
	sealBatch = 32
	sealTries = 10
)

// headContext ties the seal of a head to what it is.
const headContext = "audit head"

// run seals all that waits. Another node that came first has done part of it,
// however often that happens.
func (s *sealer) run(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tries, at := 0, int64(-1)
	for {
		n, from, err := s.batch(ctx)
		if from != at {
			tries, at = 0, from
		}
		tries++
		switch {
		case fault.Is(err, fault.Conflict) && tries <= sealTries:
		case err != nil || n == 0:
			return err
		}
	}
}

// batch seals what has waited longest, and says how many records that were and
// behind which one they come. The hashes are computed between two transactions, so
// that the one that writes is short; a crash between them leaves the records to the
// next turn.
func (s *sealer) batch(ctx context.Context) (n int, behind int64, err error) {
	var (
		from    audit.Head
		entries []audit.Entry
	)
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if entries, err = tx.UnsealedAudit(ctx, sealBatch); err != nil || len(entries) == 0 {
			return err
		}
		from, err = tx.AuditHead(ctx)
		return err
	})
	if err != nil || len(entries) == 0 {
		return 0, from.Sequence, err
	}
	if !s.vouches(from) { // our seal would hide what somebody did
		return 0, from.Sequence, fault.New(fault.Internal, "The end of the audit trail was not sealed with this server's key; no record is put behind it.")
	}
	to := audit.Chain(from, entries)
	to.Seal = s.box.Seal(headContext, []byte(to.String()))
	return len(entries), from.Sequence, s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.SealAudit(ctx, from, to, entries)
	})
}

// vouches says whether a server with our key wrote the head.
func (s *sealer) vouches(h audit.Head) bool {
	plain, err := s.box.Unseal(headContext, h.Seal)
	return h.Sequence == 0 || err == nil && string(plain) == h.String()
}

// sealEvery is how often a node looks for records that another, which died,
// left unsealed.
const sealEvery = 5 * time.Second

// sealTrail seals records soon after they were written until ctx ends, and
// then what the edges left. Nothing waits for it.
func (s *Server) sealTrail(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "audit records stay unsealed for now", slog.Any("err", err))
		}
	}
	for {
		report(s.sealer.run(ctx))
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			report(s.sealer.run(last))
			return
		case <-s.trail.Recorded():
			gather(ctx)
		case <-tick.C:
		}
	}
}

// arrival is the cause of what a first connection registers: the role of the
// CA's registration acts on AWS, where the trail has a RegisterThing of it. Here
// the certificate stands for whoever registered its CA. What devices write
// otherwise has no cause.
func arrival(ctx context.Context, who provision.Caller, action string) context.Context {
	return trail.With(ctx, trail.Cause{
		Tenant: who.Tenant, Who: audit.Who{Key: "cert/" + string(who.CertID), Role: "device"}, From: who.From, Action: action,
	})
}
