// Package journal writes attempts to the store: batched, bounded, and never in
// the way of a device. A crash may cost its last second.
package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/store"
)

const (
	maxWaiting = 10_000                 // attempts held in memory
	maxBatch   = 500                    // attempts in one transaction
	maxStrange = 10_000                 // rows of strangers held in memory
	beat       = 200 * time.Millisecond // how long an attempt waits for company
	strangeRow = time.Minute            // one row a minute per address and cause
)

// Journal gathers attempts. Make one with New, run Run, then Record.
type Journal struct {
	db      store.DB
	log     *slog.Logger
	metrics *metrics.Metrics
	now     func() time.Time

	mu      sync.Mutex
	waiting map[string]*attempts.Attempt // by id: a later state replaces an earlier
	order   []string
	strange map[strangeKey]*attempts.Attempt
	wake    chan struct{}
}

// A strangeKey folds what happens before anyone is authenticated.
type strangeKey struct{ address, cause string }

// New makes a journal over db.
func New(db store.DB, log *slog.Logger, m *metrics.Metrics, now func() time.Time) *Journal {
	return &Journal{
		db: db, log: log, metrics: m, now: now,
		waiting: map[string]*attempts.Attempt{}, strange: map[strangeKey]*attempts.Attempt{},
		wake: make(chan struct{}, 1),
	}
}

// Record takes an attempt to be written soon. When the journal is full it is
// dropped and counted.
func (j *Journal) Record(a *attempts.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(a)
}

func (j *Journal) put(a *attempts.Attempt) {
	if _, again := j.waiting[a.ID]; !again {
		if len(j.waiting) >= maxWaiting {
			j.metrics.Dropped("attempt")
			return
		}
		j.order = append(j.order, a.ID)
	}
	j.waiting[a.ID] = a
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Stranger takes an attempt that failed before authentication. Those of one
// address and cause become one row a minute, with a count, in the default
// tenant, so that a flood cannot fill the disk.
func (j *Journal) Stranger(address, cause string, a *attempts.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a.Tenant = arn.Default
	k := strangeKey{address, cause}
	if row := j.strange[k]; row != nil && a.Opened.Sub(row.Opened) < strangeRow {
		row.Count++
		row.Closed = a.Closed
		j.put(row.Copy())
		return
	}
	if len(j.strange) >= maxStrange {
		j.forget()
	}
	if len(j.strange) >= maxStrange {
		j.metrics.Dropped("attempt")
		return
	}
	j.strange[k] = a
	j.put(a.Copy())
}

// forget drops the rows of strangers whose minute is over.
func (j *Journal) forget() {
	for k, row := range j.strange {
		if j.now().Sub(row.Opened) >= strangeRow {
			delete(j.strange, k)
		}
	}
}

// Run writes until ctx ends, and then what still waits.
func (j *Journal) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			j.flush(context.WithoutCancel(ctx))
			return
		case <-j.wake:
		}
		timer := time.NewTimer(beat)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		j.flush(context.WithoutCancel(ctx))
	}
}

// Flush writes what waits and returns when it is on disk.
func (j *Journal) Flush(ctx context.Context) { j.flush(ctx) }

func (j *Journal) flush(ctx context.Context) {
	for {
		batch := j.take()
		if len(batch) == 0 {
			return
		}
		err := j.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			return tx.InsertAttempts(ctx, batch)
		})
		if err != nil {
			j.metrics.Dropped("attempt")
			j.log.WarnContext(ctx, "attempts were not written", slog.Int("count", len(batch)), slog.Any("err", err))
			return
		}
	}
}

func (j *Journal) take() []*attempts.Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.order), maxBatch)
	batch := make([]*attempts.Attempt, 0, n)
	for _, id := range j.order[:n] {
		batch = append(batch, j.waiting[id])
		delete(j.waiting, id)
	}
	j.order = append([]string(nil), j.order[n:]...)
	return batch
}
