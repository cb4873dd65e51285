package gateway

import (
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// paced makes a cause of what is done while AWS's rate quotas hold and the
// clock stands still.
func paced(act func(*scene, mqtt.Version) (string, string)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		x.gateway.Paced = func(arn.Tenant) bool { return true }
		x.freeze()
		x.advance(time.Second) // what was used before is earned again
		return act(x, v)
	}
}

// often makes a cause of a packet that is sent again and again.
func often(n int, p mqtt.Packet) func(*scene, mqtt.Version) (string, string) {
	return paced(does(func(d *raw) {
		for range n {
			d.send(p)
		}
	}))
}

var quotaCauses = []cause{
	{"a second CONNECT with a client id within a second", 0, paced(func(x *scene, v mqtt.Version) (string, string) {
		x.online(x.cert, "hurried", v)
		return connects(withDevice, "hurried")(x, v)
	})},
	{"more than 100 messages in a second", 0, often(publishesPerConnection+1, &mqtt.Publish{Topic: "t", QoS: 1, PacketID: 1})},
	{"more than 100 messages in a second, QoS 0", 0, often(publishesPerConnection+1, &mqtt.Publish{Topic: "t"})},
	{"a topic's second retained message within a second", 0, often(2, &mqtt.Publish{Topic: "r", QoS: 1, PacketID: 1, Retain: true})},
	{"messages without end", 0, func(x *scene, v mqtt.Version) (string, string) {
		address, saw := often((timesInVain+2)*publishesPerConnection, &mqtt.Publish{Topic: "t"})(x, v)
		x.journal.await(x.t, "of the end", func(a *attempts.Attempt) bool {
			return a.Remote == address && a.Steps[len(a.Steps)-1].Name == "end"
		})
		return address, saw
	}},
	{"more CONNECTs of an account than 3,000 in a second", 0, paced(func(x *scene, v mqtt.Version) (string, string) {
		a := x.gateway.paces.account(arn.Default)
		a.mu.Lock()
		a.connects = bucket{at: x.now()}
		a.mu.Unlock()
		return connects(withDevice, x.name())(x, v)
	})},
	{"more messages of an account than 20,000 in a second", 0, paced(func(x *scene, v mqtt.Version) (string, string) {
		a := x.gateway.paces.account(arn.Default)
		a.mu.Lock()
		a.in = bucket{at: x.now()}
		a.mu.Unlock()
		return sends(publish("t", nil))(x, v)
	})},
	{"more than 100 messages to a device in a second, by direct messages", once, paced(directed("topic=a", func(x *scene, name string) {
		x.online(x.cert, name, mqtt.V5)
		for range publishesPerConnection {
			must(x.t, x.gateway.SendDirect(x.t.Context(), arn.Default, direct(name, 0, "")))
		}
	}))},
	{"more direct messages of an account than 20,000 in a second", once, paced(func(x *scene, v mqtt.Version) (string, string) {
		a := x.gateway.paces.account(arn.Default)
		a.mu.Lock()
		a.directs = bucket{at: x.now()}
		a.mu.Unlock()
		return asks(withDevice, "POST", "/connections/lock-1/messages?topic=a", "{}")(x, v)
	})},
	{"more CSRs of an account than 20 in a second", 0, paced(func(x *scene, v mqtt.Version) (string, string) {
		a := x.gateway.paces.account(arn.Default)
		a.mu.Lock()
		a.provisions[wire.CreateFromCSR] = bucket{at: x.now()}
		a.mu.Unlock()
		return sends(publish(csrJSON, []byte("{}")))(x, v)
	})},
	{"more subscriptions of an account than 3,000 in a second", 0, paced(func(x *scene, v mqtt.Version) (string, string) {
		a := x.gateway.paces.account(arn.Default)
		a.mu.Lock()
		a.subs = bucket{at: x.now()}
		a.mu.Unlock()
		return sends(subscribe("t"))(x, v)
	})},
}
