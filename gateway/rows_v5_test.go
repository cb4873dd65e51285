package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/mqtt"
)

// connack passes CONNECT and gives what the server said of itself.
func (x *scene) connack(clientID string, change ...func(*mqtt.Connect)) (*raw, *mqtt.Connack) {
	x.t.Helper()
	d := x.raw(x.cert, mqtt.V5)
	d.connect(clientID, change...)
	return d, await[*mqtt.Connack](d)
}

func TestWhatCONNACKSaysOfTheServer(t *testing.T) {
	x := newScene(t, Limits{})
	_, a := x.connack("reader")
	p := &a.Properties
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"reason code", a.Code, mqtt.Success},
		{"session present", a.SessionPresent, false},
		{"Receive Maximum", p.ReceiveMaximum, mqtt.Some[uint16](100)},
		{"Maximum QoS", p.MaximumQoS, mqtt.Some[byte](1)},
		{"Retain Available", p.RetainAvailable.Or(true), true},
		{"Maximum Packet Size", p.MaximumPacketSize, mqtt.Some[uint32](149_504)},
		{"Topic Alias Maximum", p.TopicAliasMaximum, mqtt.Some[uint16](8)},
		{"Wildcard Subscription Available", p.WildcardAvailable.Or(true), true},
		{"Subscription Identifiers Available", p.SubscriptionIDsUsable, mqtt.Some(false)},
		{"Shared Subscription Available", p.SharedAvailable.Or(true), true},
		{"Assigned Client Identifier", p.AssignedClientID.IsSet(), false},
		{"Server Keep Alive", p.ServerKeepAlive.IsSet(), false},
		{"Session Expiry Interval", p.SessionExpiry.IsSet(), false},
		{"Reason String", p.ReasonString.IsSet(), false},
		{"Server Reference", p.ServerReference.IsSet(), false},
		{"Authentication Method", p.AuthMethod.IsSet(), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestKeepAliveIsClamped(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct {
		asked uint16
		says  uint16 // 0: nothing, what was asked holds
		holds time.Duration
	}{
		{0, 1200, 1200 * time.Second}, {1, 30, 30 * time.Second}, {29, 30, 30 * time.Second}, {30, 0, 30 * time.Second},
		{300, 0, 300 * time.Second}, {1200, 0, 1200 * time.Second}, {1201, 1200, 1200 * time.Second}, {65535, 1200, 1200 * time.Second},
	} {
		d, a := x.connack(x.name(), func(p *mqtt.Connect) { p.KeepAlive = c.asked })
		if got := a.Properties.ServerKeepAlive.Or(0); got != c.says {
			t.Errorf("keep-alive %d: Server Keep Alive is %d, want %d", c.asked, got, c.says)
		}
		if s := x.session(d.local()); s.keepAlive != c.holds {
			t.Errorf("keep-alive %d: %v holds, want %v", c.asked, s.keepAlive, c.holds)
		}
	}
}

// Who asks for no problem information gets codes alone.
func TestReasonStringsAreForThoseWhoWantThem(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", onlyOwn)
	for _, wanted := range []bool{true, false} {
		ask := func(p *mqtt.Connect) { p.Properties.RequestProblemInfo = mqtt.Some(wanted) }
		d := x.online(cert, x.name(), mqtt.V5, ask)
		d.send(publish("forbidden", nil))
		puback := await[*mqtt.Puback](d)
		d.send(subscribe("a+"))
		suback := await[*mqtt.Suback](d)
		d.hex("00 00")
		disconnect := await[*mqtt.Disconnect](d)
		refused := x.raw(cert, mqtt.V5)
		refused.connect("$no", ask)
		connack := await[*mqtt.Connack](refused)
		for name, given := range map[string]mqtt.Opt[string]{
			"PUBACK": puback.Properties.ReasonString, "SUBACK": suback.Properties.ReasonString,
			"DISCONNECT": disconnect.Properties.ReasonString, "CONNACK": connack.Properties.ReasonString,
		} {
			if given.IsSet() != wanted {
				t.Errorf("wanted %v: %s carries a reason string: %v", wanted, name, given.IsSet())
			}
		}
	}
}

// What belongs to the message is forwarded unchanged, and nothing else.
func TestPropertiesOfAMessageAreForwarded(t *testing.T) {
	x := newScene(t, Limits{})
	d, from := x.connected(x.cert, mqtt.V5), x.connected(x.cert, mqtt.V5)
	d.listen("props")
	sent := mqtt.Properties{
		PayloadFormat: mqtt.Some[byte](1), ContentType: mqtt.Some("text/plain"), ResponseTopic: mqtt.Some("a/reply"),
		CorrelationData: []byte{0, 1, 2}, User: []mqtt.UserProperty{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}},
	}
	p := publish("props", []byte("x"))
	p.Properties = sent
	p.Properties.TopicAlias = mqtt.Some[uint16](1)
	from.send(p)
	if diff := cmp.Diff(sent, await[*mqtt.Publish](d).Properties); diff != "" {
		t.Errorf("-sent +received:\n%s", diff)
	}
}

