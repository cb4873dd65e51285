package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// numbers are so many payloads from first on.
func numbers(first, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(first+i))
	}
	return out
}

// unread is how many messages are there, none of which is acknowledged.
func (d *raw) unread() int {
	d.t.Helper()
	before := len(d.sees)
	if !d.alive() {
		d.t.Fatal("the connection ended")
	}
	return len(d.sees) - before
}

// looked waits until the reader of a queue has looked again, and ended.
func (q *queue) looked(t testing.TB) {
	t.Helper()
	q.nudge()
	q.awaits(t, "the reader never ends", func() bool { return !q.reading })
}

func (x *scene) queueOf(clientID string) *queue {
	return &x.gateway.lastings.get(clientKey{arn.Default, clientID}).queue
}

func TestTenMessagesASecondFromAStoredQueue(t *testing.T) {
	t.Run("in order, and what is published meanwhile behind them", func(t *testing.T) {
		inBothPaced(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.connected(x.cert, mqtt.V5)
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens("t")
			d.leaves()
			from.publishes("t", numbers(0, 25)...)
			x.advance(time.Second)
			d, _ = x.opens(x.cert, "d", v, lasts)
			from.publishes("t", numbers(25, 30)...)
			equal(t, "at once", d.receives(drainPerSession), numbers(0, 10))
			none := func(when string) {
				t.Helper()
				x.queueOf("d").looked(t)
				if n := d.unread(); n > 0 {
					t.Errorf("%s: %d more", when, n)
				}
			}
			none("before time goes by")
			x.advance(500 * time.Millisecond)
			equal(t, "half a second later", d.receives(5), numbers(10, 5))
			none("after half a second")
			x.advance(time.Hour) // no more than a second's worth is saved up
			equal(t, "long after, with all that did not wait for the device", d.receives(40), numbers(15, 40))
			from.publishes("t", append(numbers(0, 60), "end")...)
			equal(t, "once nothing waits", d.hears(), numbers(0, 60))
		})
	})
	t.Run("again, where the device did not acknowledge", func(t *testing.T) {
		inBothPaced(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.connected(x.cert, mqtt.V5)
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens("t")
			d.leaves()
			from.publishes("t", append(numbers(0, 14), "end")...)
			x.advance(time.Second)
			d, _ = x.opens(x.cert, "d", v, lasts)
			equal(t, "acknowledged", d.receives(4), numbers(0, 4))
			for range 6 {
				await[*mqtt.Publish](d)
			}
			d.leaves()
			x.advance(time.Second)
			d, _ = x.opens(x.cert, "d", v, lasts)
			for i, want := range numbers(4, drainPerSession) {
				p := await[*mqtt.Publish](d)
				if d.send(&mqtt.Puback{PacketID: p.PacketID}); string(p.Payload) != want || p.Dup != (i < 6) {
					t.Errorf("after coming back: %s, DUP %v, want %s", p.Payload, p.Dup, want)
				}
			}
			x.advance(time.Second)
			equal(t, "a second later", d.hears(), nil)
			if !d.alive() { // the PUBACKs were read
				t.Fatal("the connection ended")
			}
			if n := x.queued(); n != 0 {
				t.Errorf("%d messages wait", n)
			}
		})
	})
	t.Run("without the profile as fast as the device acknowledges", func(t *testing.T) {
		x := newPaced(t)
		x.gateway.Paced = nil
		from := x.connected(x.cert, mqtt.V5)
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens("t")
		d.leaves()
		from.publishes("t", append(numbers(0, 2*pageLength), "end")...)
		d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
		equal(t, "the session", d.hears(), numbers(0, 2*pageLength))
	})
	t.Run("and nobody looks into the store for who has had enough, or has left", func(t *testing.T) {
		x := newPaced(t)
		from := x.connected(x.cert, mqtt.V5)
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens("t")
		d.leaves()
		from.publishes("t", numbers(0, 20)...)
		x.advance(time.Second)
		d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
		var ids []uint16
		for range 10 {
			ids = append(ids, await[*mqtt.Publish](d).PacketID)
		}
		q := x.queueOf("d")
		q.awaits(t, "the reader waits for no timer", func() bool { return q.alarmed && !q.reading })
		looked := func() { t.Error("the store was read") }
		x.store.read.Store(&looked)
		for _, id := range ids {
			d.send(&mqtt.Puback{PacketID: id})
		}
		d.unread()
		q.looked(t)
		d.leaves()
		q.awaits(t, "the timer is set for ever", func() bool { return !q.alarmed && !q.reading })
	})
}

func TestTwentyMessagesASecondFromAGroupsQueue(t *testing.T) {
	inBothPaced(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.connected(x.cert, mqtt.V5)
		early := x.connected(x.cert, v)
		early.listens("end")
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens(shared)
		d.leaves()
		from.publishes("jobs/1", numbers(0, 60)...)
		q := x.gateway.groups.queues()[0]
		early.listens(shared)
		equal(t, "the first member", early.receives(drainPerMember), numbers(0, 20))
		late := x.connected(x.cert, v)
		late.listens(shared, "end")
		equal(t, "the second", late.receives(drainPerMember), numbers(20, 20))
		none := func(when string) {
			t.Helper()
			q.looked(t)
			if n := early.unread() + late.unread(); n > 0 {
				t.Errorf("%s: %d more", when, n)
			}
		}
		none("before time goes by")
		x.advance(250 * time.Millisecond)
		got := append(early.receives(5), late.receives(5)...)
		none("after a quarter of a second")
		from.publishes("jobs/1", numbers(60, 40)...)
		x.advance(250 * time.Millisecond)
		q.awaits(t, "messages wait for ever", func() bool { return !q.more && !q.reading })
		from.publishes("end", "end")
		got = slices.Concat(got, early.hears(), late.hears())
		slices.SortFunc(got, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		equal(t, "all that is left, and what did not wait for the members", got, numbers(40, 60))
	})
}
