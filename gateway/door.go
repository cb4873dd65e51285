package gateway

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A door guards what happens before anyone is authenticated: how many
// strangers stand in it, and how often an address failed. Only failures count
// against an address, so that a factory behind one NAT is not held up.
type door struct {
	limits Limits
	now    func() time.Time

	mu        sync.Mutex
	strangers *list.List // of net.Conn, oldest first
	places    map[net.Conn]*list.Element
	total     int
	failures  map[netip.Addr]*bucket
}

// A bucket holds the failures that an address is still allowed.
type bucket struct {
	left float64
	at   time.Time
}

// maxAddresses bounds the table of failures; when it is full, addresses that
// have recovered are forgotten.
const maxAddresses = 65_536

func newDoor(l Limits, now func() time.Time) *door {
	return &door{limits: l, now: now, strangers: list.New(), places: map[net.Conn]*list.Element{}, failures: map[netip.Addr]*bucket{}}
}

// enter admits a new connection, or says why not. When too many strangers
// stand in the door the oldest is shown out: an honest device passes in
// milliseconds, a silent one has stood there longest.
func (d *door) enter(c net.Conn, from netip.Addr) (refused string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.failures[from]; b != nil {
		d.refill(b)
		if b.left < 1 {
			return "too many failed connections from this address"
		}
	}
	if d.total >= d.limits.Connections {
		return "the server has reached its limit of connections"
	}
	if d.strangers.Len() >= d.limits.Strangers {
		oldest := d.strangers.Front()
		_ = oldest.Value.(net.Conn).Close() // its handshake fails and leaves by itself
		d.drop(oldest.Value.(net.Conn))
	}
	d.places[c] = d.strangers.PushBack(c)
	d.total++
	return ""
}

func (d *door) drop(c net.Conn) {
	if place := d.places[c]; place != nil {
		d.strangers.Remove(place)
		delete(d.places, c)
	}
}

// pass says that the connection is a stranger no more.
func (d *door) pass(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(c)
}

// leave says that the connection is closed.
func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(c)
	d.total--
}

// failed counts a failure against the address.
func (d *door) failed(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.failures[from]
	if b == nil {
		if len(d.failures) >= maxAddresses {
			d.forget()
		}
		b = &bucket{left: float64(d.limits.Burst), at: d.now()}
		d.failures[from] = b
	}
	d.refill(b)
	b.left = max(b.left-1, 0)
}

func (d *door) refill(b *bucket) {
	now := d.now()
	b.left = min(b.left+now.Sub(b.at).Seconds()*d.limits.Failures, float64(d.limits.Burst))
	b.at = now
}

func (d *door) forget() {
	for a, b := range d.failures {
		if d.refill(b); b.left >= float64(d.limits.Burst) {
			delete(d.failures, a)
		}
	}
	if len(d.failures) >= maxAddresses {
		clear(d.failures)
	}
}

// closeAll shows every stranger out.
func (d *door) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.places {
		_ = c.Close()
	}
}
