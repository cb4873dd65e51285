package server

import (
	"net/netip"
	"sync"
	"time"
)

// A throttle lets each address do something so often at once, and again every
// so often, and all of them together no more than that.
type throttle struct {
	burst int
	every time.Duration

	mu    sync.Mutex
	all   bucket
	cap   int
	again time.Duration
	each  map[string]*bucket
}

// A bucket holds what is left, as of a moment.
type bucket struct {
	left float64
	at   time.Time
}

// maxAddresses bounds what a throttle remembers. When it is full, those who
// have all their tries left are forgotten, and if all tried, everyone.
const maxAddresses = 10_000

func newThrottle(burst int, every time.Duration, all int, again time.Duration) *throttle {
	return &throttle{burst: burst, every: every, cap: all, again: again, each: map[string]*bucket{}}
}

func (b *bucket) fill(now time.Time, burst int, every time.Duration) {
	if b.at.IsZero() {
		b.left = float64(burst)
	} else if since := now.Sub(b.at); since > 0 {
		b.left = min(float64(burst), b.left+since.Seconds()/every.Seconds())
	}
	b.at = now
}

// take uses one try up, and says whether there was one.
func (t *throttle) take(who string, now time.Time) bool { return t.spend(who, now, 1) }

// left says whether there is a try.
func (t *throttle) left(who string, now time.Time) bool { return t.spend(who, now, 0) }

func (t *throttle) spend(who string, now time.Time, n float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.each[who]
	if b == nil {
		t.forget(now)
		b = &bucket{}
		t.each[who] = b
	}
	b.fill(now, t.burst, t.every)
	t.all.fill(now, t.cap, t.again)
	if b.left < 1 || t.all.left < 1 {
		return false
	}
	b.left -= n
	t.all.left -= n
	return true
}

func (t *throttle) forget(now time.Time) {
	if len(t.each) < maxAddresses {
		return
	}
	for who, b := range t.each {
		if b.fill(now, t.burst, t.every); b.left >= float64(t.burst) {
			delete(t.each, who)
		}
	}
	if len(t.each) >= maxAddresses {
		clear(t.each)
	}
}

// placeOf is the address, or the network of one who has many.
func placeOf(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
