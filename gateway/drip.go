package gateway

import (
	"sync"
	"time"
)

// How fast AWS hands out what waited (device-gateway.md, section 3.6), where
// the profile aws holds.
const (
	drainPerSession = 10 // messages a second that waited for a session
	drainPerMember  = 20 // … that waited for shared groups, to each connection
)

// dripPause is how long the reader of a queue rests when everybody has had
// enough: it does not look into the store for every single message.
const dripPause = 200 * time.Millisecond

// A drip lets out little by little what was stored before a connection could
// have it. What was stored since waits its turn behind that, and then goes as
// fast as the device acknowledges; else one that listens to more would never
// catch up. A nil drip holds nothing back.
type drip struct {
	rate float64 // messages a second

	mu     sync.Mutex // guards everything below; no other lock is taken under it
	earned bucket
	waited int64 // what was stored up to here waited
}

// ownDrip is for what waits for the connection's session.
func (p *pace) ownDrip() *drip {
	if p == nil {
		return nil
	}
	return &p.own
}

// sharedDrip is for what waits for the groups that it is a member of.
func (p *pace) sharedDrip() *drip {
	if p == nil {
		return nil
	}
	return &p.shared
}

// join says that what was stored up to last waited, in a group that the
// connection is about to join too.
func (d *drip) join(last int64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waited = last
}

// due says how many messages from seq on may go out now.
func (d *drip) due(seq int64, now time.Time) int {
	if d == nil {
		return pageLength
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if seq > d.waited {
		return pageLength
	}
	d.earned.gain(now, d.rate, d.rate)
	return max(int(d.earned.left), 0)
}

// went counts a message that went out.
func (d *drip) went(seq int64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if seq <= d.waited {
		d.earned.left--
	}
}

// wanted says how many messages are worth reading: none if nobody has room, or
// who has room has had enough for now; mu is held.
func (q *queue) wanted() (n int) {
	now := q.g.Now()
	enough := false
	for _, t := range q.takers() {
		if !t.s.roomy() {
			continue
		}
		due := t.drip.due(q.seen+1, now)
		enough = enough || due == 0
		if n += due; n >= pageLength {
			return pageLength
		}
	}
	if n == 0 && enough {
		q.later()
	}
	return n
}

// later has the reader look again when somebody will have earned some more; mu
// is held. Once the connection has ended the reader finds nobody, and rests.
func (q *queue) later() {
	if q.alarmed {
		return
	}
	q.alarmed = true
	time.AfterFunc(dripPause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.alarmed = false
		q.news++ // the reader may be about to end
		q.read()
	})
}
