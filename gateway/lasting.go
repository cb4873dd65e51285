package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

// A lasting is a session that outlives its connections. Its record, with its
// subscriptions, and its queue are in the store; its subscriptions match while
// its device is away, too.
type lasting struct {
	queue
	key  clientKey
	subs filterSet
	conn atomic.Pointer[session] // nil while the device is away

	saving sync.Mutex       // one write of the record at a time
	record sessions.Session // without subscriptions; guarded by queue.mu
}

// lastings are the sessions that outlive connections, by client id.
type lastings struct {
	seed  maphash.Seed
	turns [256]sync.Mutex // whose turn it is to begin or end a session of a client id

	mu sync.Mutex
	of map[clientKey]*lasting
}

func newLastings() *lastings {
	return &lastings{seed: maphash.MakeSeed(), of: map[clientKey]*lasting{}}
}

// turn waits until nobody begins or ends a session of the client id; done lets
// the next one.
func (l *lastings) turn(k clientKey) (done func()) {
	m := &l.turns[maphash.String(l.seed, k.id)%uint64(len(l.turns))]
	m.Lock()
	return m.Unlock
}

func (l *lastings) get(k clientKey) *lasting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[k]
}

func (l *lastings) put(s *lasting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[s.key] = s
}

// remove takes s out, but not a later session of its client id.
func (l *lastings) remove(s *lasting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[s.key] == s {
		delete(l.of, s.key)
	}
}

func (l *lastings) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.of)
}

func (l *lastings) all() []*lasting {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*lasting, 0, len(l.of))
	for _, s := range l.of {
		out = append(out, s)
	}
	return out
}

// newLasting makes the session of a record that is stored, or is about to be.
func (g *Gateway) newLasting(r sessions.Session) *lasting {
	l := &lasting{key: clientKey{r.Tenant, r.ClientID}, record: r}
	l.record.Subscriptions = nil
	l.queue = g.newQueue(&sessions.Session{Tenant: r.Tenant, ClientID: r.ClientID, ID: r.ID, Version: r.Version})
	l.maxCount, l.maxBytes = int64(g.Limits.Stored), int64(g.Limits.StoredBytes)
	l.takers = func() []taker {
		if c := l.conn.Load(); c != nil {
			return []taker{{c, 1, true, c.pace.ownDrip()}}
		}
		return nil
	}
	l.keeps = func() bool { return false }
	return l
}

func (g *Gateway) newQueue(of *sessions.Session) queue {
	return queue{g: g, of: of, out: map[int64]*flight{}}
}

// sessionID is 128 random bits, as AWS's session identifiers look.
func sessionID(random io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		_, _ = rand.Read(b[:])
	}
	return hex.EncodeToString(b[:])
}

// openSession finds the session that CONNECT asks for, or makes one, and says
// whether an earlier one goes on (MQTT 5.0, 3.1.2.4). The client id is the
// connection's, and its turn. Nothing is read or written for a device that
// wants no lasting session and left none.
func (s *session) openSession(p *mqtt.Connect) (present bool, err error) {
	asked := askedExpiry(p)
	s.asked = asked
	l := s.g.lastings.get(clientKey{s.tenant, s.clientID})
	if l != nil && l.thing() != "" && !s.hasThing {
		s.rec.Step("session", "The stored session of this client id is that of a device with a thing; it is left alone, and this connection has one that ends with it.")
		l, asked = nil, 0
	}
	if l != nil {
		why, err := s.startsAnew(l, p)
		if err != nil {
			return false, err
		}
		if why != "" {
			s.rec.Step("session", why)
			s.earlier = l.connections()
			if err := l.drop(); err != nil {
				return false, err
			}
			l = nil
		}
	}
	if l == nil && asked == 0 {
		return false, nil
	}
	if l != nil { // taken over while it was live
		if old := l.conn.Swap(nil); old != nil {
			l.reopen(old)
		}
	}
	present = l != nil
	if !present {
		if n := s.g.lastings.count(); n >= s.g.Limits.Sessions {
			return false, fault.New(fault.Refused, "The server stores %d sessions, which is its limit; connect with a session that ends with its connection.", n)
		}
		l = s.g.newLasting(sessions.Session{Tenant: s.tenant, ClientID: s.clientID, ID: sessionID(s.g.Rand), Version: s.version})
		l.counted = true
	}
	return present, s.resume(l, asked)
}

