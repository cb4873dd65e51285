package gateway

import (
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// asks subscribes to one filter and gives the code.
func (d *raw) asks(filter string) mqtt.ReasonCode {
	d.t.Helper()
	d.send(subscribe(filter))
	return await[*mqtt.Suback](d).Codes[0]
}

// drops unsubscribes.
func (d *raw) drops(filters ...string) {
	d.t.Helper()
	d.send(&mqtt.Unsubscribe{PacketID: 9, Filters: filters})
	await[*mqtt.Unsuback](d)
}

// subscriptions is how many the account has, as the gateway counts.
func (r *rig) subscriptions() int {
	r.gateway.tally.mu.Lock()
	defer r.gateway.tally.mu.Unlock()
	return r.gateway.tally.of[arn.Default]
}

func TestAnAccountsSubscriptionsAreBounded(t *testing.T) {
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x := newScene(t, Limits{Subscriptions: 3})
			tooMany := mqtt.QuotaExceeded
			if v == mqtt.V311 {
				tooMany = mqtt.SubscribeFailure
			}
			full := func(d *raw, when string) {
				t.Helper()
				for _, filter := range []string{"more", "$share/more/t"} {
					if code := d.asks(filter); code != tooMany {
						t.Errorf("%s: %s is answered %v", when, filter, code)
					}
				}
				if n := x.subscriptions(); n != 3 {
					t.Errorf("%s: %d are counted", when, n)
				}
			}
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens("a", "$share/crew/b")
			other := x.connected(x.cert, v)
			other.listens("c")
			full(d, "of a session that lasts")
			full(other, "of one that does not")
			if a := x.journal.of(d.local()); a == nil || !strings.Contains(a.Reason, "the account has 3, which is the limit") {
				t.Errorf("the attempt is %+v", a)
			}
			if x.gateway.groups.counts[arn.Default] != 1 {
				t.Error("a group was made for who was refused")
			}
			d.listens("a", "$share/crew/b")
			full(d, "after the same filters again")

			other.drops("c", "c", "never")
			other.listens("d")
			full(other, "after UNSUBSCRIBE")
			other.leaves()
			d.listens("e")
			full(d, "after the end of a connection")
			d.drops("e")
			x.store.full.Store(true)
			if code := d.asks("f"); !code.Failed() {
				t.Error("what could not be stored was granted")
			}
			x.store.full.Store(false)
			d.leaves()
			other = x.connected(x.cert, v)
			other.listens("g")
			full(other, "while a session is away")
			x.restarts()
			other = x.connected(x.cert, v)
			other.listens("g")
			full(other, "after a restart")
			d = x.online(x.cert, "d", v) // its session ends
			d.listens("h", "i")
			full(d, "after the end of a session")

			foreign, _ := x.foreigner()
			abroad := x.raw(foreign, v, sni("other.localhost"))
			abroad.connect("abroad")
			await[*mqtt.Connack](abroad)
			abroad.listens("a", "b", "c")
			d.leaves()
			other.leaves()
			if n := x.subscriptions(); n != 0 {
				t.Errorf("%d are counted when all are gone", n)
			}
		})
	}
}

// What is there already stays when a server begins with a lower limit.
func TestFewerSubscriptionsAreAllowedThanThereAre(t *testing.T) {
	x := newScene(t, Limits{})
	d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
	d.listens("a", "b", "c")
	d.leaves()
	x.gateway.Limits.Subscriptions = 2
	x.restarts()
	x.online(x.cert, "from", mqtt.V5).publishes("c", "1", "end")
	d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
	equal(t, "the session", d.hears(), []string{"1"})
	for range 2 {
		if code := d.asks("d"); code != mqtt.QuotaExceeded {
			t.Errorf("one more is answered %v", code)
		}
		d.drops("a")
	}
	d.drops("b")
	d.listens("d")
}
