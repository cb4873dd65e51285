package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

// A queue is what the store keeps for one session, or one shared group, as
// this process knows it: it hands messages out, and deletes those that were
// acknowledged. No message is held in memory that nobody takes; they are read
// from the store, a page at a time, when there is room.
//
// A message that was just stored is handed out at once if the reader of pages
// is at rest. Else it is left for the reader, which never goes past a message
// unseen: seen is how far it has read, a message that was committed below is
// read again, and out knows those that were handed out already: until they are
// deleted, and as long after that as the reader may hold a page of before.
type queue struct {
	g  *Gateway
	of *sessions.Session // whose; Tenant, ClientID and ID never change
	// takers gives those who may take a message, in the order in which they
	// are asked. It takes no lock under which mu is taken.
	takers func() []taker
	// keeps says whether a message that no taker may receive is kept, for
	// somebody who is away.
	keeps func() bool

	maxCount, maxBytes int64

	measuring sync.Mutex // while the store counts, once
	mu        sync.Mutex // guards everything below
	gone      bool       // the session is no more: nothing is stored or handed out
	counted   bool
	count     int64
	bytes     int64
	out       map[int64]*flight
	deleted   []int64 // flights that stay in out until the reader has done with its page
	seen      int64
	passed    int64 // how far the reader ever came
	more      bool  // messages may wait in the store
	news      int   // counts what the reader should know of: messages left for it, room made
	reading   bool
	alarmed   bool // a timer will start the reader

	// What was stored up to doubt, when this process began, may have been sent
	// by one that died.
	doubt   int64
	doubted time.Time
}

// A taker is a connection that may take a message.
type taker struct {
	s           *session
	qos         byte
	asPublished bool
	drip        *drip // nil: nothing holds back what waited
}

// A flight is a message that was handed out, from then until it is deleted.
type flight struct {
	to   *session  // nil: its connection ended, or it is over
	last string    // client id of whom it was sent to last
	sent time.Time // first
	over bool      // acknowledged, or given up
	size int64
}

// A stored is one message of a queue, about to be handed out.
type stored struct {
	seq     int64
	size    int64
	p       *mqtt.Publish
	expires time.Time // zero: never
	sent    time.Time // first; zero: never
	fresh   bool      // its publisher brings it, not the reader
	judged  bool      // the session was connected, and may receive it
}

const (
	pageLength   = 64
	retryWindow3 = time.Hour // how long AWS tries to deliver, by version
	retryWindow5 = 960 * time.Second
)

