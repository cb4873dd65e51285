package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// newPaced is a scene whose default account has the profile aws, and whose
// clock stands still.
func newPaced(t *testing.T) *scene {
	x := newScene(t, Limits{})
	x.gateway.Paced = func(t arn.Tenant) bool { return t == arn.Default }
	x.freeze()
	return x
}

func TestOneConnectASecondAndClientID(t *testing.T) {
	x := newPaced(t)
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name()
			first := x.online(x.cert, name, v)
			again := x.raw(x.cert, v)
			again.connect(name)
			want := map[mqtt.Version]string{mqtt.V311: "socket closed", mqtt.V5: "CONNACK 0x97"}[v]
			if saw := again.end(); !strings.HasPrefix(saw, want) {
				t.Errorf("the device saw %s", saw)
			}
			if !first.alive() {
				t.Error("the first connection was taken over all the same")
			}
			x.online(x.cert, x.name(), v) // another client id may
			x.advance(time.Second)
			x.online(x.cert, name, v)
			first.end()
		})
	}
}

// published sends so many and gives how often each code was answered.
func (d *raw) published(n int, p mqtt.Publish) map[mqtt.ReasonCode]int {
	d.t.Helper()
	codes := map[mqtt.ReasonCode]int{}
	for i := range n {
		p.QoS, p.PacketID = 1, uint16(i+1)
		d.send(&p)
		codes[await[*mqtt.Puback](d).Code]++
	}
	return codes
}

func TestAHundredPublishesASecond(t *testing.T) {
	x := newPaced(t)
	listener := x.connected(x.cert, mqtt.V5)
	listener.send(subscribe("t", "end"))
	await[*mqtt.Suback](listener)
	go func() { // its own quota is not what is tested
		for p, err := listener.r.Next(mqtt.V5); err == nil; p, err = listener.r.Next(mqtt.V5) {
			if m, ok := p.(*mqtt.Publish); ok && m.QoS == 1 {
				listener.send(&mqtt.Puback{PacketID: m.PacketID})
			}
		}
	}()
	t.Run("of MQTT 5 gets its code for what is beyond", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.cert, mqtt.V5)
		got := d.published(publishesPerConnection+20, mqtt.Publish{Topic: "t"})
		if got[mqtt.Success] != publishesPerConnection || got[mqtt.QuotaExceeded] != 20 {
			t.Errorf("answered %v", got)
		}
		x.advance(time.Second)
		if got := d.published(1, mqtt.Publish{Topic: "t"}); got[mqtt.Success] != 1 {
			t.Errorf("a second later: %v", got)
		}
	})
	t.Run("of MQTT 3.1.1 gets no PUBACK for what is beyond, and stays", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.cert, mqtt.V311)
		d.published(publishesPerConnection, mqtt.Publish{Topic: "t"})
		d.send(publish("t", nil))
		if saw := d.saw(); saw != "the connection stays" {
			t.Errorf("the device saw %s", saw)
		}
		if a := x.journal.of(d.local()); a == nil || !strings.Contains(a.Reason, "100 PUBLISHes a second") {
			t.Errorf("the attempt is %+v", a)
		}
		x.advance(time.Second)
		if got := d.published(1, mqtt.Publish{Topic: "t"}); got[mqtt.Success] != 1 {
			t.Errorf("a second later: %v", got)
		}
	})
	t.Run("and who goes on all the same is cut", func(t *testing.T) {
		x.within(t)
		watcher := x.connected(x.cert, mqtt.V5)
		watcher.send(subscribe("$aws/events/presence/disconnected/+"))
		await[*mqtt.Suback](watcher)
		d := x.connected(x.cert, mqtt.V5)
		for range (timesInVain + 2) * publishesPerConnection {
			d.send(&mqtt.Publish{Topic: "t"})
		}
		if saw := d.end(); !strings.HasPrefix(saw, "DISCONNECT 0x97") {
			t.Errorf("the device saw %s", saw)
		}
		if e := told(watcher); !strings.Contains(e, `"disconnectReason":"THROTTLED"`) {
			t.Errorf("the event is %s", e)
		}
	})
	t.Run("and is counted for nobody without the profile", func(t *testing.T) {
		x.within(t)
		key, _ := x.foreigner()
		d := x.raw(key, mqtt.V5, sni("other.localhost"))
		for range 2 {
			d = x.raw(key, mqtt.V5, sni("other.localhost"))
			d.connect("abroad")
			await[*mqtt.Connack](d)
		}
		if got := d.published(3*publishesPerConnection, mqtt.Publish{Topic: "t"}); got[mqtt.Success] != 3*publishesPerConnection {
			t.Errorf("answered %v", got)
		}
	})
}

