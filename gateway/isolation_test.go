package gateway

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

var bothVersions = []mqtt.Version{mqtt.V311, mqtt.V5}

// messages reads until a message on the last topic, and gives all of them.
func (d *raw) messages(last string) (got []*mqtt.Publish) {
	d.t.Helper()
	for {
		p := await[*mqtt.Publish](d)
		if p.QoS == 1 {
			d.send(&mqtt.Puback{PacketID: p.PacketID})
		}
		if p.Topic == last {
			return got
		}
		got = append(got, p)
	}
}

func TestNobodySeesAnothersAnswers(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		for _, filter := range []string{"#", "+/#", "$aws/#", "$aws/+/+/+/+", "$aws/certificates/#", "$share/g/#", "$share/g/+/#", "$share/g/$aws/#",
			wire.Accepted(csrJSON), wire.Rejected(csrJSON), wire.Accepted(registerAt("fleet")), "$share/g/" + wire.Accepted(csrJSON)} {
			t.Run(fmt.Sprintf("%s listens to %s", v, filter), func(t *testing.T) {
				x.within(t)
				spy := x.connected(x.cert, v)
				spy.send(subscribe(filter, "end/"+x.name()))
				await[*mqtt.Suback](spy)
				asks := x.connected(x.claim, v)
				asks.send(subscribe(wire.Accepted(csrJSON), wire.Rejected(csrJSON)))
				await[*mqtt.Suback](asks)
				asks.send(publish(csrJSON, csrOf("p256.pem")(x)), publish(csrJSON, []byte("{}")), publish(registerAt("fleet"), []byte("{}")))
				if saw := asks.saw(); strings.Count(saw, "PUBLISH on") != 1 || strings.Count(saw, "rejected") != 2 {
					t.Errorf("the device that asked saw %s", saw)
				}
				end := fmt.Sprintf("end/dev-%d", x.count-1)
				other := x.connected(x.cert, v)
				other.send(publish(end, nil))
				for _, m := range spy.messages(end) {
					if strings.HasPrefix(m.Topic, "$") && !strings.HasPrefix(m.Topic, "$aws/events/") { // which its policy allows
						t.Errorf("the spy got %s: %s", m.Topic, m.Payload)
					}
				}
			})
		}
	}
}

func TestAnswersHaveTheQoSOfTheSubscription(t *testing.T) {
	x := newScene(t, Limits{})
	accepted := wire.Accepted(keysJSON)
	for _, c := range []struct {
		name    string
		filters []mqtt.Subscription
		want    byte
	}{
		{"none: QoS 0", nil, 0},
		{"QoS 0", []mqtt.Subscription{{Filter: accepted}}, 0},
		{"QoS 1", []mqtt.Subscription{{Filter: accepted, QoS: 1}}, 1},
		{"QoS 1 by a wildcard", []mqtt.Subscription{{Filter: "$aws/certificates/create/+/accepted", QoS: 1}}, 1},
		{"the higher of two", []mqtt.Subscription{{Filter: accepted}, {Filter: "$aws/certificates/#", QoS: 1}}, 1},
		{"a filter from the root does not count", []mqtt.Subscription{{Filter: "#", QoS: 1}}, 0},
		{"a shared one does not count", []mqtt.Subscription{{Filter: "$share/g/" + accepted, QoS: 1}}, 0},
		{"the other answer does not count", []mqtt.Subscription{{Filter: wire.Rejected(keysJSON), QoS: 1}}, 0},
	} {
		for _, v := range bothVersions {
			t.Run(fmt.Sprintf("%s, %s", c.name, v), func(t *testing.T) {
				x.within(t)
				d := x.connected(x.cert, v)
				if c.filters != nil {
					d.send(&mqtt.Subscribe{PacketID: 1, Filters: c.filters})
					await[*mqtt.Suback](d)
				}
				d.send(publish(keysJSON, csrFile(t, "p256.pem")))
				m := await[*mqtt.Publish](d)
				if m.Topic != accepted || m.QoS != c.want || m.Retain || m.Dup {
					t.Errorf("got %s at QoS %d, retain %v, dup %v; want QoS %d", m.Topic, m.QoS, m.Retain, m.Dup, c.want)
				}
			})
		}
	}
}