func TestNoLocalKeepsAMessageFromItsSender(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.connected(x.cert, mqtt.V5)
	d.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "mine", NoLocal: true}, {Filter: "end"}}})
	await[*mqtt.Suback](d)
	d.says("mine", []byte("own"))
	other := x.connected(x.cert, mqtt.V5)
	other.says("mine", []byte("another's"))
	other.says("end", nil)
	if got := d.messages("end"); len(got) != 1 || string(got[0].Payload) != "another's" {
		t.Errorf("got %d messages", len(got))
	}
}

// Eight aliases may be in use at a time, and changed.
func TestADeviceMayUseEightAliases(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.connected(x.cert, mqtt.V5)
	d.listen("alias/+")
	for round := range 2 {
		for i := range uint16(maxAliases) {
			topic := "alias/" + strings.Repeat(string(rune('a'+i)), round+1)
			for _, named := range []string{topic, ""} {
				p := aliased(named, i+1)
				p.QoS, p.PacketID = 0, 0
				d.send(p)
				if m := await[*mqtt.Publish](d); m.Topic != topic || m.Properties.TopicAlias.IsSet() {
					t.Fatalf("alias %d: got %q, want %q", i+1, m.Topic, topic)
				}
				d.send(&mqtt.Pingreq{})
			}
		}
	}
}

// What is sent to a device is shortened by as many aliases as it takes, at most
// eight, and by none if it does not say.
func TestTopicsAreShortenedForWhoTakesAliases(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct {
		takes uint16
		want  int
	}{{0, 0}, {3, 3}, {8, 8}, {65535, 8}} {
		d := x.online(x.cert, x.name(), mqtt.V5, func(p *mqtt.Connect) {
			if c.takes > 0 {
				p.Properties.TopicAliasMaximum = mqtt.Some(c.takes)
			}
		})
		d.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "many/+"}}})
		await[*mqtt.Suback](d)
		names := map[uint16]string{}
		from := x.connected(x.cert, mqtt.V5)
		for round := range 2 {
			for i := range 10 {
				topic := "many/" + string(rune('a'+i))
				from.says(topic, nil)
				m := await[*mqtt.Publish](d)
				alias, has := m.Properties.TopicAlias.Get()
				if has && m.Topic != "" {
					names[alias] = m.Topic
				}
				if has && names[alias] != topic || !has && m.Topic != topic || has && (m.Topic == "") != (round == 1) || has != (i < c.want) || alias > c.takes {
					t.Errorf("takes %d, round %d: %s came as %q with alias %d", c.takes, round, topic, m.Topic, alias)
				}
			}
		}
		if len(names) != c.want {
			t.Errorf("takes %d: %d aliases are in use", c.takes, len(names))
		}
	}
}