func TestAHundredDeliveriesASecond(t *testing.T) {
	x := newPaced(t)
	listener, second := x.connected(x.cert, mqtt.V5), x.connected(x.cert, mqtt.V311)
	listener.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "t"}, {Filter: "end", QoS: 1}}})
	await[*mqtt.Suback](listener)
	from := x.connected(x.cert, mqtt.V5)
	from.published(publishesPerConnection, mqtt.Publish{Topic: "t"})
	second.published(5, mqtt.Publish{Topic: "t"})
	second.published(1, mqtt.Publish{Topic: "end"})
	if got := listener.messages("end"); len(got) != publishesPerConnection {
		t.Errorf("%d messages of QoS 0 arrived", len(got))
	}
}

func TestOneRetainedMessageASecondAndTopic(t *testing.T) {
	x := newPaced(t)
	d := x.connected(x.cert, mqtt.V5)
	for _, c := range []struct {
		topic string
		want  mqtt.ReasonCode
	}{{"a", mqtt.Success}, {"a", mqtt.QuotaExceeded}, {"b", mqtt.Success}, {"b", mqtt.QuotaExceeded}} {
		if got := d.published(1, mqtt.Publish{Topic: c.topic, Retain: true}); got[c.want] != 1 {
			t.Errorf("a retained message on %s: %v", c.topic, got)
		}
	}
	if got := d.published(1, mqtt.Publish{Topic: "a"}); got[mqtt.Success] != 1 {
		t.Errorf("one that is not retained: %v", got)
	}
	x.advance(time.Second)
	if got := d.published(1, mqtt.Publish{Topic: "a", Retain: true}); got[mqtt.Success] != 1 {
		t.Errorf("a second later: %v", got)
	}
}

// inBothPaced is inBoth where the profile aws holds.
func inBothPaced(t *testing.T, f func(t *testing.T, x *scene, v mqtt.Version)) {
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x := newPaced(t)
			x.within(t)
			f(t, x, v)
		})
	}
}

// storable leaves the account so many messages that may be stored for who is
// away.
func (x *scene) storable(n int) {
	a := x.gateway.paces.account(arn.Default)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queued = bucket{left: float64(n), at: x.now()}
}

func TestFiveHundredMessagesASecondAreStored(t *testing.T) {
	t.Run("for sessions that are away, in each of which a message counts", func(t *testing.T) {
		inBothPaced(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.connected(x.cert, mqtt.V5)
			here, _ := x.opens(x.cert, "here", v, lasts)
			here.listens("t")
			for _, name := range []string{"a", "b"} {
				d, _ := x.opens(x.cert, name, v, lasts)
				d.listens("t")
				d.leaves()
			}
			x.storable(5)
			from.publishes("t", "1", "2", "3", "4")
			equal(t, "who is there", here.receives(4), []string{"1", "2", "3", "4"})
			if !here.alive() { // the PUBACKs were read
				t.Fatal("the connection ended")
			}
			if n := x.queued(); n != 5 {
				t.Errorf("%d messages wait", n)
			}
			x.advance(time.Second)
			from.publishes("t", "end")
			third := 0
			for _, name := range []string{"a", "b"} {
				d, _ := x.opens(x.cert, name, v, lasts)
				got := d.hears()
				if len(got) > 2 {
					third++
				}
				equal(t, name, got, numbers(1, min(max(len(got), 2), 3)))
			}
			if third != 1 {
				t.Errorf("the fifth place went to %d sessions", third)
			}
		})
	})
	t.Run("for a group of which nobody is there", func(t *testing.T) {
		inBothPaced(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.connected(x.cert, mqtt.V5)
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens(shared)
			d.leaves()
			x.storable(2)
			from.publishes("jobs/1", "1", "2", "dropped")
			guest := x.connected(x.cert, v)
			guest.listens(shared, "jobs/end")
			equal(t, "what was stored", guest.receives(2), []string{"1", "2"})
			from.publishes("jobs/1", "3", "4")
			equal(t, "what comes while somebody is there", guest.receives(2), []string{"3", "4"})
		})
	})
	t.Run("without the profile as many as there are", func(t *testing.T) {
		x := newPaced(t)
		x.gateway.Paced = nil
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens("t")
		d.leaves()
		x.storable(0)
		x.connected(x.cert, mqtt.V5).publishes("t", "1", "2", "end")
		d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
		equal(t, "the session", d.hears(), []string{"1", "2"})
	})
}

