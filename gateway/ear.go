package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// An ear is a connection as TLS sees it. It notices the first byte. During the
// handshake it keeps to the anteroom: whatever is computed lies between what
// was read and the next read. A write does not wait there, since all that a
// handshake sends fits the socket's buffer.
type ear struct {
	net.Conn
	heard bool

	room *anteroom // nil once the handshake is over
	ctx  context.Context
	from netip.Prefix
	turn *guest // nil: it has none

	mu    sync.Mutex // of writes, and of what follows
	hasty bool       // a write does not wait for the device: nobody but its writer may have to
	left  []byte     // what the socket did not take then; it goes out before anything else
}

func (e *ear) Read(b []byte) (int, error) {
	e.rest()
	n, err := e.Conn.Read(b)
	e.heard = e.heard || n > 0
	if n > 0 && e.room != nil {
		e.turn = e.room.take(e.ctx, e.from)
	}
	return n, err
}

// rest gives the turn back.
func (e *ear) rest() {
	if e.turn != nil {
		e.room.give(e.turn)
		e.turn = nil
	}
}

// leaveRoom ends the handshake.
func (e *ear) leaveRoom() {
	e.rest()
	e.room, e.ctx = nil, nil
}

// Write sends b. While the ear is hasty it says that it did, and keeps what the
// socket does not take at once.
func (e *ear) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hasty {
		return e.hastily(b)
	}
	if err := e.pushLocked(); err != nil {
		return 0, err
	}
	return e.Conn.Write(b)
}

// maxLeft is more than an outbox ever holds.
const maxLeft = 8 << 20

var errDeaf = errors.New("the device does not read")

func (e *ear) hastily(b []byte) (n int, err error) {
	if len(e.left) == 0 {
		if n, err = writeNow(e.Conn, b); err != nil {
			return n, err
		}
	}
	if len(e.left)+len(b) > maxLeft {
		return n, errDeaf
	}
	e.left = append(e.left, b[n:]...)
	return len(b), nil
}

// push sends what hasty writes left, and waits for the device.
func (e *ear) push() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pushLocked()
}

func (e *ear) pushLocked() error {
	left := e.left
	e.left = nil
	if len(left) == 0 {
		return nil
	}
	_, err := e.Conn.Write(left)
	return err
}

// hurry says whether the writes that follow wait for the device.
func (e *ear) hurry(hasty bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hasty = hasty
}

// behind says whether something is left of hasty writes.
func (e *ear) behind() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.left) > 0
}
