package gateway

import (
	"container/list"
	"fmt"
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
	strangers *list.List // of stranger, oldest first
	places    map[net.Conn]*list.Element
	standing  map[netip.Prefix]int  // strangers by address
	shown     map[net.Conn]struct{} // shown out, and not gone yet
	total     int
	failures  map[netip.Prefix]*bucket
}

// A stranger is a connection that did not pass CONNECT yet.
type stranger struct {
	conn net.Conn
	from netip.Prefix
}

// A bucket holds what is still allowed, as of a moment.
type bucket struct {
	left float64
	at   time.Time
}

// few strangers of one address are nothing to worry about.
const few = 8

// maxAddresses bounds the table of failures; when it is full, addresses that
// have recovered are forgotten.
const maxAddresses = 65_536

func newDoor(l Limits, now func() time.Time) *door {
	return &door{limits: l, now: now, strangers: list.New(), places: map[net.Conn]*list.Element{}, standing: map[netip.Prefix]int{},
		shown: map[net.Conn]struct{}{}, failures: map[netip.Prefix]*bucket{}}
}

// placeOf is what counts as one address: for IPv6 the network of 64 bits, since
// whoever has one address there has them all.
func placeOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil { // no address at all
		return netip.Prefix{}
	}
	return p
}

// A verdict is what becomes of a new connection.
type verdict int

const (
	admitted verdict = iota
	tooOften         // its address failed too often
	tooMany          // the server is full
)

// why is the sentence of a verdict that refuses.
func (d *door) why(v verdict) string {
	if v == tooMany {
		return fmt.Sprintf("The server holds %d connections, which is its limit.", d.limits.Connections)
	}
	return fmt.Sprintf("Too many connections from this address failed; %g a second are borne. The failures before this one say what to repair.", d.limits.Failures)
}

// enter admits a new connection or refuses it. When too many strangers
// stand in the door the oldest is shown out: an honest device passes in
// milliseconds, a silent one has stood there longest.
func (d *door) enter(c net.Conn, from netip.Addr) verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	place := placeOf(from)
	if b := d.failures[place]; b != nil {
		// Who failed lately may have as many stand here as it has left, or a few.
		if d.refill(b); b.left < 1 || b.left < float64(d.limits.Strangers) && d.standing[place] >= max(int(b.left), few) {
			return tooOften
		}
	}
	if d.total >= d.limits.Connections {
		return tooMany
	}
	if d.strangers.Len() >= d.limits.Strangers {
		oldest := d.strangers.Front().Value.(stranger)
		_ = oldest.conn.Close() // its handshake fails and leaves by itself
		d.drop(oldest.conn)
		d.shown[oldest.conn] = struct{}{}
		d.failedLocked(oldest.from) // now: it may take a while until it notices
	}
	d.places[c] = d.strangers.PushBack(stranger{c, place})
	d.standing[place]++
	d.total++
	return admitted
}

func (d *door) drop(c net.Conn) {
	if place := d.places[c]; place != nil {
		from := d.strangers.Remove(place).(stranger).from
		delete(d.places, c)
		if d.standing[from]--; d.standing[from] == 0 {
			delete(d.standing, from)
		}
	}
}

// showedOut says whether the connection was closed to make room.
func (d *door) showedOut(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, out := d.shown[c]
	return out
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
	delete(d.shown, c)
	d.total--
}

// failed counts a failure against the address.
func (d *door) failed(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failedLocked(placeOf(from))
}

func (d *door) failedLocked(place netip.Prefix) {
	b := d.failures[place]
	if b == nil {
		if len(d.failures) >= maxAddresses {
			d.forget()
		}
		b = &bucket{left: float64(d.limits.Burst), at: d.now()}
		d.failures[place] = b
	}
	d.refill(b)
	// Below nothing, or who knocks from several addresses in turns would have one
	// pay for the other, which has nothing left to lose.
	burst := float64(d.limits.Burst)
	b.left = max(min(b.left, burst)-1, -burst)
}

// refill gives back what the address has earned since: first what may fail, at
// the rate of failures that are borne, and then half a burst a second until it may
// fill the door. Without that, a crowd that was held off while nothing was left
// would come in at one blow.
func (d *door) refill(b *bucket) {
	now, burst := d.now(), float64(d.limits.Burst)
	if b.left < burst {
		full := b.at.Add(time.Duration((burst - b.left) / d.limits.Failures * float64(time.Second)))
		if b.gain(now, d.limits.Failures, burst); now.Before(full) {
			return
		}
		b.at = full
	}
	b.gain(now, burst/2, max(burst, float64(d.limits.Strangers)))
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
