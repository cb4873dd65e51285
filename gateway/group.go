package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

const (
	sharePrefix = "$share/"
	maxGroups   = 100 // of an account
	maxMembers  = 100 // of a group
)

// A group is one shared subscription: those who have it share its messages out
// among themselves. While one of them is a lasting session that listens at QoS
// 1, the group has a queue: its QoS 1 messages are stored before they are
// handed to a member that is connected, and go to another one if that member
// leaves without having acknowledged them.
type group struct {
	key clientKey // the tenant and the whole filter

	mu      sync.Mutex // guards everything below; no other lock of the gateway is taken under it
	members []*subscription
	lasting int    // members that make the queue necessary
	queue   *queue // nil: none
}

// groups are those that have members.
type groups struct {
	mu     sync.Mutex // guards of and count; held while a group's queue is made
	of     map[clientKey]*group
	counts map[arn.Tenant]int
	loaded map[clientKey]*sessions.Session // queues that no member has claimed yet, while sessions are loaded
	doubt  int64
	since  time.Time
}

func newGroups() *groups {
	return &groups{of: map[clientKey]*group{}, counts: map[arn.Tenant]int{}, loaded: map[clientKey]*sessions.Session{}}
}

func shareName(sub *subscription) string { return sharePrefix + sub.group + "/" + sub.match }

// join makes the subscription a member of its group, in place of old. A
// sentence refuses it.
func (gs *groups) join(g *Gateway, t arn.Tenant, sub, old *subscription) (why string, err error) {
	k := clientKey{t, shareName(sub)}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gr := gs.of[k]
	switch {
	case gr == nil && gs.counts[t] >= maxGroups:
		return fmt.Sprintf("Filter %s makes one shared group too many: the account has %d, which is the limit.", quoted(sub.filter), maxGroups), nil
	case gr != nil && old == nil && gr.size() >= maxMembers:
		return fmt.Sprintf("Shared group %s has %d members, which is the limit.", quoted(k.id), maxMembers), nil
	case gr == nil:
		gr = &group{key: k}
	}
	if sub.needsQueue() && gr.stored() == nil {
		q, err := gs.makeQueue(g, gr)
		if err != nil {
			return "", err
		}
		gr.mu.Lock()
		gr.queue = q
		gr.mu.Unlock()
	}
	if gs.of[k] == nil {
		gs.of[k] = gr
		gs.counts[t]++
	}
	gr.mu.Lock()
	defer gr.mu.Unlock()
	gr.members = append(gr.members, sub)
	if sub.needsQueue() {
		gr.lasting++
	}
	sub.shared = gr
	return "", nil
}

// makeQueue finds the group's queue in the store, or makes it.
func (gs *groups) makeQueue(g *Gateway, gr *group) (*queue, error) {
	of, loaded := gs.loaded[gr.key], true
	if of == nil {
		loaded = false
		of = &sessions.Session{Tenant: gr.key.tenant, ClientID: gr.key.id, ID: sessionID(g.Rand)}
		err := g.DB.Update(context.WithoutCancel(g.ctx), func(ctx context.Context, tx store.Tx) error { return tx.PutSession(ctx, of) })
		if err != nil {
			return nil, err
		}
	}
	delete(gs.loaded, gr.key)
	q := g.newQueue(of)
	q.maxCount, q.maxBytes = int64(g.Limits.GroupStored), int64(g.Limits.GroupStoredBytes)
	q.takers, q.keeps = gr.takers, gr.keeps
	q.counted, q.more = !loaded, loaded
	if loaded {
		q.doubt, q.doubted = gs.doubt, gs.since
	}
	return &q, nil
}

// part takes a member out. The last one that made a queue necessary takes the
// queue along.
func (gs *groups) part(g *Gateway, sub *subscription) {
	gr := sub.shared
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gr.mu.Lock()
	i := slices.Index(gr.members, sub)
	if i < 0 {
		gr.mu.Unlock()
		return
	}
	gr.members = slices.Delete(gr.members, i, i+1)
	var q *queue
	if sub.needsQueue() {
		if gr.lasting--; gr.lasting == 0 {
			q, gr.queue = gr.queue, nil
		}
	}
	if len(gr.members) == 0 {
		delete(gs.of, gr.key)
		gs.counts[gr.key.tenant]--
	}
	gr.mu.Unlock()
	if q != nil {
		q.close()
		g.keeper.doom(q.of)
		g.keeper.start()
	}
}

// restore notes the queue of a group whose members are loaded next.
func (gs *groups) restore(g *Gateway, r *sessions.Session, last int64, now time.Time) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.loaded[clientKey{r.Tenant, r.ClientID}] = r
	gs.doubt, gs.since = last, now
}

// abandoned gives the queues that no member claimed, and forgets them.
func (gs *groups) abandoned() (out []*sessions.Session) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, r := range gs.loaded {
		out = append(out, r)
	}
	clear(gs.loaded)
	return out
}

func (gs *groups) queues() (out []*queue) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, gr := range gs.of {
		if q := gr.stored(); q != nil {
			out = append(out, q)
		}
	}
	return out
}

func (gr *group) stored() *queue {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	return gr.queue
}

func (gr *group) size() int {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	return len(gr.members)
}

// takers gives the members that are connected, in an order drawn by lot, those
// who will acknowledge first.
func (gr *group) takers() (out []taker) {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	for _, sub := range gr.members {
		if c := sub.live(); c != nil {
			out = append(out, taker{c, sub.qos, sub.retain.asPublished, c.pace.sharedDrip()})
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b taker) int { return int(b.qos) - int(a.qos) })
	return out
}

// keeps says whether a member is away that may receive what others may not.
func (gr *group) keeps() bool {
	gr.mu.Lock()
	defer gr.mu.Unlock()
	return slices.ContainsFunc(gr.members, func(sub *subscription) bool { return sub.needsQueue() && sub.live() == nil })
}

// share hands a message that is stored nowhere to one member.
func (g *Gateway) share(gr *group, p *mqtt.Publish, expires time.Time) {
	resource := policy.TopicARN(gr.key.tenant, p.Topic)
	now := g.Now()
	for _, t := range gr.takers() {
		if why := t.s.may("iot:Receive", resource); why != "" {
			t.s.withheld(why)
			continue
		}
		out := t.s.outgoing(p, expires, now)
		out.QoS, out.Retain = min(p.QoS, t.qos), p.Retain && t.asPublished
		if t.s.overDelivery(out) {
			continue
		}
		of := outgoing{expires: expires}
		if out.QoS > 0 {
			of.group, of.again = gr, p
		}
		if t.s.deliverFor(out, of, nil) {
			g.Metrics.Message("out", 1)
			return
		}
	}
}

// handOn gives what a connection that ended did not acknowledge to others: to
// the other members of its groups, or back to the queues where it is stored.
func (s *session) handOn(rest []outgoing) {
	reopened := map[*queue]bool{}
	for _, of := range rest {
		switch {
		case of.group != nil:
			if of.expires.IsZero() || s.g.Now().Before(of.expires) {
				s.g.share(of.group, of.again, of.expires)
			}
		case of.q != nil && !reopened[of.q]:
			reopened[of.q] = true
			of.q.reopen(s)
		}
	}
}
