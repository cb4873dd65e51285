package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/mqtt"
)

// An outbox holds what waits to be written to one device. Its writer is a
// goroutine that exists only while there is something to write, and is the
// only one that waits for the device: whoever queues a packet never does.
type outbox struct {
	mu       sync.Mutex
	buf      []byte // encoded packets
	flying   int    // bytes that the writer holds
	ready    bool   // CONNACK was queued: other packets may follow
	writing  bool
	by       *session      // whose packet is being queued, if its reader writes it; nil: nobody's
	closing  bool          // nothing more is queued
	broken   bool          // nothing more is written
	idle     chan struct{} // closed by the writer when it ends; nil if nobody waits
	inflight map[uint16]outgoing
	nextID   uint16
	aliases  map[string]uint16 // of topics that the device was told, nil until the first
	pending  []postponed       // QoS 1 messages that wait for room in the window
	held     int               // bytes of pending
}

// closeTimeout is how long a closing connection may take to take its last
// packet, and to close its own side.
const closeTimeout = 300 * time.Millisecond

// What became of a packet that was to be queued.
type queued int

const (
	kept  queued = iota
	unfit        // larger than the device takes, or not of its version: as if sent
	full         // the device reads too slowly
)

// send queues a packet. When the device reads too slowly for its queue, the
// connection ends.
func (s *session) send(p mqtt.Packet) { s.sendBy(p, nil) }

// sendBy is send for what the packet caused that by's reader has at hand.
func (s *session) sendBy(p mqtt.Packet, by *session) {
	s.out.mu.Lock()
	s.out.by = by.lends()
	q := s.queue(p)
	s.out.by = nil
	s.out.mu.Unlock()
	s.settleQueue(q)
}

// settleQueue draws the consequence of what queue found; out.mu is not held.
func (s *session) settleQueue(q queued) {
	switch q {
	case unfit:
		s.g.Metrics.Dropped("packet too large for the device")
	case full:
		s.g.Metrics.Dropped("slow reader")
		s.lost("The device reads or acknowledges too slowly: more than the %d bytes of its queue wait.", s.g.Limits.Queue)
	}
}

// lost ends a connection whose device does not read.
func (s *session) lost(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.ended.Load() == nil {
		s.refused("deliver", "slow reader", text)
	}
	s.out.mu.Lock()
	s.out.broken = true
	s.out.mu.Unlock()
	s.end(mqtt.QuotaExceeded, text)
	_ = s.raw.Close()
}

// queue encodes onto the buffer; out.mu is held.
func (s *session) queue(p mqtt.Packet) queued {
	o := &s.out
	if o.broken || o.closing {
		return kept // nobody will miss it
	}
	p, named := s.shortened(p)
	before := len(o.buf)
	buf, err := mqtt.Append(o.buf, p, s.version)
	if err != nil || s.maxPacket > 0 && len(buf)-before > s.maxPacket { // MQTT 5.0, 3.1.2.11.4
		return unfit
	}
	if len(buf)+o.flying+o.held > s.g.Limits.Queue {
		return full
	}
	if named != "" {
		o.name(named)
	}
	s.wake(buf)
	return kept
}

// wake takes the longer buffer and sees that there is a writer; out.mu is
// held. A session in which it is called has not finished, so its goroutine
// counts and the writer's may be added.
func (s *session) wake(buf []byte) {
	s.out.buf = buf
	if !s.out.writing {
		s.out.writing = true
		s.g.sessions.Add(1)
		s.begins()
	}
}

// welcome queues a CONNACK that accepts; from then on DISCONNECT may follow.
func (s *session) welcome(p *mqtt.Connack) {
	s.out.mu.Lock()
	s.out.by = s.lends()
	q := s.queue(p)
	s.out.by = nil
	s.out.ready = true
	s.out.mu.Unlock()
	s.settleQueue(q)
	s.pays()
}

// turnDown queues a CONNACK that refuses, and lets nothing follow. The device
// gets it too if the connection was cut during CONNECT.
func (s *session) turnDown(p *mqtt.Connack) {
	s.out.mu.Lock()
	s.out.closing = false
	q := s.queue(p)
	s.out.closing = true
	s.out.mu.Unlock()
	s.settleQueue(q)
}

// farewell queues the last packet, whatever the queue's limit, and lets none
// follow. Without a packet it just lets none follow.
func (s *session) farewell(last *mqtt.Disconnect) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ready && !o.broken && !o.closing && last != nil {
		if buf, err := mqtt.Append(o.buf, last, s.version); err == nil {
			s.wake(buf)
		}
	}
	o.closing = true
}

// flush writes until the buffer is empty.
func (s *session) flush() { s.flushFrom(s.next()) }

// flushFrom is flush of what next gave, and all that follows.
func (s *session) flushFrom(b []byte) {
	defer s.g.sessions.Done()
	for ; b != nil; b = s.next() {
		err := s.patiently(func() error { _, err := s.conn.Write(b); return err })
		if s.pace != nil {
			s.pause(s.pace.outBytes.owe(s.g.Now(), len(b), bytesPerConnection))
		}
		s.wrote(err)
	}
}

// wrote draws the consequence of a write.
func (s *session) wrote(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.lost("The device stopped reading: one write took longer than %v.", s.g.Limits.Write)
	} else if err != nil {
		s.out.mu.Lock()
		s.out.broken = true
		s.out.mu.Unlock()
		_ = s.raw.Close()
	}
}

// next gives the writer what waits. Nil ends it.
func (s *session) next() []byte {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying = 0
	if len(o.buf) > 0 && !o.broken {
		b := o.buf
		o.buf = nil // an idle connection keeps no buffer
		o.flying = len(b)
		return b
	}
	o.writing, o.buf = false, nil
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
	// TLS answers some records by itself, whenever they come.
	_ = s.raw.SetWriteDeadline(time.Time{})
	return nil
}

// finish closes the connection from the reader's side. What is queued goes out
// first, then the end of our stream, and then we wait for the device's: closing
// at once would reset the connection if it sent more, and a reset may overtake
// our last words. All of it takes no longer than closeTimeout. A device that took
// its leave and hung up hears nothing any more.
func (s *session) finish() {
	force := time.AfterFunc(closeTimeout, func() { _ = s.raw.Close() })
	defer force.Stop()
	s.farewell(nil)
	if idle := s.written(); idle != nil {
		<-idle // or raw is closed, and the writer fails
	}
	if s.said && hungUp(s.raw) {
		_ = s.raw.Close()
		return
	}
	if s.conn.CloseWrite() == nil {
		if half, ok := s.raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = s.raw.SetReadDeadline(time.Now().Add(closeTimeout))
			discard(s.raw)
		}
	}
	_ = s.raw.Close()
}

// written gives a channel that closes when the writer ends, nil if it has.
func (s *session) written() chan struct{} {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		return nil
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}

// reason is a reason string for the device, if it wants one: short enough for
// small receive buffers, and for the packets it takes.
func (s *session) reason(text string) mqtt.Opt[string] {
	limit := maxReason
	if s.maxPacket > 0 {
		limit = min(limit, s.maxPacket-maxAround)
	}
	if !s.reasons || text == "" || limit < 16 {
		return mqtt.Opt[string]{}
	}
	return mqtt.Some(attempts.Plain(text, limit))
}

const (
	maxReason = 512 // bytes of a reason string, about
	maxAround = 64  // bytes around one, in any packet that carries it
)

// discard reads until the stream ends or fails.
func discard(r io.Reader) {
	var b [512]byte
	for {
		if _, err := r.Read(b[:]); err != nil {
			return
		}
	}
}
