package gateway

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

// route hands a message, from a session or from the server itself (nil), to
// everyone who listens and may receive it: once to each session, at the highest
// QoS it was granted, and once to each shared group.
//
// A QoS 1 message is on disk for every lasting session when route returns, and
// was put into the queue of every connection that is there. On an error it is
// stored for nobody, and nobody got it.
func (g *Gateway) route(from *session, t arn.Tenant, p *mqtt.Publish) error {
	var room [16]*subscription
	found := g.topics.match(t, p.Topic, room[:0])
	if len(found) == 0 {
		return nil
	}
	now := g.Now()
	r := &routing{g: g, from: from, p: p, resource: policy.TopicARN(t, p.Topic), now: now, expires: expiryOf(p, now)}
	if len(found) == 1 && found[0].group == "" && found[0].l == nil {
		r.by = from
		r.offer(found[0])
		return nil
	}
	r.sort(found)
	if err := r.keep(); err != nil {
		return err
	}
	for _, sub := range r.direct {
		r.offer(sub)
	}
	for _, gr := range r.groups {
		g.share(gr, p, r.expires)
	}
	for i := range r.stored {
		r.queues[i].arrived(&r.stored[i])
	}
	return nil
}

// A routing is one message on its way.
type routing struct {
	g        *Gateway
	from     *session
	by       *session // whose reader writes to the one connection that listens; nil: writers do
	p        *mqtt.Publish
	resource string
	now      time.Time
	expires  time.Time // zero: never

	direct []*subscription // of connections, at whatever QoS
	groups []*group        // that have no queue, or need none
	queues []*queue        // where it is to be stored, …
	stored []stored        // … and what becomes of it there
}

// sort picks one subscription of each session and each group once.
func (r *routing) sort(found []*subscription) {
	best := map[*filterSet]*subscription{}
	groups := map[*group]bool{}
	for _, sub := range found {
		switch {
		case sub.shared != nil:
			groups[sub.shared] = true
		case sub.noLocal && r.from != nil && r.from.filters() == sub.set:
		case best[sub.set] == nil || best[sub.set].qos < sub.qos:
			best[sub.set] = sub
		}
	}
	for _, sub := range best {
		if sub.l != nil && min(sub.qos, r.p.QoS) > 0 {
			r.store(&sub.l.queue, sub.live(), sub.retain.asPublished)
		} else {
			r.direct = append(r.direct, sub)
		}
	}
	for gr := range groups {
		if q := gr.stored(); q != nil && r.p.QoS > 0 {
			r.store(q, nil, true)
		} else {
			r.groups = append(r.groups, gr)
		}
	}
}

// store notes that the message is to be stored in a queue; live is the
// connection that is judged before.
func (r *routing) store(q *queue, live *session, asPublished bool) {
	if live != nil {
		if why := live.may("iot:Receive", r.resource); why != "" {
			live.withheld(why)
			return
		}
	}
	p := r.p
	if p.Retain && !asPublished {
		plain := *p
		plain.Retain = false
		p = &plain
	}
	r.queues = append(r.queues, q)
	r.stored = append(r.stored, stored{p: p, expires: r.expires, judged: live != nil})
}

// keep stores the message in all queues that have room for it, at once.
func (r *routing) keep() error {
	if len(r.queues) == 0 {
		return nil
	}
	plain, err := packed(r.p, false)
	retained := plain
	if err == nil && r.p.Retain {
		retained, err = packed(r.p, true)
	}
	if err != nil {
		return err
	}
	ms := make([]sessions.Message, 0, len(r.queues))
	queues, kept := r.queues[:0], r.stored[:0]
	for i, q := range r.queues {
		m := r.stored[i]
		packet := plain
		if m.p.Retain {
			packet = retained
		}
		m.size = int64(len(packet))
		if err = q.measure(); err != nil {
			break
		}
		if q.reserve(m.size) {
			ms = append(ms, sessions.Message{Session: q.of, Published: r.now, Expires: r.expires, Packet: packet})
			queues, kept = append(queues, q), append(kept, m)
		}
	}
	r.queues, r.stored = queues, kept
	if err == nil && len(ms) > 0 {
		err = r.g.DB.Update(context.WithoutCancel(r.g.ctx), func(ctx context.Context, tx store.Tx) error {
			for i := range ms { // drawn here, so that on one writer they rise in the order of commits
				ms[i].Seq = r.g.seq.Add(1)
			}
			return tx.Enqueue(ctx, ms)
		})
	}
	for i := range kept {
		if err != nil {
			queues[i].release(kept[i].size)
			continue
		}
		kept[i].seq = ms[i].Seq
	}
	return err
}

// packed is a message as it is stored: the PUBLISH of MQTT 5, whoever will get
// it.
func packed(p *mqtt.Publish, retain bool) ([]byte, error) {
	out := &mqtt.Publish{Topic: p.Topic, Payload: p.Payload, QoS: 1, PacketID: 1, Retain: retain}
	forward(&out.Properties, &p.Properties)
	return mqtt.Append(nil, out, mqtt.V5)
}

// offer delivers to one connection if its policy lets it receive.
func (r *routing) offer(sub *subscription) {
	c := sub.live()
	if c == nil || sub.noLocal && c == r.from {
		return
	}
	if why := c.may("iot:Receive", r.resource); why != "" {
		c.withheld(why)
		return
	}
	out := c.outgoing(r.p, r.expires, r.now)
	out.QoS, out.Retain = min(r.p.QoS, sub.qos), r.p.Retain && sub.retain.asPublished
	if c.overDelivery(out) {
		return
	}
	if c.deliverFor(out, outgoing{expires: r.expires}, r.by) {
		r.g.Metrics.Message("out", 1)
	}
}

// overDelivery says whether a QoS 0 message is beyond what the account's rate
// quota lets the device have.
func (s *session) overDelivery(p *mqtt.Publish) bool {
	if s.pace == nil || p.QoS > 0 || s.pace.deliver(s.g.Now()) {
		return false
	}
	s.g.Metrics.Dropped("rate quota")
	return true
}

// withheld notes the first message that a subscriber may not receive.
func (s *session) withheld(why string) {
	s.g.Metrics.Refusal("receive")
	if !s.noted.Swap(true) {
		s.refused("receive", "policy", why)
	}
}
