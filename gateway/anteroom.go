package gateway

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An anteroom lets few handshakes compute at a time, one address after the
// other. So a crowd of strangers fills a queue of its own and not that of the
// processors, which everything else of the server stands in too.
type anteroom struct {
	opened time.Time    // a moment before there was anybody
	last   atomic.Int64 // when somebody came, in nanoseconds since opened
	turns  int          // that there are

	mu      sync.Mutex                // guards everything below
	taken   int                       // turns that somebody has
	crowds  int                       // … in a crowd, and turns that a crowd rests from
	single  single                    // the last one who was in none
	waiting map[netip.Prefix][]*guest // by address, in the order in which they came
	next    []netip.Prefix            // addresses that wait, in the order of their turns
}

// A guest is one handshake that waits for its turn, or has it.
type guest struct {
	from    netip.Prefix
	turn    chan struct{} // closed when it is its turn
	since   time.Time     // when that was
	crowded bool          // many of its address wait
	gone    bool          // it waits no more; guarded by anteroom.mu
}

// A single is somebody of whose address few waited.
type single struct {
	from netip.Prefix
	at   time.Time // when its turn came
}

func newAnteroom(turns int) *anteroom {
	return &anteroom{opened: time.Now().Add(-moment), turns: turns, waiting: map[netip.Prefix][]*guest{}}
}

// moment is how long after a step of its handshake a device is taken to be on
// its way in: to its CONNECT, to its next step, to the connection under its new
// name.
const moment = 10 * time.Millisecond

// Crowds make room for who comes beside them from another address, for so long
// after its turn: they have half the turns and rest after each, so many times
// as long as it took. With nobody beside them they may have all.
const (
	beside  = 100 * time.Millisecond
	resting = 3
)

// lately says whether somebody is on the way in.
func (r *anteroom) lately() bool {
	return time.Since(r.opened)-time.Duration(r.last.Load()) < moment
}

// take waits for the address's turn. It is nil if ctx ended before.
func (r *anteroom) take(ctx context.Context, from netip.Prefix) *guest {
	r.last.Store(int64(time.Since(r.opened)))
	g := &guest{from: from, turn: make(chan struct{})}
	r.mu.Lock()
	if len(r.waiting[from]) == 0 {
		r.next = append(r.next, from)
	}
	r.waiting[from] = append(r.waiting[from], g)
	r.pass()
	r.mu.Unlock()
	select {
	case <-g.turn:
		return g
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-g.turn: // just now
		return g
	default:
		g.gone = true
		return nil
	}
}

// give ends a turn; the next address has the next.
func (r *anteroom) give(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken--
	switch {
	case !g.crowded:
	case r.besideOthers(g.from):
		time.AfterFunc(resting*time.Since(g.since), r.rested)
	default:
		r.crowds--
	}
	r.pass()
}

// rested ends the rest of a crowd.
func (r *anteroom) rested() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crowds--
	r.pass()
}

// besideOthers says whether somebody came from another address lately, in no
// crowd; mu is held.
func (r *anteroom) besideOthers(from netip.Prefix) bool {
	return r.single.from != from && time.Since(r.single.at) < beside
}

// pass gives out the turns that nobody has; mu is held.
func (r *anteroom) pass() {
	for i := 0; i < len(r.next) && r.taken < r.turns; {
		from := r.next[i]
		queue := r.waiting[from]
		crowded := len(queue) >= few
		if crowded && r.crowds >= (r.turns+1)/2 && r.besideOthers(from) {
			i++ // whoever ends a crowd's turn, or its rest, looks again
			continue
		}
		g := queue[0]
		queue[0] = nil
		r.next = slices.Delete(r.next, i, i+1)
		if len(queue) > 1 {
			r.waiting[from] = queue[1:]
			r.next = append(r.next, from)
		} else {
			delete(r.waiting, from)
		}
		if g.gone {
			continue
		}
		g.since, g.crowded = time.Now(), crowded
		if r.taken++; crowded {
			r.crowds++
		} else {
			r.single = single{from, g.since}
		}
		close(g.turn)
	}
}
