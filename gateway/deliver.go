package gateway

import (
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// An outgoing is what is known of a QoS 1 message beside its packet, until the
// device acknowledges it.
type outgoing struct {
	q   *queue // where it is stored, under seq; nil: nowhere
	seq int64

	expires time.Time // of one that is not stored; zero: never
	group   *group    // that has no queue: another member gets the message, should this one leave
	again   *mqtt.Publish

	acked chan struct{} // closed when it is acknowledged; nil: its sender does not wait
}

// A postponed is a QoS 1 message for which the window has no room.
type postponed struct {
	p *mqtt.Publish
	outgoing
}

// inTime says whether the message has not expired, and takes the time that it
// waited off its interval.
func (w *postponed) inTime(now time.Time) bool {
	if w.expires.IsZero() {
		return true
	}
	if w.p.Properties.MessageExpiry.IsSet() {
		w.p.Properties.MessageExpiry = mqtt.Some(seconds(w.expires.Sub(now)))
	}
	return now.Before(w.expires)
}

func seconds(d time.Duration) uint32 { return uint32(max(d, 0) / time.Second) }

// deliver queues a message that is stored nowhere, and says whether the device
// can take it. QoS 1 messages wait when the window is full.
func (s *session) deliver(p *mqtt.Publish) bool { return s.deliverFor(p, outgoing{}, nil) }

// deliverFor is deliver for what the packet caused that by's reader has at hand;
// by may be nil.
func (s *session) deliverFor(p *mqtt.Publish, o outgoing, by *session) bool {
	s.out.mu.Lock()
	s.out.by = by.lends()
	q := s.deliverLocked(p, o)
	s.out.by = nil
	s.out.mu.Unlock()
	s.settleQueue(q)
	return q == kept
}

func (s *session) deliverLocked(p *mqtt.Publish, of outgoing) queued {
	o := &s.out
	if p.QoS == 0 || o.closing || o.broken {
		return s.queue(p)
	}
	if len(o.inflight) < s.window {
		return s.launch(p, of)
	}
	if len(o.buf)+o.flying+o.held+weight(p) > s.g.Limits.Queue {
		return full
	}
	o.held += weight(p)
	o.pending = append(o.pending, postponed{p, of})
	return kept
}

// launch gives a QoS 1 message its packet id and queues it.
func (s *session) launch(p *mqtt.Publish, of outgoing) queued {
	o := &s.out
	if o.inflight == nil {
		o.inflight = map[uint16]outgoing{}
	}
	p.PacketID = o.freeID()
	q := s.queue(p)
	if q == kept {
		o.inflight[p.PacketID] = of
	} else {
		p.PacketID = 0
	}
	return q
}

// take queues a stored message if there is room for it, and leaves it with its
// queue if there is none. A packet id says that the device will acknowledge it.
func (s *session) take(p *mqtt.Publish, of outgoing) handing {
	o := &s.out
	o.mu.Lock()
	if o.closing || o.broken {
		o.mu.Unlock()
		return left
	}
	if len(o.inflight) > 0 && (len(o.inflight) >= s.window || len(o.buf)+o.flying+o.held > s.g.Limits.Queue/2) {
		o.mu.Unlock()
		return busy
	}
	var q queued
	if p.QoS == 0 {
		q = s.queue(p)
	} else {
		q = s.launch(p, of)
	}
	o.mu.Unlock()
	s.settleQueue(q)
	if q == full {
		return left
	}
	return took
}

// roomy says whether it is worth while to read stored messages for the session.
func (s *session) roomy() bool {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.broken {
		return false
	}
	return len(o.inflight) == 0 || len(o.inflight) <= s.window/2 && len(o.buf)+o.flying+o.held <= s.g.Limits.Queue/4
}

// weight is about what a message occupies while it waits.
func weight(p *mqtt.Publish) int {
	return 128 + len(p.Topic) + len(p.Payload) + propertyBytes(&p.Properties)
}

// freeID finds a packet id that is not in flight; the window is far smaller
// than their number.
func (o *outbox) freeID() uint16 {
	for {
		o.nextID++
		if _, used := o.inflight[o.nextID]; !used && o.nextID != 0 {
			return o.nextID
		}
	}
}

// acknowledged makes room in the window, and fills it. An unknown id is
// ignored: the device may acknowledge what an earlier connection sent.
func (s *session) acknowledged(id uint16) {
	o := &s.out
	worst := kept
	o.mu.Lock()
	of := o.inflight[id]
	delete(o.inflight, id)
	for len(o.pending) > 0 && len(o.inflight) < s.window {
		next := o.pending[0]
		o.pending[0] = postponed{}
		if o.pending = o.pending[1:]; len(o.pending) == 0 {
			o.pending = nil
		}
		o.held -= weight(next.p)
		if next.inTime(s.g.Now()) {
			worst = max(worst, s.launch(next.p, next.outgoing))
		} else {
			s.g.Metrics.Dropped("message expired")
		}
	}
	o.mu.Unlock()
	s.settleQueue(worst)
	if of.q != nil {
		of.q.acknowledged(of.seq, s)
	}
	if of.acked != nil {
		close(of.acked)
	}
}

// retire lets nothing follow what is queued, and gives what was not
// acknowledged.
func (s *session) retire() (rest []outgoing) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, of := range o.inflight {
		rest = append(rest, of)
	}
	for _, w := range o.pending {
		rest = append(rest, w.outgoing)
	}
	o.inflight, o.pending, o.held = nil, nil, 0
	o.closing = true
	return rest
}

// outgoing is a message as this device gets it: without properties on 3.1.1,
// and with what is left of its time (MQTT 5.0, 3.3.2.3.3).
func (s *session) outgoing(p *mqtt.Publish, expires, now time.Time) *mqtt.Publish {
	out := &mqtt.Publish{Topic: p.Topic, Payload: p.Payload, Retain: p.Retain}
	if s.version != mqtt.V5 {
		return out
	}
	forward(&out.Properties, &p.Properties)
	if !expires.IsZero() {
		out.Properties.MessageExpiry = mqtt.Some(seconds(expires.Sub(now)))
	}
	return out
}

// forward copies the properties that belong to the message.
func forward(to, from *mqtt.Properties) {
	to.PayloadFormat = from.PayloadFormat
	to.MessageExpiry = from.MessageExpiry
	to.ContentType = from.ContentType
	to.ResponseTopic = from.ResponseTopic
	to.CorrelationData = from.CorrelationData
	to.User = from.User
}

// maxExpiry bounds how long a message may wait, in seconds.
const maxExpiry = 604_800

// expiryOf gives the moment from which on a message is not delivered any more,
// and puts its interval into AWS's bounds (device-gateway.md, section 3.4).
func expiryOf(p *mqtt.Publish, now time.Time) (expires time.Time) {
	interval, set := p.Properties.MessageExpiry.Get()
	if !set {
		return expires
	}
	interval = min(max(interval, 1), maxExpiry)
	p.Properties.MessageExpiry = mqtt.Some(interval)
	return now.Add(time.Duration(interval) * time.Second)
}
