package gateway

import "github.com/slipway-iot/slipway/mqtt"

// deliver queues a message, and says whether the device can take it. QoS 1
// messages wait when the window is full.
func (s *session) deliver(p *mqtt.Publish) bool {
	s.out.mu.Lock()
	q := s.deliverLocked(p)
	s.out.mu.Unlock()
	s.settleQueue(q)
	return q == kept
}

func (s *session) deliverLocked(p *mqtt.Publish) queued {
	o := &s.out
	if p.QoS == 0 || o.closing || o.broken {
		return s.queue(p)
	}
	if len(o.inflight) < s.window {
		return s.launch(p)
	}
	if len(o.buf)+o.flying+o.held+weight(p) > s.g.Limits.Queue {
		return full
	}
	o.held += weight(p)
	o.pending = append(o.pending, p)
	return kept
}

// launch gives a QoS 1 message its packet id and queues it.
func (s *session) launch(p *mqtt.Publish) queued {
	o := &s.out
	if o.inflight == nil {
		o.inflight = map[uint16]struct{}{}
	}
	p.PacketID = o.freeID()
	q := s.queue(p)
	if q == kept {
		o.inflight[p.PacketID] = struct{}{}
	}
	return q
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
	delete(o.inflight, id)
	for len(o.pending) > 0 && len(o.inflight) < s.window {
		next := o.pending[0]
		o.pending[0] = nil
		if o.pending = o.pending[1:]; len(o.pending) == 0 {
			o.pending = nil
		}
		o.held -= weight(next)
		worst = max(worst, s.launch(next))
	}
	o.mu.Unlock()
	s.settleQueue(worst)
}
