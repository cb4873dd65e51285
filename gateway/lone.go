package gateway

import (
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// Between two devices that exchange one message now and then, most of the time
// goes by until a writer has been woken up. So the reader of a packet that no
// other follows writes by itself what came of it: to its own device, and to the
// only one that listens, as long as no socket lets it wait. When packets come
// close upon each other, or many listen, it leaves that to writers, which gather
// what came meanwhile into one write.

// lends says who writes what s caused to be queued, nil if that is a writer's.
// Between queueing and pays nothing may take long: whatever else is queued for
// the connection waits too.
func (s *session) lends() *session {
	if s == nil || !s.alone {
		return nil
	}
	return s
}

// begins sees that what was queued is written: by the reader that caused it, or
// by a writer of its own. out.mu is held.
func (s *session) begins() {
	if by := s.out.by; by != nil && s.wire != nil && s.pace == nil {
		by.owed = append(by.owed, s)
		return
	}
	go s.flush()
}

// pays writes what the packet at hand caused. It is for s's reader.
func (s *session) pays() {
	for i, to := range s.owed {
		s.owed[i] = nil
		to.flushNow()
	}
	s.owed = s.owed[:0]
}

// flushNow writes once, without waiting for the device, and leaves the rest to
// a writer.
func (s *session) flushNow() {
	if b := s.next(); b != nil {
		_, err := s.conn.Write(b)
		s.wrote(err)
		if s.wire.behind() {
			go s.catchUp()
			return
		}
		if b = s.next(); b != nil {
			go s.flushFrom(b)
			return
		}
	}
	s.g.sessions.Done()
}

// catchUp writes what the socket did not take at once, and all that follows.
func (s *session) catchUp() {
	s.wrote(s.patiently(s.wire.push))
	s.flush()
}

// patiently has the writes of f wait for the device, as long as one may.
func (s *session) patiently(f func() error) error {
	_ = s.raw.SetWriteDeadline(time.Now().Add(s.g.Limits.Write))
	if s.wire != nil {
		s.wire.hurry(false)
		defer s.wire.hurry(mayHurry)
	}
	return f()
}

// says queues a packet and writes it. It is for s's reader.
func (s *session) says(p mqtt.Packet) {
	s.sendBy(p, s)
	s.pays()
}
