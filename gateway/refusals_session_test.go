package gateway

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/mqtt"
)

// sendsHex makes a cause of bytes, which differ in the two versions.
func sendsHex(v311, v5 string) func(*scene, mqtt.Version) (string, string) {
	return does(func(d *raw) {
		if d.version == mqtt.V5 {
			d.hex(v5)
		} else {
			d.hex(v311)
		}
	})
}

func qos2(p *mqtt.Publish) *mqtt.Publish { p.QoS = 2; return p }

func filters(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("f/%d", i))
	}
	return out
}

// aliased is a PUBLISH with a topic alias.
func aliased(topic string, alias uint16) *mqtt.Publish {
	p := publish(topic, []byte("x"))
	p.Properties.TopicAlias = mqtt.Some(alias)
	return p
}

func property(set func(*mqtt.Properties)) *mqtt.Publish {
	p := publish("a", nil)
	set(&p.Properties)
	return p
}

// manyWords is one byte more than user properties may have.
func manyWords() []mqtt.UserProperty {
	return []mqtt.UserProperty{{Key: "k", Value: strings.Repeat("v", maxUser)}}
}

// acts makes a cause of what a device with these policies sends.
func acts(cert func(*scene) tls.Certificate, packets ...mqtt.Packet) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(cert(x), x.name(), v)
		d.send(packets...)
		return d.local(), d.saw()
	}
}

