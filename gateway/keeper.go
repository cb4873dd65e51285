package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

// A keeper does what lasting sessions need and nobody waits for: it deletes
// messages that were acknowledged, many at a time, and sessions whose time or
// certificate is over. A crash before it came to that sends messages once more,
// and finds the sessions again. It has a goroutine once there is a first
// session.
type keeper struct {
	g    *Gateway
	once sync.Once // starts the goroutine, or sees that none will be
	end  sync.Once
	over chan struct{} // closed by Close
	done chan struct{} // closed by the goroutine

	mu     sync.Mutex // guards everything below
	wake   chan struct{}
	acked  map[*queue][]int64
	doomed []*sessions.Session
	check  []*lasting // loaded: their certificates may have ended while the server was down
}

const (
	gather   = 20 * time.Millisecond // acknowledgements are gathered for so long
	sweeping = 10 * time.Second
)

func newKeeper(g *Gateway) *keeper {
	return &keeper{g: g, over: make(chan struct{}), wake: make(chan struct{}, 1), acked: map[*queue][]int64{}}
}

// start sees that the goroutine runs.
func (k *keeper) start() {
	k.once.Do(func() {
		k.done = make(chan struct{})
		go k.run()
	})
}

// stop carries out what waits and ends the goroutine; nothing comes any more.
func (k *keeper) stop() {
	k.once.Do(func() {}) // none will start
	if k.done == nil {
		return
	}
	k.end.Do(func() { close(k.over) })
	<-k.done
}

func (k *keeper) ring() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// delete has a message of the queue deleted. The queue's lock is held.
func (k *keeper) delete(q *queue, seq int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked[q] = append(k.acked[q], seq)
	k.ring()
}

// doom has a session deleted that is gone in memory already.
func (k *keeper) doom(of *sessions.Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doomed = append(k.doomed, of)
	k.ring()
}

func (k *keeper) run() {
	defer close(k.done)
	tick := time.NewTicker(sweeping)
	defer tick.Stop()
	k.examine()
	for {
		select {
		case <-k.over:
			k.flush()
			return
		case <-tick.C:
			k.examine()
			k.sweep(k.g.Now())
		case <-k.wake:
			k.g.rest(gather)
			k.flush()
		}
	}
}

// flush writes what was gathered. What the store does not take now is tried
// again at the next tick.
func (k *keeper) flush() {
	k.mu.Lock()
	acked, doomed := k.acked, k.doomed
	k.acked, k.doomed = map[*queue][]int64{}, nil
	k.mu.Unlock()
	var seqs []int64
	for _, some := range acked {
		seqs = append(seqs, some...)
	}
	if err := k.acknowledge(seqs); err != nil {
		k.failed(err)
		k.mu.Lock()
		for q, some := range acked {
			k.acked[q] = append(k.acked[q], some...)
		}
		k.mu.Unlock()
	} else {
		for q, some := range acked {
			q.forget(some)
		}
	}
	for _, of := range doomed {
		if err := k.g.erase(of); err != nil {
			k.failed(err)
			k.mu.Lock()
			k.doomed = append(k.doomed, of)
			k.mu.Unlock()
		}
	}
}

func (k *keeper) failed(err error) {
	k.g.Log.Error("stored sessions", slog.Any("err", err))
}

func (k *keeper) acknowledge(seqs []int64) error {
	for len(seqs) > 0 {
		some := seqs[:min(len(seqs), eraseStep)]
		err := k.g.DB.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			return tx.Acknowledge(ctx, some)
		})
		if err != nil {
			return err
		}
		seqs = seqs[len(some):]
	}
	return nil
}

// sweep ends sessions that have expired, and sees that no reader of a queue
// rests for want of a push.
func (k *keeper) sweep(now time.Time) {
	for _, l := range k.g.lastings.all() {
		if l.over(now) {
			k.expire(l, now)
			continue
		}
		if err := l.makeRoom(now); err != nil {
			k.failed(err)
		}
		l.nudge()
	}
	for _, q := range k.g.groups.queues() {
		q.nudge()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.acked) > 0 || len(k.doomed) > 0 {
		k.ring()
	}
}