// resume makes the session that of this connection.
func (s *session) resume(l *lasting, asked time.Duration) error {
	if err := l.measure(); err != nil {
		return err
	}
	now := s.g.Now()
	l.mu.Lock()
	r := &l.record
	switch {
	case r.Connections == 0:
		r.Connections = s.earlier
	case !r.Ended.IsZero() && now.Sub(r.Ended) >= livesHour:
		r.Connections = 0
	}
	number := r.Connections
	s.number = &number
	r.Connections++
	r.Ended, r.Principal, r.Thing = time.Time{}, s.principal(), s.rights.Load().thing
	l.mu.Unlock()
	err := l.save(func(ctx context.Context, tx store.Tx, r *sessions.Session) error {
		most, err := tx.Limit(ctx, s.tenant, ref.SessionExpiry)
		s.longest = time.Duration(most) * time.Second
		r.Expiry = min(asked, s.longest)
		return err
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	r.Expiry = min(asked, s.longest)
	l.mu.Unlock()
	s.g.lives.at(l.key, number)
	s.lasting = l
	s.g.lastings.put(l)
	s.g.keeper.start()
	return nil
}

// outlives is how long the session stays after the connection.
func (s *session) outlives() time.Duration {
	if s.lasting == nil {
		return 0
	}
	return min(s.asked, s.longest)
}

// forever is the expiry that 3.1.1 knows, and 0xFFFFFFFF on MQTT 5; the
// account's limit shortens it.
const forever = time.Duration(1<<32-1) * time.Second

// askedExpiry is how long the session shall outlive the connection.
func askedExpiry(p *mqtt.Connect) time.Duration {
	switch {
	case p.Version == mqtt.V5:
		return time.Duration(p.Properties.SessionExpiry.Or(0)) * time.Second
	case p.CleanStart:
		return 0
	}
	return forever
}

// startsAnew says why a stored session does not go on, if it does not.
func (s *session) startsAnew(l *lasting, p *mqtt.Connect) (why string, err error) {
	l.mu.Lock()
	r := l.record
	l.mu.Unlock()
	switch {
	case p.CleanStart:
		return "The stored session of this client id was dropped: the device asked for a new one.", nil
	case r.Version != s.version:
		return fmt.Sprintf("The stored session of this client id was dropped: it is one of %s, and cannot go on as %s.", r.Version, s.version), nil
	case l.over(s.g.Now()):
		return fmt.Sprintf("The stored session of this client id was dropped: it expired %s after its connection ended, at %s.", r.Expiry, stamp(r.Ended.Add(r.Expiry))), nil
	case r.Principal != s.principal():
		same, err := s.sameThing(r.Principal)
		if same || err != nil {
			return "", err
		}
		return "The stored session of this client id was dropped: it is another principal's, and the two are not attached to one thing.", nil
	}
	return "", nil
}

// sameThing says whether a thing is attached to both the certificate of s and
// the other.
func (s *session) sameThing(other string) (same bool, err error) {
	id, is := strings.CutPrefix(other, byCertificate+"/")
	if !is || !strings.HasPrefix(s.principal(), byCertificate+"/") {
		return false, nil
	}
	err = s.g.DB.Peek(s.ctx, func(ctx context.Context, tx store.Tx) error {
		mine, _, err := tx.Lefts(ctx, s.tenant, ref.ThingPrincipal, s.tenant.Cert(s.certID), ref.All)
		if err != nil {
			return err
		}
		theirs, _, err := tx.Lefts(ctx, s.tenant, ref.ThingPrincipal, s.tenant.Cert(arn.CertID(id)), ref.All)
		if err != nil {
			return err
		}
		same = false
		for _, a := range mine {
			for _, b := range theirs {
				same = same || a.Left == b.Left
			}
		}
		return nil
	})
	return same, err
}

func (l *lasting) thing() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Thing
}

func (l *lasting) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Connections
}

