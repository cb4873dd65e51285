package gateway

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sessions"
)

// A filterSet is the subscriptions of one session. All of them match.
type filterSet struct {
	mu     sync.Mutex // guards everything below
	of     map[string]*subscription
	closed bool // the session is over: none may be added
}

// add makes the subscription match, in place of one with the same filter, which
// it gives. A sentence refuses it, also when the account would then have more
// than most.
func (f *filterSet) add(g *Gateway, t arn.Tenant, sub *subscription, most int) (old *subscription, why string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old = f.of[sub.filter]
	switch {
	case f.closed:
		return nil, "The session is over.", nil
	case old == nil && len(f.of) >= maxSubscriptions:
		return nil, fmt.Sprintf("Filter %s is one too many: the connection has %d subscriptions, which is the limit. Unsubscribe from some first.", quoted(sub.filter), maxSubscriptions), nil
	case old == nil && !g.tally.more(t, most):
		return nil, fmt.Sprintf("Filter %s makes one subscription too many: the account has %d, which is the limit.", quoted(sub.filter), most), nil
	}
	if why, err := f.enter(g, t, sub, old); why != "" || err != nil {
		if old == nil {
			g.tally.fewer(t, 1)
		}
		return nil, why, err
	}
	if f.of == nil {
		f.of = map[string]*subscription{}
	}
	f.of[sub.filter] = sub
	f.drop(g, t, old)
	return old, "", nil
}

// enter makes a subscription match beside old; mu is held.
func (f *filterSet) enter(g *Gateway, t arn.Tenant, sub, old *subscription) (why string, err error) {
	if sub.group != "" {
		if why, err := g.groups.join(g, t, sub, old); why != "" || err != nil {
			return why, err
		}
	}
	err = g.topics.add(t, sub)
	if err != nil && sub.shared != nil {
		g.groups.part(g, sub)
	}
	return "", err
}

// drop makes a subscription match no more; mu is held.
func (f *filterSet) drop(g *Gateway, t arn.Tenant, sub *subscription) {
	if sub == nil {
		return
	}
	g.topics.remove(t, sub)
	if sub.shared != nil {
		g.groups.part(g, sub)
	}
}

// put takes sub out, and makes the one that was there before match again.
func (f *filterSet) put(g *Gateway, t arn.Tenant, sub, before *subscription) {
	if before != nil {
		_, _, _ = f.add(g, t, before, g.Limits.Subscriptions) // what matched a moment ago does so again
		return
	}
	f.remove(g, t, sub.filter)
}

// remove says whether there was a subscription with the filter.
func (f *filterSet) remove(g *Gateway, t arn.Tenant, filter string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := f.of[filter]
	if sub == nil {
		return false
	}
	delete(f.of, filter)
	f.drop(g, t, sub)
	g.tally.fewer(t, 1)
	return true
}

// close takes every subscription out and lets none in again.
func (f *filterSet) close(g *Gateway, t arn.Tenant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, sub := range f.of {
		f.drop(g, t, sub)
	}
	g.tally.fewer(t, len(f.of))
	clear(f.of)
}

// granted is the QoS at which the session listens to a topic.
func (f *filterSet) granted(topic string) (qos byte, listens bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.of {
		if sub.group == "" && mqtt.Matches(sub.match, topic) {
			qos, listens = max(qos, sub.qos), true
		}
	}
	return qos, listens
}

// queues gives those of the groups that the session is a member of.
func (f *filterSet) queues() (out []*queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.of {
		if sub.shared == nil {
			continue
		}
		if q := sub.shared.stored(); q != nil {
			out = append(out, q)
		}
	}
	return out
}

// stored gives the subscriptions as they are kept, in order.
func (f *filterSet) stored() (out []sessions.Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.of {
		out = append(out, sessions.Subscription{Filter: sub.filter, QoS: sub.qos, NoLocal: sub.noLocal, AsPublished: sub.retain.asPublished})
	}
	slices.SortFunc(out, func(a, b sessions.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	return out
}

// restore makes a stored subscription match again, however many there are.
func (f *filterSet) restore(g *Gateway, l *lasting, s sessions.Subscription) error {
	sub := &subscription{l: l, set: f, filter: s.Filter, match: s.Filter, qos: s.QoS, noLocal: s.NoLocal,
		retain: retainOptions{asPublished: s.AsPublished}}
	if group, rest, ok := mqtt.ParseShare(s.Filter); ok {
		sub.group, sub.match = group, rest
	}
	_, _, err := f.add(g, l.key.tenant, sub, math.MaxInt)
	return err
}

// A tally is how many subscriptions each account has.
type tally struct {
	mu sync.Mutex
	of map[arn.Tenant]int
}

// more counts one more, unless there are as many as there may be.
func (c *tally) more(t arn.Tenant, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[t] >= most {
		return false
	}
	c.of[t]++
	return true
}

func (c *tally) fewer(t arn.Tenant, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[t] -= n; c.of[t] == 0 {
		delete(c.of, t)
	}
}