// measure has the store count what waits, when it is not known yet.
func (q *queue) measure() error {
	q.measuring.Lock()
	defer q.measuring.Unlock()
	q.mu.Lock()
	counted := q.counted
	q.mu.Unlock()
	if counted {
		return nil
	}
	var count, size int64
	err := q.g.DB.View(context.WithoutCancel(q.g.ctx), func(ctx context.Context, tx store.Tx) (err error) {
		count, size, err = tx.QueueSize(ctx, q.of)
		return err
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count, q.bytes, q.counted = count, size, true
	return nil
}

// reserve makes room for a message, if there is any and no rate quota is used up.
func (q *queue) reserve(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.gone:
		return false
	case q.count >= q.maxCount, q.bytes+size > q.maxBytes:
		q.g.Metrics.Dropped("stored queue full")
		return false
	case q.overQuota():
		q.g.Metrics.Dropped("rate quota")
		return false
	}
	q.count++
	q.bytes += size
	return true
}

// overQuota says whether nobody is there who could take a message, and the
// account has used up what may be stored in a second; mu is held.
func (q *queue) overQuota() bool {
	t := q.of.Tenant
	if q.g.Paced == nil || !q.g.Paced(t) || len(q.takers()) > 0 {
		return false
	}
	return !q.g.paces.account(t).store(q.g.Now())
}

// release gives the room of a message back.
func (q *queue) release(size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.bytes -= size
}

// makeRoom deletes what has expired in a queue that is nearly full. Messages
// that are being stored meanwhile may go uncounted: the bound is about right.
func (q *queue) makeRoom(now time.Time) error {
	q.mu.Lock()
	tight := q.count > q.maxCount*9/10 || q.bytes > q.maxBytes*9/10
	q.mu.Unlock()
	if !tight {
		return nil
	}
	err := q.g.DB.Update(context.WithoutCancel(q.g.ctx), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PruneQueue(ctx, q.of, now, eraseStep)
		return err
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.counted = false
	q.mu.Unlock()
	return q.measure()
}

// arrived hands out a message that was stored just now, or leaves it for the
// reader.
func (q *queue) arrived(m *stored) {
	m.fresh = true
	if placed, _ := q.place(m); placed {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.news++
	q.more = true
	q.seen = min(q.seen, m.seq-1)
	q.read()
}

// place asks the takers, and says whether the message needs no further care.
// Denied says that there are some, and that those who have room may not receive
// it. A group's takers are asked always; a session that is live was judged
// before its message was stored.
func (q *queue) place(m *stored) (placed, denied bool) {
	waits := false
	for _, t := range q.takers() {
		if !m.judged {
			if why := t.s.may("iot:Receive", policy.TopicARN(q.of.Tenant, m.p.Topic)); why != "" {
				t.s.withheld(why)
				denied = true
				continue
			}
		}
		switch q.hand(m, t) {
		case took:
			return true, false
		case busy:
			waits = true
		}
	}
	return false, denied && !waits
}

// What became of a message that was to be handed out.
type handing int

const (
	took handing = iota
	busy         // no room now
	left         // the connection ends
)

// hand gives the message to one connection, unless somebody was faster.
func (q *queue) hand(m *stored, t taker) handing {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.out[m.seq]
	switch {
	case q.gone, f != nil && (f.over || f.to != nil):
		return took
	case m.fresh && (q.more || m.seq <= q.passed):
		return busy
	}
	now := q.g.Now()
	if t.drip.due(m.seq, now) == 0 {
		q.later()
		return busy
	}
	p := t.s.outgoing(m.p, m.expires, now)
	p.QoS, p.Retain = min(1, t.qos), p.Retain && t.asPublished
	p.Dup = !m.sent.IsZero() && t.qos > 0 && (f == nil || f.last == t.s.clientID) // another member of a group has it for the first time
	if f == nil {
		f = &flight{sent: m.sent, size: m.size}
		if f.sent.IsZero() {
			f.sent = now
		}
	}
	r := t.s.take(p, outgoing{q: q, seq: m.seq})
	if r != took {
		return r
	}
	q.g.Metrics.Message("out", 1)
	t.drip.went(m.seq)
	f.to, f.last = t.s, t.s.clientID
	q.out[m.seq] = f
	if p.QoS == 0 || p.PacketID == 0 { // nobody will acknowledge it
		q.done(m.seq, f)
	}
	return took
}

// acknowledged says that a message arrived.
func (q *queue) acknowledged(seq int64, by *session) {
	roomy := by.roomy()
	q.mu.Lock()
	defer q.mu.Unlock()
	if f := q.out[seq]; f != nil && f.to == by && !f.over {
		q.done(seq, f)
	}
	if roomy {
		q.news++
		q.read()
	}
}

// done has a message deleted soon; mu is held.
func (q *queue) done(seq int64, f *flight) {
	f.over, f.to = true, nil
	q.count--
	q.bytes -= f.size
	q.g.keeper.delete(q, seq)
}

// giveUp deletes a message that cannot be delivered.
func (q *queue) giveUp(m *stored, why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.out[m.seq]
	if f == nil {
		f = &flight{size: m.size}
		q.out[m.seq] = f
	}
	if f.over || f.to != nil {
		return
	}
	q.g.Metrics.Dropped(why)
	q.done(m.seq, f)
}

// forget drops the flights of messages that were deleted.
func (q *queue) forget(seqs []int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted = append(q.deleted, seqs...)
	if !q.reading {
		q.tidy()
	}
}

// tidy drops the flights of what was deleted; mu is held, and the reader has no
// page.
func (q *queue) tidy() {
	for _, seq := range q.deleted {
		delete(q.out, seq)
	}
	q.deleted = nil
}

// reopen takes back what a connection that ended did not acknowledge. It is
// sent again, to whoever comes next.
func (q *queue) reopen(from *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for seq, f := range q.out {
		if f.to == from {
			f.to = nil
			q.seen = min(q.seen, seq-1)
			q.more = true
			q.news++
		}
	}
	q.read()
}

// unacknowledged gives what was sent and may be sent again.
func (q *queue) unacknowledged() (ms []sessions.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for seq, f := range q.out {
		if f.to == nil && !f.over {
			ms = append(ms, sessions.Message{Seq: seq, Sent: f.sent})
		}
	}
	return ms
}

// poke starts the reader from the beginning: somebody new may take what others
// may not receive.
func (q *queue) poke() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen, q.more = 0, true
	q.news++
	q.read()
}

// nudge starts the reader where it stopped.
func (q *queue) nudge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read()
}

// read sees that there is a reader if one is needed; mu is held. Whether
// anybody has room is the reader's to find out.
func (q *queue) read() {
	if q.reading || !q.more || q.gone || !q.g.begin() {
		return
	}
	q.reading = true
	go func() {
		defer q.g.sessions.Done()
		for q.page() {
		}
	}()
}

// page hands out one page from the store, and says whether to go on.
func (q *queue) page() bool {
	q.mu.Lock()
	q.tidy()
	n := 0
	if !q.gone && q.more {
		n = q.wanted()
	}
	if n == 0 {
		q.reading = false
		q.mu.Unlock()
		return false
	}
	at, news := q.seen, q.news
	q.mu.Unlock()
	var ms []sessions.Message
	err := q.g.DB.View(q.g.ctx, func(ctx context.Context, tx store.Tx) (err error) {
		ms, err = tx.Queue(ctx, q.of, at, n)
		return err
	})
	if err != nil {
		if q.g.ctx.Err() == nil {
			q.g.Log.Error("stored queue", slog.String("client", q.of.ClientID), slog.Any("err", err))
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.reading = false // the keeper tries again
		return false
	}
	for i := range ms {
		if !q.deal(&ms[i]) {
			return q.pause(news)
		}
		if !q.goesBy(&at, ms[i].Seq) {
			return true // something came below
		}
	}
	if len(ms) < n {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.news == news {
			q.more, q.reading = false, false
		}
		return q.reading
	}
	return true
}

// goesBy moves seen on from at, unless somebody moved it back.
func (q *queue) goesBy(at *int64, seq int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passed = max(q.passed, seq)
	if q.seen != *at {
		return false
	}
	q.seen, *at = seq, seq
	return true
}

// pause ends the reader because nobody has room, unless somebody has by now.
func (q *queue) pause(news int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reading = q.news != news
	return q.reading
}

// deal hands out one message of a page, and says whether the reader may go on.
func (q *queue) deal(row *sessions.Message) bool {
	m := &stored{seq: row.Seq, size: int64(len(row.Packet)), expires: row.Expires, sent: row.Sent}
	q.mu.Lock()
	f := q.out[m.seq]
	if f != nil && (f.over || f.to != nil) {
		q.mu.Unlock()
		return true
	}
	switch {
	case f != nil:
		m.sent = f.sent
	case m.sent.IsZero() && m.seq <= q.doubt:
		m.sent = q.doubted
	}
	q.mu.Unlock()
	p, err := mqtt.NewReader(bytes.NewReader(row.Packet), 0).Next(mqtt.V5)
	publish, ok := p.(*mqtt.Publish)
	now := q.g.Now()
	switch {
	case err != nil || !ok:
		q.g.Log.Error("stored queue", slog.String("client", q.of.ClientID), slog.Any("err", err))
		q.giveUp(m, "stored message damaged")
		return true
	case !m.expires.IsZero() && !now.Before(m.expires):
		q.giveUp(m, "message expired")
		return true
	case !m.sent.IsZero() && now.Sub(m.sent) > q.window():
		q.giveUp(m, "not acknowledged in time")
		return true
	}
	m.p = publish
	placed, denied := q.place(m)
	if denied && !q.keeps() {
		q.giveUp(m, "not allowed to receive")
	}
	return placed || denied
}

// window is how long delivery is tried, from the first time.
func (q *queue) window() time.Duration {
	if q.of.Version == mqtt.V5 {
		return retryWindow5
	}
	return retryWindow3
}