func (l *lasting) principal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Principal
}

// over says whether the session has expired.
func (l *lasting) over(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.record.Ended.IsZero() && !now.Before(l.record.Ended.Add(l.record.Expiry))
}

// attach lets the connection have what waits; CONNACK was queued before. It is
// still the client id's turn.
func (l *lasting) attach(s *session) {
	l.conn.Store(s)
	l.poke()
	for _, q := range l.subs.queues() {
		q.poke()
	}
}

// save writes the record with what change makes of it.
func (l *lasting) save(change func(context.Context, store.Tx, *sessions.Session) error) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	r := l.record
	l.mu.Unlock()
	r.Subscriptions = l.subs.stored()
	return l.g.DB.Update(context.WithoutCancel(l.g.ctx), func(ctx context.Context, tx store.Tx) error {
		r := r
		if change != nil {
			if err := change(ctx, tx, &r); err != nil {
				return err
			}
		}
		return tx.PutSession(ctx, &r)
	})
}

// leave ends the connection's part in its session: what it did not acknowledge
// waits again, or goes to others.
func (s *session) leave() {
	rest := s.retire()
	if s.lasting != nil {
		if err := s.lasting.left(s); err != nil {
			s.g.Log.ErrorContext(s.ctx, "session", slog.String("client", s.clientID), slog.Any("err", err))
		}
	}
	s.handOn(rest)
}

// left has the session's time run from now on, if s was its connection.
func (l *lasting) left(s *session) error {
	defer l.g.lastings.turn(l.key)()
	if !l.conn.CompareAndSwap(s, nil) && (l.conn.Load() != nil || l.g.lastings.get(l.key) != l) {
		return nil // another connection has it, or it is gone
	}
	l.reopen(s)
	l.mu.Lock()
	if s.expiry != nil {
		l.record.Expiry = *s.expiry
	}
	l.record.Ended = l.g.Now()
	ends := l.record.Expiry == 0 || s.revoked.Load()
	l.mu.Unlock()
	if ends {
		return l.drop()
	}
	return l.save(func(ctx context.Context, tx store.Tx, _ *sessions.Session) error {
		return tx.MarkSent(ctx, l.unacknowledged())
	})
}

// drop ends the session for good, in the store first.
func (l *lasting) drop() error {
	if err := l.g.erase(l.of); err != nil {
		return err
	}
	l.vanish()
	return nil
}

// vanish ends the session in memory: nothing is stored for it any more.
func (l *lasting) vanish() {
	l.g.lastings.remove(l)
	l.conn.Store(nil)
	l.close()
	l.subs.close(l.g, l.key.tenant)
}

// close lets nothing more be stored or handed out.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone, q.more = true, false
}

// erase deletes a session with its queue. A long queue goes in steps, so that
// nobody waits long.
func (g *Gateway) erase(of *sessions.Session) error {
	for {
		n := 0
		err := g.DB.Update(context.WithoutCancel(g.ctx), func(ctx context.Context, tx store.Tx) (err error) {
			if n, err = tx.PruneQueue(ctx, of, sessions.EndOfTime, eraseStep); err != nil || n == eraseStep {
				return err
			}
			return tx.DeleteSession(ctx, of)
		})
		if err != nil || n < eraseStep {
			return err
		}
	}
}

const eraseStep = 1000

// shorten applies what DISCONNECT says of the session's expiry (MQTT 5.0,
// 3.14.2.2.2).
func (s *session) shorten(p *mqtt.Disconnect) (why string) {
	v, set := p.Properties.SessionExpiry.Get()
	switch {
	case !set:
	case s.asked == 0 && v != 0:
		return s.violation(mqtt.ProtocolError, fmt.Sprintf("DISCONNECT sets a Session Expiry Interval of %d s, but CONNECT asked for none: a session that ends with its connection cannot be made to last.", v))
	default:
		expiry := min(time.Duration(v)*time.Second, s.longest)
		s.expiry = &expiry
	}
	return ""
}
