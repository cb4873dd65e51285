package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sessions"
)

// A Connection is what the data plane tells of a client id: of its connection,
// or of the last one (device-gateway.md, section 6).
type Connection struct {
	ClientID  string
	Connected bool
	Clean     bool // its session ends with it
	Since     time.Time
	Ended     time.Time // zero while it is connected
	Reason    string    // AWS's word for how it ended
	Thing     string    // empty: none
	KeepAlive time.Duration
	Expiry    time.Duration // of the session
	Source    string        // address and port of the device
	Target    string        // … and ours
}

// connection tells of s, which was accepted.
func (s *session) connection() Connection {
	return Connection{
		ClientID: s.clientID, Connected: true, Clean: s.lasting == nil, Since: s.since, Thing: s.rights.Load().thing,
		KeepAlive: s.keepAlive, Expiry: s.outlives(), Source: s.remote, Target: s.raw.LocalAddr().String(),
	}
}

// live gives the client id's connection, nil if none was accepted.
func (g *Gateway) live(k clientKey) *session {
	if s := g.hub.holder(k); s != nil && s.entered.Load() {
		return s
	}
	return nil
}

// Connection tells of the client id's connection, or of the one that ended
// last; fault.Missing when that is long ago.
func (g *Gateway) Connection(t arn.Tenant, clientID string) (Connection, error) {
	k := clientKey{t, clientID}
	if s := g.live(k); s != nil {
		return s.connection(), nil
	}
	if c, ok := g.departed.get(k, g.Now()); ok {
		return c, nil
	}
	return Connection{}, fault.New(fault.Missing, "There is no connection with client id %s, and there was none in the last %v minutes.", quoted(clientID), departedFor.Minutes())
}

// Subscriptions lists those of the client id's session, by filter, whether or
// not the device is there.
func (g *Gateway) Subscriptions(t arn.Tenant, clientID string) ([]sessions.Subscription, error) {
	k := clientKey{t, clientID}
	if s := g.live(k); s != nil {
		return s.filters().stored(), nil
	}
	if l := g.lastings.get(k); l != nil {
		return l.subs.stored(), nil
	}
	return nil, noSession(clientID)
}

func noSession(clientID string) error {
	return fault.New(fault.Missing, "There is no connection with client id %s, and no stored session.", quoted(clientID))
}

// Disconnect ends the client id's connection, and returns when it is gone.
// clean drops its session too, also that of a device which is away; silent
// drops the will.
func (g *Gateway) Disconnect(ctx context.Context, t arn.Tenant, clientID string, clean, silent bool) error {
	k := clientKey{t, clientID}
	s, l := g.live(k), g.lastings.get(k)
	if s == nil && (l == nil || !clean) {
		return noSession(clientID)
	}
	if s != nil {
		s.dismiss(clean, silent)
	}
	if clean {
		if err := g.endSession(k, s); err != nil {
			return err
		}
		g.endWait(k, silent)
	}
	if s == nil {
		return nil
	}
	select {
	case <-g.hub.gone(s):
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "The connection is being closed; ask again.")
	}
}

// dismiss ends the connection because an operator asked for it.
func (s *session) dismiss(clean, silent bool) {
	switch {
	case silent:
		s.will.settle(s.g.dropWill)
	case clean:
		s.will.hurry()
	}
	s.dismissed.Store(true)
	const text = "An operator ended the connection, by DeleteConnection."
	s.rec.Step("cut", text)
	s.end(mqtt.AdministrativeAction, text)
}

// endSession drops the stored session of a client id, unless a connection other
// than s has it by now.
func (g *Gateway) endSession(k clientKey, s *session) error {
	defer g.lastings.turn(k)()
	l := g.lastings.get(k)
	if l == nil {
		return nil
	}
	if c := l.conn.Load(); c != nil && c != s {
		return nil
	}
	return l.drop()
}

// endWait settles a will that waits: its session is over (MQTT 5.0, 3.1.3.2.2).
func (g *Gateway) endWait(k clientKey, silent bool) {
	switch w := g.waiting.take(k); {
	case w == nil:
	case silent:
		g.dropWill(w)
	default:
		g.sendWill(w, nil)
	}
}

// departed remembers connections that ended, for half an hour as AWS does.
type departed struct {
	mu    sync.Mutex
	of    map[clientKey]Connection
	sweep int // when so many are held, those that are too old are dropped
}

const (
	departedFor  = 30 * time.Minute
	fewDeparted  = 1024
	mostDeparted = 100_000
)

func (d *departed) get(k clientKey, now time.Time) (Connection, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.of[k]
	return c, ok && now.Sub(c.Ended) < departedFor
}

// note takes down how a connection ended, unless a later one has ended already.
func (d *departed) note(k clientKey, c Connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[k].Since.After(c.Since) {
		return
	}
	if d.of == nil {
		d.of, d.sweep = map[clientKey]Connection{}, fewDeparted
	}
	d.of[k] = c
	if len(d.of) <= d.sweep {
		return
	}
	for k, v := range d.of {
		if c.Ended.Sub(v.Ended) >= departedFor || len(d.of) > mostDeparted {
			delete(d.of, k)
		}
	}
	d.sweep = min(2*len(d.of)+fewDeparted, mostDeparted)
}

// depart notes the end of a connection that was accepted.
func (s *session) depart() {
	c := s.connection()
	c.Connected, c.Ended, c.Reason = false, s.g.Now(), s.disconnectReason()
	s.g.departed.note(clientKey{s.tenant, s.clientID}, c)
}