const (
	noFilters = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topic/dt/*"}]}`
	onlyOwn = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Subscribe"],"Resource":"*"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:us-east-1:000000000000:topic/dt/own/*"}]}`
)

var sessionCauses = []cause{
	{"a second CONNECT", 0, func(x *scene, v mqtt.Version) (string, string) {
		return sends(&mqtt.Connect{Version: v, ClientID: "again", CleanStart: true})(x, v)
	}},
	{"a second CONNECT of level 6", 0, does(func(d *raw) { d.hex("10 0e 00 04 4d 51 54 54 06 02 00 3c 00 02 61 62") })},
	{"PINGRESP, which only a server sends", 0, sends(&mqtt.Pingresp{})},
	{"CONNACK, which only a server sends", 0, sends(&mqtt.Connack{})},
	{"SUBACK, which only a server sends", 0, sends(&mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}})},
	{"UNSUBACK, which only a server sends", mqtt.V5, sends(&mqtt.Unsuback{PacketID: 1, Codes: []mqtt.ReasonCode{0}})},
	{"AUTH", mqtt.V5, does(func(d *raw) {
		d.send(&mqtt.Auth{Code: mqtt.Reauthenticate, Properties: mqtt.Properties{AuthMethod: mqtt.Some("SCRAM-SHA-1")}})
	})},
	{"PUBREL", 0, sends(&mqtt.Pubrel{PacketID: 1})},
	{"reserved flags", 0, does(func(d *raw) { d.hex("81 00") })},
	{"a reserved packet type", 0, does(func(d *raw) { d.hex("00 00") })},
	{"a topic that is not UTF-8", 0, sendsHex("30 04 00 02 ff fe", "30 05 00 02 ff fe 00")},
	{"a topic with a wildcard", 0, sendsHex("30 05 00 03 61 2f 23", "30 06 00 03 61 2f 23 00")},
	{"a packet of more than 149,504 bytes", 0, does(func(d *raw) { d.hex("30 ff ff 7f") })},
	{"PUBLISH of QoS 2", 0, sends(qos2(publish("a", nil)))},
	{"PUBLISH of QoS 3", 0, sendsHex("36 05 00 01 61 00 01", "36 06 00 01 61 00 01 00")},
	{"a payload of more than 128 KiB", 0, sends(publish("a", make([]byte, 131_073)))},
	{"a topic of 257 bytes", 0, sends(publish(strings.Repeat("t", 257), nil))},
	{"a topic with eight slashes", 0, sends(publish("a/b/c/d/e/f/g/h/i", nil))},
	{"a topic that may not be published", 0, acts(under(onlyOwn), publish("dt/other", nil))},
	{"a topic that may not be published, QoS 0", 0, acts(under(onlyOwn), &mqtt.Publish{Topic: "dt/other"})},
	{"a retained message that may not be", 0, acts(under(onlyOwn), &mqtt.Publish{Topic: "dt/own/a", Retain: true, QoS: 1, PacketID: 3})},
	{"topic alias 0", mqtt.V5, sends(aliased("a", 0))},
	{"topic alias 9", mqtt.V5, sends(aliased("a", 9))},
	{"a topic alias that stands for nothing", mqtt.V5, sends(aliased("", 3))},
	{"user properties of more than 8 KiB", mqtt.V5, sends(property(func(p *mqtt.Properties) { p.User = manyWords() }))},
	{"correlation data of more than 8 KiB", mqtt.V5, sends(property(func(p *mqtt.Properties) { p.CorrelationData = make([]byte, 8193) }))},
	{"a content type of more than 256 bytes", mqtt.V5, sends(property(func(p *mqtt.Properties) { p.ContentType = mqtt.Some(strings.Repeat("c", 257)) }))},
	{"a response topic with eight slashes", mqtt.V5, sends(property(func(p *mqtt.Properties) { p.ResponseTopic = mqtt.Some("a/b/c/d/e/f/g/h/i") }))},
	{"a reserved topic that is no operation", 0, sends(publish("$aws/things/lock-0/unknown", nil))},
	{"a topic of another service", 0, sends(publish("$SYS/uptime", nil))},
	{"a shared subscription as a topic", 0, sends(publish("$share/g/a", nil))},
	{"a third format word", 0, sends(publish("$aws/certificates/create-from-csr/xml", nil))},
	{"a reply topic", 0, sends(publish("$aws/certificates/create/json/accepted", nil))},
	{"SUBSCRIBE of QoS 2", 0, sends(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", QoS: 2}}})},
	{"SUBSCRIBE with nine filters", 0, sends(subscribe(filters(9)...))},
	{"UNSUBSCRIBE with nine filters", 0, sends(&mqtt.Unsubscribe{PacketID: 1, Filters: filters(9)})},
	{"PUBLISH with a subscription identifier", mqtt.V5, sends(property(func(p *mqtt.Properties) { p.SubscriptionIDs = []uint32{1} }))},
	{"SUBSCRIBE with a subscription identifier", mqtt.V5, sends(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a"}},
		Properties: mqtt.Properties{SubscriptionIDs: []uint32{1}}})},
	{"user properties of more than 8 KiB in SUBSCRIBE", mqtt.V5, sends(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a"}},
		Properties: mqtt.Properties{User: manyWords()}})},
	{"user properties of more than 8 KiB in UNSUBSCRIBE", mqtt.V5, sends(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"a"},
		Properties: mqtt.Properties{User: manyWords()}})},
	{"the 51st subscription", 0, does(func(d *raw) {
		for i := range 51 {
			d.send(subscribe(fmt.Sprintf("f/%d", i)))
		}
	})},
	{"a filter of 257 bytes", 0, sends(subscribe(strings.Repeat("f", 257)))},
	{"a filter with eight slashes", 0, sends(subscribe("a/b/c/d/e/f/g/h/#"))},
	{"filter a+/b", 0, sends(subscribe("a+/b"))},
	{"filter a/#/b", 0, sends(subscribe("a/#/b"))},
	{"filter $share/g", 0, sends(subscribe("$share/g"))},
	{"a share name of 129 bytes", 0, sends(subscribe("$share/" + strings.Repeat("g", 129) + "/a"))},
	{"no local on a shared subscription", mqtt.V5, does(func(d *raw) {
		d.hex("82 10 00 01 00 00 0a 24 73 68 61 72 65 2f 67 2f 61 05")
	})},
	{"a filter that the policy allows as a topic", 0, acts(under(noFilters), subscribe("dt/a"))},
	{"a message that may not be received", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(under(onlyOwn)(x), x.name(), v)
		d.send(subscribe("dt/#"))
		await[*mqtt.Suback](d)
		other := x.online(x.cert, x.name(), v)
		other.send(publish("dt/secret", nil))
		await[*mqtt.Puback](other)
		return d.local(), d.saw()
	}},
	{"the store fails at a change of policy", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, id := x.device("", allowAll)
		d := x.online(cert, x.name(), v)
		s := x.gateway.hub.ofCert(arn.Default, id)[0]
		s.changes.Add(1)
		x.store.broken.Store(true)
		defer x.store.broken.Store(false)
		d.send(publish("a", nil))
		return d.local(), d.saw()
	}},
}

// fullCauses are for an account that may have one subscription.
var fullCauses = []cause{
	{"one subscription more than the account may have", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.connected(x.cert, v)
		defer d.leaves() // which gives the first one back
		d.listens("f/0")
		d.send(subscribe("f/1"))
		return d.local(), d.saw()
	}},
}

func (x *scene) connected(cert tls.Certificate, v mqtt.Version) *raw {
	return x.online(cert, x.name(), v)
}

var waitCauses = []cause{
	{"silent for one and a half times the keep-alive", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(x.cert, x.name(), v, func(p *mqtt.Connect) { p.KeepAlive = 1 })
		return d.local(), d.end()
	}},
	{"taken over", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, _ := x.device("", allowAll)
		old := x.online(cert, "twin", v)
		x.online(cert, "twin", v)
		return "", old.end()
	}},
	{"taken over by another certificate", 0, func(x *scene, v mqtt.Version) (string, string) {
		name := x.name()
		mine, _ := x.device("", allowAll)
		other, _ := x.device("", allowAll)
		old := x.online(mine, name, v)
		x.online(other, name, v)
		return old.local(), old.end()
	}},
	{"two certificates take turns with one client id", 0, func(x *scene, v mqtt.Version) (string, string) {
		a, _ := x.device("", allowAll)
		b, _ := x.device("", allowAll)
		return x.takeTurns(a, b, x.name(), v)
	}},
	{"cut because its certificate was detached from its only thing", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, id := x.device("", allowAll)
		thing := x.name()
		x.bind(id, thing)
		d := x.connected(cert, v)
		x.unbind(id, thing)
		return d.local(), d.end()
	}},
	{"cut because its certificate was revoked", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, id := x.device("", allowAll)
		d := x.connected(cert, v)
		x.setStatus(id, certs.Revoked)
		return d.local(), d.end()
	}},
	{"cut because its certificate was deleted", 0, func(x *scene, v mqtt.Version) (string, string) {
		cert, id := x.device("", allowAll)
		d := x.connected(cert, v)
		x.gateway.Follow(deleted(id))
		return d.local(), d.end()
	}},
	{"cut because its account was switched off", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.connected(x.cert, v)
		x.gateway.Follow(event.Event{Kind: event.TenantChanged, Tenant: arn.Default, ID: arn.Default.Account, Detail: "disabled"})
		return d.local(), d.end()
	}},
	{"a reader that is too slow", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.connected(x.cert, v)
		shrink(d)
		d.send(subscribe("flood"))
		await[*mqtt.Suback](d)
		x.flood("flood", d.local())
		return d.local(), "socket closed" // what it saw before is up to the network
	}},
	{"a device that acknowledges nothing", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.connected(x.cert, v)
		d.send(subscribe("flood"))
		await[*mqtt.Suback](d)
		go drain(d.conn)
		x.flood("flood", d.local())
		return d.local(), "socket closed"
	}},
}

// shrink makes the device's receive buffer small.
func shrink(d *raw) { _ = d.tcp.(*net.TCPConn).SetReadBuffer(4096) }

// flood publishes until the connection of that address is no more.
func (x *scene) flood(topic, address string) {
	x.t.Helper()
	from := x.connected(x.cert, mqtt.V5)
	load := bytes.Repeat([]byte("x"), 60_000)
	for range 10_000 {
		from.send(publish(topic, load))
		await[*mqtt.Puback](from)
		if x.session(address) == nil {
			return
		}
	}
	x.t.Fatal("the slow reader is still there")
}

// session finds the one at the address, if it is in the hub.
func (r *rig) session(address string) *session {
	for _, s := range r.gateway.hub.all() {
		if s.remote == address && s.ended.Load() == nil {
			return s
		}
	}
	return nil
}

var crowdCauses = []cause{
	{"shown out because strangers crowd the door", once, func(x *scene, _ mqtt.Version) (string, string) {
		oldest, err := net.Dial("tcp", x.plain)
		must(x.t, err)
		x.awaitStrangers(1)
		for range 2 {
			c, err := net.Dial("tcp", x.plain)
			must(x.t, err)
			defer c.Close()
		}
		drain(oldest)
		return oldest.LocalAddr().String(), "socket closed"
	}},
	{"an address whose connections failed too often", once, func(x *scene, _ mqtt.Version) (string, string) {
		for {
			c, err := net.Dial("tcp", x.plain)
			must(x.t, err)
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			drain(c)
			c.Close()
			if a := x.journal.of(c.LocalAddr().String()); a != nil && strings.Contains(a.Reason, "oo many") {
				return a.Remote, "socket closed"
			}
		}
	}},
}

func deleted(id arn.CertID) event.Event {
	return event.Event{Kind: event.CertificateDeleted, Tenant: arn.Default, ID: string(id)}
}
