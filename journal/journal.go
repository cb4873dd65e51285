// Package journal writes attempts to the store: batched, bounded, and never in
// the way of a device. A crash may cost its last second.
package journal

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/store"
)

const (
	maxWaiting = 10_000                 // attempts held in memory …
	maxBytes   = 32 << 20               // … and about as many bytes
	maxBatch   = 500                    // attempts in one transaction
	maxFolds   = 10_000                 // rows that alike attempts are folded into
	maxTries   = 5                      // of a batch, before it is dropped
	beat       = 900 * time.Millisecond // how long an attempt waits for company, and for its own next state
	pause      = time.Second            // before a batch is tried again
	foldFor    = time.Minute            // one row a minute for attempts that are alike
	maxEach    = 1000                   // rows a minute for those who share a name
)

// Journal gathers attempts. Make one with New, run Run, then Record.
type Journal struct {
	db      store.DB
	log     *slog.Logger
	metrics *metrics.Metrics
	now     func() time.Time

	mu      sync.Mutex
	waiting map[string]*attempts.Attempt // by id: a later state replaces an earlier
	order   []string                     // of waiting, the oldest first
	bytes   int                          // of waiting, about
	folds   map[foldKey]*attempts.Attempt
	each    map[string]*crowd // by who
	forgot  time.Time         // when folds were last looked through
	wake    chan struct{}

	writing sync.Mutex // one flush at a time; guards the two below
	batch   []*attempts.Attempt
	tries   int // how often batch could not be written
}

// A foldKey is what makes attempts alike.
type foldKey struct{ who, cause string }

// A crowd counts the rows of those who share a name.
type crowd struct {
	since time.Time
	rows  int
}

// New makes a journal over db.
func New(db store.DB, log *slog.Logger, m *metrics.Metrics, now func() time.Time) *Journal {
	return &Journal{
		db: db, log: log, metrics: m, now: now,
		waiting: map[string]*attempts.Attempt{}, folds: map[foldKey]*attempts.Attempt{}, each: map[string]*crowd{},
		wake: make(chan struct{}, 1),
	}
}

// Record takes an attempt to be written soon, in place of an earlier state of
// it. When the journal is full it is dropped and counted.
func (j *Journal) Record(a *attempts.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(a)
}

func (j *Journal) put(a *attempts.Attempt) {
	size := weight(a)
	old, again := j.waiting[a.ID]
	if again {
		size -= weight(old)
	}
	if !again && len(j.waiting) >= maxWaiting || j.bytes+size > maxBytes {
		j.dropped(1)
		return
	}
	if !again {
		j.order = append(j.order, a.ID)
	}
	j.waiting[a.ID] = a
	j.bytes += size
	j.nudge()
}