// TestOneClientIDIsOneSession connects many at once; whoever is last gets the
// messages, and gets them alone.
func TestOneClientIDIsOneSession(t *testing.T) {
	x := newScene(t, Limits{})
	const many = 24
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			cert, id := x.device("", allowAll)
			var devices [many]*raw
			for i := range devices {
				devices[i] = x.raw(cert, v)
			}
			var all sync.WaitGroup
			for _, d := range devices {
				all.Go(func() {
					d.connect("the one")
					d.send(subscribe("to/the/one"))
				})
			}
			all.Wait()
			gone, got := make(chan *raw, many), make(chan *raw, many)
			for _, d := range devices {
				all.Go(func() {
					for p, err := d.r.Next(v); err == nil; p, err = d.r.Next(v) {
						if m, ok := p.(*mqtt.Publish); ok {
							got <- d
							if string(m.Payload) == "last" {
								return
							}
						}
					}
					gone <- d
				})
			}
			for range many - 1 {
				<-gone
			}
			survivor := x.theOnly(id, "to/the/one")
			from := x.connected(x.cert, v)
			from.send(publish("to/the/one", []byte("first")), publish("to/the/one", []byte("last")))
			all.Wait()
			close(got)
			n := 0
			for d := range got {
				if n++; d.local() != survivor.remote {
					t.Errorf("%s got a message, and %s holds the client id", d.local(), survivor.remote)
				}
			}
			if n != 2 || !slices.Contains(x.gateway.hub.ofThing(arn.Default, "the one"), survivor) {
				t.Errorf("%d messages of 2 arrived", n)
			}
		})
	}
}

// theOnly waits until the certificate has one session, and that has subscribed.
func (x *scene) theOnly(id arn.CertID, filter string) *session {
	x.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if all := x.gateway.hub.ofCert(arn.Default, id); len(all) == 1 {
			_, subscribed := all[0].own.granted(filter)
			if subscribed {
				return all[0]
			}
		}
		runtime.Gosched()
	}
	x.t.Fatalf("the certificate never has one session that listens to %s", filter)
	return nil
}

func TestAClaimNeverTakesOverAThing(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			serial := x.name()
			cert, _ := x.device(serial, allowAll)
			device := x.online(cert, serial, v)
			claim := x.raw(x.claim, v)
			claim.connect(serial)
			if saw := claim.end(); strings.Contains(saw, "127.0.0.1") {
				t.Errorf("the claim learns where the device is: %s", saw)
			}
			if !device.alive() {
				t.Fatal("the device lost its connection")
			}
			t.Run("but a claim may take over a claim, and the thing takes over the claim", func(t *testing.T) {
				x.within(t)
				name := x.name()
				own, _ := x.device(name, allowAll)
				first := x.online(x.claim, name, v)
				second := x.online(x.claim, name, v)
				first.end()
				x.online(own, name, v)
				second.end()
			})
		})
	}
}

func TestSharedSubscriptionsGetEachMessageOnce(t *testing.T) {
	x := newScene(t, Limits{})
	group, topic := x.name(), "s/"+x.name()
	var members []*raw
	for range 4 {
		d := x.connected(x.cert, mqtt.V5)
		d.send(subscribe("$share/"+group+"/"+topic, "end/"+group))
		await[*mqtt.Suback](d)
		members = append(members, d)
	}
	deaf, _ := x.device("", onlyOwn) // may subscribe, may not receive
	d := x.connected(deaf, mqtt.V5)
	d.send(subscribe("$share/" + group + "/" + topic))
	await[*mqtt.Suback](d)
	from := x.connected(x.cert, mqtt.V311)
	const n = 50
	for range n {
		from.send(publish(topic, nil))
	}
	from.send(publish("end/"+group, nil))
	got := 0
	for _, d := range members {
		got += len(d.messages("end/" + group))
	}
	if got != n {
		t.Errorf("%d messages arrived %d times", n, got)
	}
}