// What is beyond the throughput of a connection is late, and not lost. The
// clock stands still, so nothing is earned while the server waits.
func TestThroughputIsDelayed(t *testing.T) {
	x := newPaced(t)
	d := x.connected(x.cert, mqtt.V5)
	const n, size = 5, 120_000
	begin := time.Now()
	if got := d.published(n, mqtt.Publish{Topic: "t", Payload: make([]byte, size)}); got[mqtt.Success] != n {
		t.Errorf("answered %v", got)
	}
	if least := time.Duration(n*size-bytesPerConnection) * time.Second / bytesPerConnection; time.Since(begin) < least {
		t.Errorf("it took less than %v", least)
	}
}

func TestAnAccountsQuotas(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := &accountPace{account: "000000000000"}
	beyond := func(what string, quota int, take func(i int) (refused string)) {
		t.Helper()
		for i := range quota {
			if why := take(i); why != "" {
				t.Fatalf("%s %d: %s", what, i, why)
			}
		}
		if why := take(quota); !strings.Contains(why, fmt.Sprint(quota)) {
			t.Errorf("%s beyond the quota: %q", what, why)
		}
		if now = now.Add(time.Second); take(quota+1) != "" {
			t.Errorf("%s a second later is refused", what)
		}
	}
	beyond("CONNECT", connectsPerAccount, func(i int) string { return a.connect(fmt.Sprint(i), now) })
	beyond("PUBLISH", publishesPerAccount, func(int) string { return a.publish(&mqtt.Publish{Topic: "t"}, now) })
	beyond("retained message", retainedPerAccount, func(i int) string { return a.publish(&mqtt.Publish{Topic: fmt.Sprint(i), Retain: true}, now) })
	beyond("subscription", subscriptionsPerAccount, func(int) string { return a.subscribe(now) })
	beyond("stored message", queuedPerAccount, func(int) string {
		if a.store(now) {
			return ""
		}
		return fmt.Sprint(queuedPerAccount)
	})
	beyond("direct message", directsPerAccount, func(int) string { return a.direct(now) })
	beyond("delivery", publishesPerAccount, func(i int) string {
		if p := (&pace{account: a}); p.deliver(now) {
			return ""
		}
		return fmt.Sprint(publishesPerAccount)
	})
	t.Run("and its connections", func(t *testing.T) {
		a.connections = connectionsPerAccount
		if why := a.connect("one too many", now); !strings.Contains(why, "500000") {
			t.Errorf("%q", why)
		}
		a.disconnected()
		if why := a.connect("one too many", now); why != "" {
			t.Error(why)
		}
	})
	t.Run("and names are not held for long", func(t *testing.T) {
		var o secondly
		for i := range 3 * fewNames {
			now = now.Add(time.Millisecond)
			o.take(fmt.Sprint(i), now)
		}
		if len(o.next) > fewNames {
			t.Errorf("%d are held", len(o.next))
		}
		if now = now.Add(-time.Hour); !o.take("0", now) || !o.take(fmt.Sprint(3*fewNames-1), now) {
			t.Error("a clock that was set back locks out")
		}
	})
}

// The connections of an account are counted down, however they end.
func TestConnectionsAreGivenBack(t *testing.T) {
	x := newPaced(t)
	a := x.gateway.paces.account(arn.Default)
	for i := range 4 {
		d := x.raw(x.cert, mqtt.V5)
		d.connect(fmt.Sprint("id-", i))
		await[*mqtt.Connack](d)
		switch i {
		case 0:
			d.send(&mqtt.Disconnect{})
		case 1:
			d.tcp.Close()
		case 2:
			d.hex("00 00")
		}
	}
	claim := x.raw(x.claim, mqtt.V5)
	x.advance(time.Second)
	holder := x.online(x.cert, "lock-0", mqtt.V5)
	x.advance(time.Second)
	claim.connect("lock-0") // it is refused after it was counted
	claim.end()
	holder.tcp.Close()
	x.gateway.Close()
	if a.connections != 0 {
		t.Errorf("%d connections are still counted", a.connections)
	}
}