// nudge wakes Run.
func (j *Journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// weight is about what an attempt occupies.
func weight(a *attempts.Attempt) int {
	n := 512 + len(a.Reason)
	for i := range a.Steps {
		n += 64 + len(a.Steps[i].Text)
	}
	for _, k := range a.Keys {
		n += 16 + len(k)
	}
	return n
}

func (j *Journal) dropped(n int) {
	for range n {
		j.metrics.Dropped("attempt")
	}
}

// Fold takes an attempt of which many may follow: one that failed before
// authentication, or the CONNECT of a device that is refused again and again.
// Those of one who (an address, a certificate) and cause become one row a
// minute with a count, so that neither a flood nor a stuck fleet fills the
// disk; the first of them is logged.
func (j *Journal) Fold(who, cause string, a *attempts.Attempt) {
	j.mu.Lock()
	first := j.fold(foldKey{who, cause}, a)
	j.mu.Unlock()
	if first {
		j.said(a)
	}
}

// FoldEach is Fold where many go by one name, as a fleet does that shares a
// claim. Each of them has a row of its own, the first thousand of a minute;
// the others share one.
func (j *Journal) FoldEach(who, cause, each string, a *attempts.Attempt) {
	j.mu.Lock()
	k := foldKey{who, cause + "\x00" + each}
	if row := j.folds[k]; (row == nil || a.Opened.Sub(row.Opened) >= foldFor) && !j.another(who, a.Opened) {
		k.cause = cause
	}
	first := j.fold(k, a)
	j.mu.Unlock()
	if first {
		j.said(a)
	}
}

// another says whether one more of those who share a name may have a row.
func (j *Journal) another(who string, at time.Time) bool {
	c := j.each[who]
	if c == nil && len(j.each) >= maxFolds {
		return false
	}
	if c == nil || at.Sub(c.since) >= foldFor {
		c = &crowd{since: at}
		j.each[who] = c
	}
	c.rows++
	return c.rows <= maxEach
}

// said logs the first of those that are alike.
func (j *Journal) said(a *attempts.Attempt) {
	j.log.Info("refused", slog.String("remote", a.Remote), slog.String("client", a.ClientID),
		slog.String("certificate", string(a.CertID)), slog.String("reason", a.Reason))
}

// fold says whether a is the first of its minute.
func (j *Journal) fold(k foldKey, a *attempts.Attempt) (first bool) {
	if j.again(k, a.Opened, a.Closed) {
		return false
	}
	if j.forget(); len(j.folds) >= maxFolds {
		j.dropped(1)
		return false
	}
	j.folds[k] = a.Copy()
	j.put(a.Copy())
	return true
}

// Again counts one more attempt into its row of this minute, as Fold does with
// one that was written down. It is false if there is no such row.
func (j *Journal) Again(who, cause string, at time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.again(foldKey{who, cause}, at, at)
}

func (j *Journal) again(k foldKey, opened, closed time.Time) bool {
	row := j.folds[k]
	if row == nil || opened.Sub(row.Opened) >= foldFor {
		return false
	}
	row.Count++
	row.Closed = closed
	if waits := j.waiting[row.ID]; waits != nil {
		waits.Count, waits.Closed = row.Count, row.Closed
	} else {
		j.put(row.Copy())
	}
	return true
}

// forget drops the rows whose minute is over, once in a while.
func (j *Journal) forget() {
	now := j.now()
	if len(j.folds) < maxFolds || now.Sub(j.forgot) < time.Second {
		return
	}
	j.forgot = now
	for k, row := range j.folds {
		if now.Sub(row.Opened) >= foldFor {
			delete(j.folds, k)
		}
	}
	maps.DeleteFunc(j.each, func(_ string, c *crowd) bool { return now.Sub(c.since) >= foldFor })
}

// Run writes until ctx ends, and then what still waits.
func (j *Journal) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			j.Flush(context.WithoutCancel(ctx))
			return
		case <-j.wake:
		}
		rest(ctx, beat)
		for !j.flush(context.WithoutCancel(ctx)) && ctx.Err() == nil {
			rest(ctx, pause)
		}
	}
}

// rest waits, but not beyond the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Flush writes what waits and returns when it is on disk, or the store failed.
func (j *Journal) Flush(ctx context.Context) { j.flush(ctx) }

// flush says whether all that waited was written. A batch that cannot be
// written is tried again, and dropped after maxTries, since the fault may lie
// in the batch.
func (j *Journal) flush(ctx context.Context) bool {
	j.writing.Lock()
	defer j.writing.Unlock()
	for {
		if len(j.batch) == 0 {
			j.batch, j.tries = j.take(), 0
		}
		if len(j.batch) == 0 {
			return true
		}
		if err := j.write(ctx); err != nil {
			j.failed(ctx, err)
			return false
		}
		j.batch = nil
	}
}

func (j *Journal) write(ctx context.Context) error {
	return j.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.InsertAttempts(ctx, j.batch)
	})
}

func (j *Journal) failed(ctx context.Context, err error) {
	j.log.WarnContext(ctx, "attempts were not written", slog.Int("count", len(j.batch)), slog.Any("err", err))
	j.nudge()
	if ctx.Err() != nil {
		return // the caller left; that says nothing about the batch
	}
	if j.tries++; j.tries >= maxTries {
		j.dropped(len(j.batch))
		j.batch = nil
	}
}

func (j *Journal) take() []*attempts.Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.order), maxBatch)
	batch := make([]*attempts.Attempt, 0, n)
	for _, id := range j.order[:n] {
		j.bytes -= weight(j.waiting[id])
		batch = append(batch, j.waiting[id])
		delete(j.waiting, id)
	}
	j.order = append([]string(nil), j.order[n:]...)
	return batch
}
