package gateway

import (
	"context"
	"net"
	"time"
)

// A tarpit keeps the connections that were refused at the door for a while
// before it closes them, unread. Who knocks in a loop and is answered at once
// knocks as fast as it can, and the queue in which honest devices wait to be
// accepted is full of it; who must wait for the answer knocks seldom.
type tarpit struct {
	patience time.Duration
	stuck    chan stuck // in the order in which they came
}

// A stuck connection is closed at its time, or sooner if there are too many.
type stuck struct {
	conn  net.Conn
	until time.Time
}

// maxStuck bounds what a flood makes us hold: a socket of some KiB each.
const maxStuck = 16_384

func newTarpit(patience time.Duration) *tarpit {
	return &tarpit{patience: patience, stuck: make(chan stuck, maxStuck)}
}

// take closes the connection when its time has come. If the tarpit is full the
// oldest goes at once.
func (p *tarpit) take(c net.Conn) {
	s := stuck{c, time.Now().Add(p.patience)} // a wait, not a value: the real clock
	for {
		select {
		case p.stuck <- s:
			return
		default:
			p.release(1)
		}
	}
}

// release closes up to n connections, the oldest first.
func (p *tarpit) release(n int) {
	for range n {
		select {
		case s := <-p.stuck:
			_ = s.conn.Close()
		default:
			return
		}
	}
}

// run closes connections at their time, and all of them when ctx ends.
func (p *tarpit) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.release(maxStuck)
			return
		case s := <-p.stuck:
			timer.Reset(time.Until(s.until))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			_ = s.conn.Close()
		}
	}
}
