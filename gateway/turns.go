package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/mqtt"
)

// turns notices client ids that go back and forth. A device that reconnects
// takes over from itself, once; two that hold one identity evict each other for
// as long as both are switched on.
type turns struct {
	mu sync.Mutex
	of map[clientKey]*turn
}

// A turn is what is known of one client id that changed hands of late.
type turn struct {
	holders     []holder // those that were evicted, the last one last
	returns     int      // how often one of them came back
	since, last time.Time
}

// A holder is a party as the network shows it: who connects, and from where.
type holder struct {
	who  string // its certificate or other principal
	from netip.Addr
}

const (
	turnsFor   = 10 * time.Minute // without a takeover the story is over
	manyTurns  = 3                // returns that make a clone
	maxTurns   = 4096             // client ids that are followed at a time
	maxHolders = 4                // of one client id
)

// note takes down that a client id went from one holder to another. It gives
// how often an evicted holder has come back, since the first takeover of the
// story. A holder that takes over from itself is no news.
func (t *turns) note(k clientKey, from, to holder, now time.Time) (returns int, since time.Time) {
	if from == to {
		return 0, now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of[k]
	if s == nil || now.Sub(s.last) > turnsFor {
		t.makeRoom(now)
		s = &turn{since: now}
		t.of[k] = s
	}
	s.last = now
	if slices.Contains(s.holders, to) {
		s.returns++
	}
	s.holders = append(slices.DeleteFunc(s.holders, func(h holder) bool { return h == from }), from)
	if len(s.holders) > maxHolders {
		s.holders = s.holders[1:]
	}
	return s.returns, s.since
}

// makeRoom forgets stories that are over; when too many go on, all of them.
func (t *turns) makeRoom(now time.Time) {
	if t.of == nil {
		t.of = map[clientKey]*turn{}
	}
	if len(t.of) < maxTurns {
		return
	}
	for k, s := range t.of {
		if now.Sub(s.last) > turnsFor {
			delete(t.of, k)
		}
	}
	if len(t.of) >= maxTurns {
		clear(t.of)
	}
}

func (s *session) holder() holder { return holder{s.name(), s.from} }

// takeOver ends the session that held the client id of s. Its attempt names
// the other holder, unless that is the same device as far as can be told; the
// device itself learns only that there is one.
func (s *session) takeOver(old *session) {
	old.detach() // from here on, messages reach the new session only
	returns, since := s.g.turns.note(clientKey{s.tenant, s.clientID}, old.holder(), s.holder(), s.g.Now())
	text := fmt.Sprintf("Client id %s, held since %s, was taken over by the connection of %s from %s.", quoted(s.clientID), stamp(old.since), s.describe(), s.remote)
	switch {
	case returns >= manyTurns:
		old.rec.Refuse("clone", text+fmt.Sprintf(" It went back to an earlier holder %d times since %s: clone suspected. %s", returns, stamp(since), cloneAdvice(old, s)))
	case old.holder() != s.holder():
		old.rec.Refuse("takeover", text)
	}
	s.displaced = old
	old.end(mqtt.SessionTakenOver, fmt.Sprintf("Another connection took over client id %s. If both are meant to stay, each needs a client id of its own.", quoted(s.clientID)))
	s.rec.Step("connect", fmt.Sprintf("Took over client id %s from the connection of %s from %s (since %s).", s.clientID, old.describe(), old.remote, stamp(old.since)))
}

// evicted says how a session lost its client id, as its attempt has it; it is
// empty if the session ended otherwise.
func evicted(a *attempts.Attempt) string {
	if a.Outcome != attempts.Refused {
		return ""
	}
	for _, step := range slices.Backward(a.Steps) {
		if step.Refused && (step.Name == "takeover" || step.Name == "clone") {
			return step.Name
		}
	}
	return ""
}

// cloneAdvice says what to do about two that evict each other.
func cloneAdvice(a, b *session) string {
	switch {
	case a.name() != b.name():
		return "Two devices with identities of their own use one client id; give each its own."
	case a.certID == "":
		return "Two devices use one principal; give each its own."
	}
	return "The certificate and its key are on two devices, or its firmware opens two connections; if the key was copied, revoke the certificate."
}