// expire ends a session, unless its device came back meanwhile.
func (k *keeper) expire(l *lasting, now time.Time) {
	defer k.g.lastings.turn(l.key)()
	if !l.over(now) || k.g.lastings.get(l.key) != l {
		return
	}
	l.vanish()
	k.doom(l.of)
}

// examine ends the sessions of certificates that are not ACTIVE any more: the
// server may have died between the event and its consequence. It reads a few
// at a time.
func (k *keeper) examine() {
	for {
		k.mu.Lock()
		some := k.check[:min(len(k.check), 100)]
		k.mu.Unlock()
		if len(some) == 0 {
			return
		}
		var over []*lasting
		err := k.g.DB.View(k.g.ctx, func(ctx context.Context, tx store.Tx) error {
			over = nil
			for _, l := range some {
				_, id, _ := strings.Cut(l.principal(), "/")
				c, err := tx.Certificate(ctx, l.key.tenant, arn.CertID(id))
				if err != nil && !fault.Is(err, fault.Missing) {
					return err
				}
				if err != nil || c.Status != certs.Active {
					over = append(over, l)
				}
			}
			return nil
		})
		if err != nil {
			return // the next tick tries again
		}
		for _, l := range over {
			l.revoke()
		}
		k.mu.Lock()
		k.check = k.check[len(some):]
		k.mu.Unlock()
	}
}

// revoke ends a session whose certificate is good no more, without waiting for
// the store.
func (l *lasting) revoke() {
	l.vanish()
	l.g.keeper.doom(l.of)
	l.g.keeper.start()
}

// revokeSessions ends the stored sessions of a certificate.
func (g *Gateway) revokeSessions(t arn.Tenant, id arn.CertID) {
	for _, l := range g.lastings.all() {
		if l.key.tenant == t && l.principal() == byCertificate+"/"+string(id) {
			l.revoke()
		}
	}
}

// Load takes up the sessions that outlived the last process. Whatever this
// gateway serves, it serves afterwards. A fleet without stored sessions costs
// two lookups.
func (g *Gateway) Load(ctx context.Context) error {
	var records []*sessions.Session
	var last int64
	err := g.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		records = nil
		if last, err = tx.LastSeq(ctx); err != nil {
			return err
		}
		for p := (ref.Page{Limit: 1000}); ; {
			some, next, err := tx.ListSessions(ctx, p)
			records = append(records, some...)
			if p.After = next; err != nil || next == "" {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	now := g.Now()
	g.seq.Store(max(last, now.UnixMicro()))
	for _, r := range records {
		if strings.HasPrefix(r.ClientID, sharePrefix) {
			g.groups.restore(g, r, last, now)
		}
	}
	for _, r := range records {
		if !strings.HasPrefix(r.ClientID, sharePrefix) {
			if err := g.restore(r, last, now); err != nil {
				return err
			}
		}
	}
	for _, of := range g.groups.abandoned() {
		g.keeper.doom(of)
	}
	if len(records) > 0 {
		g.keeper.start()
	}
	return nil
}

// restore takes up one session. If the last process died while its device was
// connected, its time runs from now on, and what waits may have been sent.
func (g *Gateway) restore(r *sessions.Session, last int64, now time.Time) error {
	l := g.newLasting(*r)
	if r.Ended.IsZero() {
		l.record.Ended, l.doubt, l.doubted = now, last, now
	}
	l.more = true
	for _, sub := range r.Subscriptions {
		if err := l.subs.restore(g, l, sub); err != nil {
			return err
		}
	}
	g.lastings.put(l)
	if strings.HasPrefix(r.Principal, byCertificate+"/") {
		g.keeper.check = append(g.keeper.check, l)
	}
	return nil
}
