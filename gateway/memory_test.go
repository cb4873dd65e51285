package gateway

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/attempts"
)

// A memoryJournal keeps every attempt, and tells who waits for one.
type memoryJournal struct {
	mu     sync.Mutex
	all    []*attempts.Attempt
	folded map[string]int // by who and cause
	new    chan struct{}
}

func (j *memoryJournal) Record(a *attempts.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, a)
	close(j.new)
	j.new = make(chan struct{})
}

func (j *memoryJournal) Fold(who, cause string, a *attempts.Attempt) {
	j.mu.Lock()
	j.folded[who+" "+cause]++ // before anyone who waits for it looks
	j.mu.Unlock()
	j.Record(a)
}

func (j *memoryJournal) FoldEach(who, cause, each string, a *attempts.Attempt) {
	j.Fold(who, cause+" "+each, a)
}

func (j *memoryJournal) Again(who, cause string, _ time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.folded[who+" "+cause] == 0 {
		return false
	}
	j.folded[who+" "+cause]++
	return true
}

// rows gives what was folded, and how often.
func (j *memoryJournal) rows() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.folded)
}

// count says how often the connection's attempt was recorded.
func (j *memoryJournal) count(address string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.all {
		if a.Remote == address {
			n++
		}
	}
	return n
}

// await gives the first attempt that satisfies want, waiting for it.
func (j *memoryJournal) await(t testing.TB, what string, want func(*attempts.Attempt) bool) *attempts.Attempt {
	t.Helper()
	limit := time.After(patience)
	for {
		j.mu.Lock()
		for _, a := range j.all {
			if want(a) {
				j.mu.Unlock()
				return a
			}
		}
		changed := j.new
		j.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("no attempt: %s", what)
		}
	}
}

// of gives the last state of the connection's attempt, nil if it left none.
func (j *memoryJournal) of(address string) (last *attempts.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.all {
		if a.Remote == address {
			last = a
		}
	}
	return last
}
