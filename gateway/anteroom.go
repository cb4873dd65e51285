package gateway

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// An anteroom lets few handshakes compute at a time, one address after the
// other. So a crowd of strangers fills a queue of its own and not that of the
// processors, which everything else of the server stands in too.
type anteroom struct {
	opened time.Time    // a moment before there was anybody
	last   atomic.Int64 // when somebody took a turn, in nanoseconds since opened

	mu      sync.Mutex // guards everything below
	free    int
	waiting map[netip.Prefix][]*guest // by address, in the order in which they came
	next    []netip.Prefix            // addresses that wait, in the order of their turns
}

// A guest is one handshake that waits.
type guest struct {
	turn chan struct{} // closed when it is its turn
	gone bool          // it waits no more; guarded by anteroom.mu
}

func newAnteroom(n int) *anteroom {
	return &anteroom{opened: time.Now().Add(-moment), free: n, waiting: map[netip.Prefix][]*guest{}}
}

// moment is how long after a step of its handshake a device is taken to be on
// its way in: to its CONNECT, to its next step, to the connection under its new
// name.
const moment = 10 * time.Millisecond

// lately says whether somebody is on the way in.
func (r *anteroom) lately() bool {
	return time.Since(r.opened)-time.Duration(r.last.Load()) < moment
}

// take waits for the address's turn, and says whether it came before ctx ended.
func (r *anteroom) take(ctx context.Context, from netip.Prefix) bool {
	r.last.Store(int64(time.Since(r.opened)))
	r.mu.Lock()
	if r.free > 0 {
		r.free--
		r.mu.Unlock()
		return true
	}
	g := &guest{turn: make(chan struct{})}
	if len(r.waiting[from]) == 0 {
		r.next = append(r.next, from)
	}
	r.waiting[from] = append(r.waiting[from], g)
	r.mu.Unlock()
	select {
	case <-g.turn:
		return true
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-g.turn: // just now
		return true
	default:
		g.gone = true
		return false
	}
}

// give ends a turn; the next address has the next.
func (r *anteroom) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.next) > 0 {
		from := r.next[0]
		queue := r.waiting[from]
		g := queue[0]
		queue[0] = nil
		if r.next = r.next[1:]; len(queue) > 1 {
			r.waiting[from] = queue[1:]
			r.next = append(r.next, from)
		} else {
			delete(r.waiting, from)
		}
		if !g.gone {
			close(g.turn)
			return
		}
	}
	r.free++
}
