package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// An outbox holds what waits to be written to one device. Its writer is a
// goroutine that exists only while there is something to write.
type outbox struct {
	ready atomic.Bool // CONNACK was sent: other packets may follow

	mu       sync.Mutex
	buf      []byte // encoded packets
	writing  bool
	closing  bool // close when buf is empty
	broken   bool // nothing more is written
	idle     chan struct{}
	inflight map[uint16]struct{} // QoS 1 messages not acknowledged yet
	nextID   uint16
	pending  []*mqtt.Publish // QoS 1 messages waiting for room in the window
	held     int             // bytes of pending payloads
}

// writeTimeout is how long one write may take before the reader counts as
// gone; closeTimeout how long a closing connection may take to say so.
const (
	writeTimeout = 30 * time.Second
	closeTimeout = 300 * time.Millisecond
)

// send queues a packet. When the device reads too slowly for its queue, the
// connection ends.
func (s *session) send(p mqtt.Packet) {
	s.out.mu.Lock()
	ok := s.sendLocked(p)
	s.out.mu.Unlock()
	if !ok {
		s.overflow()
	}
}

func (s *session) overflow() {
	s.g.Metrics.Dropped("slow reader")
	s.refused("deliver", "queue", "The device reads too slowly: its queue is full. The connection was closed.")
	s.end(mqtt.QuotaExceeded, "The device reads too slowly: its queue is full.")
	_ = s.raw.Close()
}

// sendLocked encodes onto the buffer; out.mu is held. It is false when the
// queue is full.
func (s *session) sendLocked(p mqtt.Packet) bool {
	o := &s.out
	if o.broken || o.closing {
		return true
	}
	before := len(o.buf)
	buf, err := mqtt.Append(o.buf, p, s.version)
	if err != nil || s.maxPacket > 0 && len(buf)-before > s.maxPacket {
		s.g.Metrics.Dropped("packet too large for the device") // MQTT 5.0, 3.1.2.11.4
		return true
	}
	if len(buf) > s.g.Limits.Queue {
		return false
	}
	o.buf = buf
	if !o.writing {
		o.writing = true
		go s.flush()
	}
	return true
}

// flush writes until the buffer is empty.
func (s *session) flush() {
	o := &s.out
	for {
		o.mu.Lock()
		if len(o.buf) == 0 || o.broken {
			o.writing = false
			closing := o.closing
			if o.idle != nil {
				close(o.idle)
				o.idle = nil
			}
			o.mu.Unlock()
			if closing {
				_ = s.conn.Close()
			}
			return
		}
		b := o.buf
		o.buf = nil // an idle connection keeps no buffer
		o.mu.Unlock()
		_ = s.raw.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := s.conn.Write(b); err != nil {
			o.mu.Lock()
			o.broken = true
			o.mu.Unlock()
			_ = s.raw.Close()
		}
	}
}

// closeSoon closes the connection once what is queued was written, and at the
// latest after closeTimeout, whether or not the device reads.
func (s *session) closeSoon() {
	o := &s.out
	o.mu.Lock()
	already := o.closing
	o.closing = true
	idle := !o.writing
	o.mu.Unlock()
	if already {
		return
	}
	time.AfterFunc(closeTimeout, func() { _ = s.raw.Close() })
	if idle {
		go func() { _ = s.conn.Close() }()
	}
}

// finish closes the connection from the reader's side: what is queued goes
// out first, as far as the device takes it.
func (s *session) finish() {
	o := &s.out
	o.mu.Lock()
	o.closing = true
	var idle chan struct{}
	if o.writing {
		if o.idle == nil {
			o.idle = make(chan struct{})
		}
		idle = o.idle
	}
	o.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-time.After(closeTimeout):
		}
	}
	_ = s.raw.SetWriteDeadline(time.Now().Add(closeTimeout))
	_ = s.conn.Close()
	_ = s.raw.Close()
}

// deliver queues a message. QoS 1 messages wait when the window is full.
func (s *session) deliver(p *mqtt.Publish) {
	s.out.mu.Lock()
	ok := s.deliverLocked(p)
	s.out.mu.Unlock()
	if !ok {
		s.overflow()
	}
}

func (s *session) deliverLocked(p *mqtt.Publish) bool {
	o := &s.out
	if p.QoS == 0 {
		return s.sendLocked(p)
	}
	if len(o.inflight) >= s.window {
		o.held += len(p.Payload) + len(p.Topic) + 64
		o.pending = append(o.pending, p)
		return o.held <= s.g.Limits.Queue
	}
	if o.inflight == nil {
		o.inflight = map[uint16]struct{}{}
	}
	p.PacketID = o.freeID()
	o.inflight[p.PacketID] = struct{}{}
	return s.sendLocked(p)
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

// acknowledged makes room in the window. An unknown id is ignored: the device
// may acknowledge what an earlier connection sent.
func (s *session) acknowledged(id uint16) {
	o := &s.out
	o.mu.Lock()
	ok := true
	if _, was := o.inflight[id]; was {
		delete(o.inflight, id)
		if len(o.pending) > 0 {
			next := o.pending[0]
			o.pending[0] = nil
			if o.pending = o.pending[1:]; len(o.pending) == 0 {
				o.pending = nil
			}
			o.held -= len(next.Payload) + len(next.Topic) + 64
			ok = s.deliverLocked(next)
		}
	}
	o.mu.Unlock()
	if !ok {
		s.overflow()
	}
}
