package gateway

import (
	"fmt"
	"slices"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

const shared = "$share/crew/jobs/+"

// receives gives the payloads of the next n messages, and acknowledges them.
func (d *raw) receives(n int) (got []string) {
	d.t.Helper()
	for range n {
		p := await[*mqtt.Publish](d)
		if p.QoS == 1 {
			d.send(&mqtt.Puback{PacketID: p.PacketID})
		}
		got = append(got, string(p.Payload))
	}
	return got
}

func TestASharedGroupWithALastingMember(t *testing.T) {
	t.Run("keeps what comes while nobody is there, for whoever comes first", func(t *testing.T) {
		inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.online(x.cert, "from", mqtt.V5)
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens(shared)
			d.leaves()
			from.publishes("jobs/1", "1", "2")
			x.restarts()
			from = x.online(x.cert, "from", mqtt.V5)
			from.publishes("jobs/1", "3")
			guest := x.online(x.cert, "guest", v)
			guest.listens("$share/crew/jobs/+") // is a clean session's
			equal(t, "a clean member", guest.receives(3), []string{"1", "2", "3"})
			if !guest.alive() {
				t.Fatal("the connection ended")
			}
			guest.leaves()
			from.publishes("jobs/2", "4")
			d, _ = x.opens(x.cert, "d", v, lasts)
			equal(t, "the lasting member", d.receives(1), []string{"4"})
			if !d.alive() {
				t.Fatal("the connection ended")
			}
			if n := x.queued(); n != 0 {
				t.Errorf("%d messages wait", n)
			}
		})
	})
	t.Run("hands on what a member did not acknowledge when it left", func(t *testing.T) {
		inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
			from := x.online(x.cert, "from", mqtt.V5)
			d, _ := x.opens(x.cert, "d", v, lasts)
			d.listens(shared)
			d.leaves()
			idle := x.online(x.cert, "idle", v)
			idle.listens(shared)
			from.publishes("jobs/1", "1", "2")
			for range 2 {
				await[*mqtt.Publish](idle)
			}
			d, _ = x.opens(x.cert, "d", v, lasts)
			idle.leaves()
			got := d.receives(2)
			slices.Sort(got)
			equal(t, "the other member", got, []string{"1", "2"})
		})
	})
	t.Run("is one no more when that member's session ends", func(t *testing.T) {
		x := newScene(t, Limits{})
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens(shared)
		d.leaves()
		from.publishes("jobs/1", "lost")
		d = x.online(x.cert, "d", mqtt.V5) // Clean Start
		if kept := x.kept(); len(kept) > 0 {
			t.Errorf("stored: %v", kept)
		}
		from.publishes("jobs/1", "for nobody")
		d.listens(shared)
		from.publishes("jobs/1", "end")
		equal(t, "the clean session", d.hears(), nil)
	})
	t.Run("leaves what nobody there may receive for the member who is away", func(t *testing.T) {
		x := newScene(t, Limits{})
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens(shared)
		d.leaves()
		deaf, _ := x.device("", `{"Version":"2012-10-17","Statement":[
		 {"Effect":"Allow","Action":["iot:Connect","iot:Subscribe"],"Resource":"*"},
		 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/jobs/for-all"}]}`)
		l := x.online(deaf, "deaf", mqtt.V5)
		l.listens(shared)
		from.publishes("jobs/1", "secret")
		from.publishes("jobs/for-all", "end")
		equal(t, "the member who may not", l.hears(), nil)
		d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
		equal(t, "the member who may", d.receives(1), []string{"secret"})
	})
	t.Run("forwards at QoS 0 to a member who asked for that", func(t *testing.T) {
		x := newScene(t, Limits{})
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
		d.listens(shared)
		d.leaves()
		low := x.online(x.cert, "low", mqtt.V5)
		low.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: shared}}})
		await[*mqtt.Suback](low)
		from.publishes("jobs/1", "1")
		if p := await[*mqtt.Publish](low); p.QoS != 0 || string(p.Payload) != "1" {
			t.Errorf("got %s at QoS %d", p.Payload, p.QoS)
		}
		if n := x.queued(); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}

func TestAMemberOfACleanGroupLeaves(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		first := x.online(x.cert, "first", v)
		first.listens(shared)
		from.publishes("jobs/1", "1", "2")
		for range 2 {
			await[*mqtt.Publish](first)
		}
		second := x.online(x.cert, "second", v)
		second.listens(shared)
		first.leaves()
		got := second.receives(2)
		slices.Sort(got)
		equal(t, "the other member", got, []string{"1", "2"})
		if kept := x.kept(); len(kept) > 0 {
			t.Errorf("stored: %v", kept)
		}
	})
}

func TestLimitsOfSharedGroups(t *testing.T) {
	x := newScene(t, Limits{})
	t.Run("a group has a hundred members", func(t *testing.T) {
		x.within(t)
		gr := &group{key: clientKey{x.other, "$share/full/t"}, members: make([]*subscription, maxMembers)}
		for i := range gr.members {
			gr.members[i] = &subscription{s: &session{}}
		}
		x.gateway.groups.of[gr.key] = gr
		key, _ := x.foreigner()
		d := x.raw(key, mqtt.V5, sni("other.localhost"))
		d.connect("abroad")
		await[*mqtt.Connack](d)
		d.send(subscribe("$share/full/t"))
		if a := await[*mqtt.Suback](d); a.Codes[0] != mqtt.QuotaExceeded {
			t.Errorf("SUBACK %v", a.Codes)
		}
	})
	t.Run("an account has a hundred groups", func(t *testing.T) {
		x.within(t)
		var last mqtt.ReasonCode
		for conn := range 3 {
			d := x.connected(x.cert, mqtt.V5)
			for i := range 50 {
				d.send(subscribe(fmt.Sprintf("$share/g%d-%d/t", conn, i)))
				if last = await[*mqtt.Suback](d).Codes[0]; last.Failed() {
					break
				}
			}
			if last.Failed() {
				if conn != 2 {
					t.Errorf("connection %d was refused a group", conn)
				}
				break
			}
		}
		if last != mqtt.QuotaExceeded {
			t.Errorf("the last was answered %v", last)
		}
	})
}
