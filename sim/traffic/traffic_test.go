package traffic

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// message is a PUBLISH as a subscriber gets it, without its first byte and
// length.
func message(publisher, number byte) []byte {
	return []byte{0, 1, 't', 0, 0, 0, publisher, 0, 0, 0, number}
}

func TestEveryMessageCountsOnce(t *testing.T) {
	s := &subscriber{seen: make([][]uint64, 2)}
	for _, m := range []struct{ publisher, number byte }{{0, 0}, {0, 1}, {1, 0}, {0, 200}, {0, 5}} {
		if p, isNew := s.take(byte(mqtt.PUBLISH)<<4, message(m.publisher, m.number)); !isNew || p != int(m.publisher) {
			t.Errorf("%v was taken as publisher %d, new %t", m, p, isNew)
		}
	}
	if _, isNew := s.take(byte(mqtt.PUBLISH)<<4, message(0, 200)); isNew || s.again != 1 {
		t.Error("a message that came twice counts as two")
	}
	if _, isNew := s.take(byte(mqtt.PUBLISH)<<4, message(9, 0)); isNew {
		t.Error("a message of a publisher that is none counts")
	}
}

func TestWhatDidNotArriveIsLost(t *testing.T) {
	r := &run{subs: []*subscriber{{}, {again: 3}}, pubs: []*publisher{{}, {}}}
	r.pubs[0].sent.Store(10)
	r.pubs[1].sent.Store(5)
	r.received.Store(28)
	if got := r.result(time.Second); got.Expected != 30 || got.Lost() != 2 || got.Again != 3 {
		t.Errorf("got %+v, lost %d", got, got.Lost())
	}
}

func TestPacketsAreCutFromWhatHasArrived(t *testing.T) {
	n := &conn{tls: new(tls.Conn), buf: make([]byte, 64)}
	add := func(b ...byte) { n.hi += copy(n.buf[n.hi:], b) }
	add(0x40, 2, 0, 7, 0x30)
	first, body, err := n.next()
	if err != nil || first != 0x40 || len(body) != 2 || body[1] != 7 {
		t.Fatalf("got %#x, %v, %v", first, body, err)
	}
	if n.more() {
		t.Error("half a packet counts as one")
	}
	add(0x81, 0x00) // a length in two bytes, as a careless sender writes it
	add('x')
	if !n.more() {
		t.Error("a whole packet does not count")
	}
	if first, body, _ := n.next(); first != 0x30 || string(body) != "x" {
		t.Errorf("got %#x, %q", first, body)
	}
}
