package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// A bench is a journal over SQLite, with a clock and a store that can fail.
type bench struct {
	*Journal
	store.DB
	t       *testing.T
	metrics *metrics.Metrics
	now     time.Time
	broken  bool
	writes  int
}

func (b *bench) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	b.writes++
	if b.broken {
		return errors.New("disk full")
	}
	return b.DB.Update(ctx, f)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{DB: db, t: t, metrics: metrics.New(), now: noon}
	b.Journal = New(b, slog.New(slog.DiscardHandler), b.metrics, func() time.Time { return b.now })
	return b
}

func attempt(id string) *attempts.Attempt {
	return &attempts.Attempt{ID: id, Tenant: arn.Default, Opened: noon, Closed: noon, Outcome: attempts.Refused, Reason: "no", Count: 1, Keys: []string{"all"}}
}

// kept gives what the store has.
func (b *bench) kept() (all []*attempts.Attempt) {
	b.t.Helper()
	err := b.View(b.t.Context(), func(ctx context.Context, tx store.Tx) (err error) {
		all, _, err = tx.FindAttempts(ctx, arn.Default, "all", ref.All)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// dropped reads the counter as Prometheus does.
func (b *bench) dropped() string {
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if v, ok := strings.CutPrefix(line, `slipway_dropped_total{what="attempt"} `); ok {
			return strings.TrimSpace(v)
		}
	}
	return "0"
}

func TestWhatWaitsIsWritten(t *testing.T) {
	b := newBench(t)
	for i := range maxBatch + 100 {
		b.Record(attempt(fmt.Sprint(i)))
	}
	b.Flush(t.Context())
	if n := len(b.kept()); n != maxBatch+100 || b.writes != 2 || b.dropped() != "0" {
		t.Errorf("%d attempts in %d writes, %s dropped", n, b.writes, b.dropped())
	}
	b.Flush(t.Context())
	if b.writes != 2 {
		t.Error("an empty journal was written")
	}
}

func TestALaterStateReplacesAnEarlier(t *testing.T) {
	b := newBench(t)
	for _, reason := range []string{"first", "second"} {
		a := attempt("one")
		a.Reason = reason
		b.Record(a)
	}
	b.Flush(t.Context())
	third := attempt("one")
	third.Reason, third.Keys = "third", []string{"all", "later"}
	b.Record(third)
	b.Flush(t.Context())
	if got := b.kept(); len(got) != 1 || got[0].Reason != "third" || len(got[0].Keys) != 2 {
		t.Errorf("the store has %+v", got)
	}
}

func TestAlikeAttemptsFold(t *testing.T) {
	b := newBench(t)
	var logged bytes.Buffer
	b.log = slog.New(slog.NewTextHandler(&logged, nil))
	fold := func(who, cause string, at time.Duration) {
		a := attempt(fmt.Sprint(who, cause, at))
		a.Opened, a.Closed = noon.Add(at), noon.Add(at)
		b.Fold(who, cause, a)
	}
	if b.Again("198.51.100.1", "silent", noon) {
		t.Error("one more of none is counted")
	}
	for i := range 60 {
		at := time.Duration(i) * time.Second
		if i%2 == 0 {
			fold("198.51.100.1", "silent", at)
		} else if !b.Again("198.51.100.1", "silent", noon.Add(at)) {
			t.Errorf("one more is not counted after %s", at)
		}
		if i%20 == 0 {
			b.Flush(t.Context()) // a row that was written grows
		}
	}
	if b.Again("198.51.100.1", "silent", noon.Add(time.Minute)) {
		t.Error("one more is counted into the row of the minute before")
	}
	fold("198.51.100.1", "sni", 0)
	fold("198.51.100.2", "silent", 0)
	fold("198.51.100.1", "silent", time.Minute)
	b.Flush(t.Context())
	counts := map[string]int{}
	for _, a := range b.kept() {
		counts[a.ID] = a.Count
		if a.Count == 60 && !a.Closed.Equal(noon.Add(59*time.Second)) {
			t.Errorf("the row closed at %v", a.Closed)
		}
	}
	want := map[string]int{"198.51.100.1silent0s": 60, "198.51.100.1sni0s": 1, "198.51.100.2silent0s": 1, "198.51.100.1silent1m0s": 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", counts, want)
	}
	if lines := strings.Count(logged.String(), "msg=refused"); lines != len(want) {
		t.Errorf("%d lines were logged, want one for each row:\n%s", lines, logged.String())
	}
}

// A fleet shares an expired claim: each device is found, and no fleet fills the
// disk.
func TestThoseWhoShareANameAreFoundEach(t *testing.T) {
	b := newBench(t)
	for round := range 3 {
		for i := range maxEach + 5 {
			a := attempt(fmt.Sprint(round, " ", i))
			a.Opened = noon.Add(time.Duration(round) * time.Second)
			a.Closed = a.Opened
			b.FoldEach("claim", "expired", fmt.Sprint("unit-", i), a)
		}
	}
	all, shared := 0, 0
	for _, row := range b.folds {
		if all += row.Count; row.Count != 3 {
			shared++
		}
	}
	if len(b.folds) != maxEach+1 || all != 3*(maxEach+5) || shared != 1 {
		t.Errorf("%d rows for %d attempts, %d of them shared", len(b.folds), all, shared)
	}
}

func TestAFullJournalDropsAndCounts(t *testing.T) {
	t.Run("by number", func(t *testing.T) {
		b := newBench(t)
		for i := range maxWaiting + 7 {
			b.Record(attempt(fmt.Sprint(i)))
		}
		b.Record(attempt("5")) // is there already: replaced
		if len(b.waiting) != maxWaiting || b.dropped() != "7" {
			t.Errorf("%d wait, %s dropped", len(b.waiting), b.dropped())
		}
	})
	t.Run("by size", func(t *testing.T) {
		b := newBench(t)
		for i := range 1000 {
			a := attempt(fmt.Sprint(i))
			for range 64 {
				a.Steps = append(a.Steps, attempts.Step{Text: strings.Repeat("x", 1024)})
			}
			b.Record(a)
		}
		if b.bytes > maxBytes || b.bytes < maxBytes/2 || b.dropped() == "0" {
			t.Errorf("%d bytes wait, %s dropped", b.bytes, b.dropped())
		}
		for len(b.order) > 0 {
			b.take()
		}
		if b.bytes != 0 || len(b.waiting) != 0 {
			t.Errorf("an empty journal counts %d bytes", b.bytes)
		}
	})
	t.Run("by strangers, until their minute is over", func(t *testing.T) {
		b := newBench(t)
		flood := func(from int) {
			for i := range maxFolds {
				a := attempt(fmt.Sprint(from + i))
				a.Opened = b.now
				b.Fold(a.ID, "silent", a)
			}
		}
		flood(0)
		for len(b.order) > 0 {
			b.take() // as if they were written
		}
		b.Fold("late", "silent", attempt("late"))
		if b.dropped() != "1" || len(b.folds) != maxFolds {
			t.Errorf("%s dropped, %d rows", b.dropped(), len(b.folds))
		}
		b.now = b.now.Add(time.Minute)
		later := attempt("later")
		later.Opened = b.now
		b.Fold("later", "silent", later)
		if b.dropped() != "1" || len(b.folds) != 1 {
			t.Errorf("a minute later: %s dropped, %d rows", b.dropped(), len(b.folds))
		}
	})
}

func TestABatchThatFailsIsTriedAgainAndThenDropped(t *testing.T) {
	b := newBench(t)
	b.Record(attempt("one"))
	b.broken = true
	b.Flush(t.Context())
	b.broken = false
	b.Record(attempt("two"))
	b.Flush(t.Context())
	if n := len(b.kept()); n != 2 || b.dropped() != "0" {
		t.Errorf("%d kept, %s dropped", n, b.dropped())
	}
	b.Record(attempt("three"))
	b.Record(attempt("four"))
	b.broken = true
	for range maxTries {
		b.Flush(t.Context())
	}
	if b.dropped() != "2" {
		t.Errorf("%s dropped", b.dropped())
	}
	b.broken = false
	b.Record(attempt("five"))
	b.Flush(t.Context())
	if n := len(b.kept()); n != 3 {
		t.Errorf("%d kept after the store came back", n)
	}
}

// TestRunWritesSoonAndAtTheEnd runs on a clock of its own.
func TestRunWritesSoonAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &memory{}
		j := New(kept, slog.New(slog.DiscardHandler), nil, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { j.Run(ctx) })
		j.Record(attempt("one"))
		time.Sleep(beat + time.Millisecond) // synctest's clock
		synctest.Wait()
		if kept.n != 1 {
			t.Errorf("after a beat %d attempts are written", kept.n)
		}
		kept.fails = 2
		j.Record(attempt("two"))
		time.Sleep(beat + 3*pause)
		synctest.Wait()
		if kept.n != 2 {
			t.Errorf("after two failures %d attempts are written", kept.n)
		}
		j.Record(attempt("three"))
		stop()
		running.Wait()
		if kept.n != 3 {
			t.Errorf("at the end %d attempts are written", kept.n)
		}
	})
}

// memory is a store that counts what it is asked to insert: SQLite's goroutines
// would not run on the bubble's clock.
type memory struct {
	store.DB
	store.Tx
	fails, n int
}

func (m *memory) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if m.fails > 0 {
		m.fails--
		return errors.New("not now")
	}
	return f(ctx, m)
}

func (m *memory) InsertAttempts(_ context.Context, as []*attempts.Attempt) error {
	m.n += len(as)
	return nil
}
