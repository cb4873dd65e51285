package gateway

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

// listen subscribes at QoS 1, and waits until that is so.
func (d *raw) listen(filters ...string) {
	d.t.Helper()
	d.send(subscribe(filters...))
	if a := await[*mqtt.Suback](d); slices.ContainsFunc(a.Codes, mqtt.ReasonCode.Failed) {
		d.t.Fatalf("SUBSCRIBE to %q was answered %v", filters, a.Codes)
	}
}

// says publishes and waits for PUBACK.
func (d *raw) says(topic string, payload []byte) {
	d.t.Helper()
	d.send(publish(topic, payload))
	if a := await[*mqtt.Puback](d); a.Code != mqtt.Success {
		d.t.Fatalf("PUBLISH on %q was answered %v", topic, a.Code)
	}
}

func TestMessagesPassBetweenVersionsAtTheLowerQoS(t *testing.T) {
	x := newScene(t, Limits{})
	for _, from := range bothVersions {
		for _, to := range bothVersions {
			for _, c := range []struct{ published, granted, want byte }{{0, 0, 0}, {0, 1, 0}, {1, 0, 0}, {1, 1, 1}} {
				t.Run(fmt.Sprintf("%s at %d to %s at %d", from, c.published, to, c.granted), func(t *testing.T) {
					x.within(t)
					topic := "q/" + x.name()
					listener, speaker := x.connected(x.cert, to), x.connected(x.cert, from)
					listener.send(&mqtt.Subscribe{PacketID: 5, Filters: []mqtt.Subscription{{Filter: topic, QoS: c.granted}}})
					if a := await[*mqtt.Suback](listener); a.PacketID != 5 || a.Codes[0] != mqtt.ReasonCode(c.granted) {
						t.Errorf("SUBACK %+v", a)
					}
					p := &mqtt.Publish{Topic: topic, Payload: []byte("hello"), QoS: c.published}
					if c.published == 1 {
						p.PacketID = 9
					}
					if from == mqtt.V5 {
						p.Properties.ContentType = mqtt.Some("text/plain")
					}
					speaker.send(p)
					m := await[*mqtt.Publish](listener)
					kept := m.Properties.ContentType.IsSet()
					if m.Topic != topic || string(m.Payload) != "hello" || m.QoS != c.want || m.Dup || m.Retain || kept != (from == mqtt.V5 && to == mqtt.V5) {
						t.Errorf("got %+v", m)
					}
				})
			}
		}
	}
}

// A message that says it is a duplicate is a message like another.
func TestDUPIsNotInterpreted(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.connected(x.cert, mqtt.V311)
	d.listen("twice", "end")
	from := x.connected(x.cert, mqtt.V311)
	from.send(&mqtt.Publish{Topic: "twice", QoS: 1, PacketID: 3}, &mqtt.Publish{Topic: "twice", QoS: 1, PacketID: 3, Dup: true})
	for range 2 {
		if a := await[*mqtt.Puback](from); a.PacketID != 3 {
			t.Errorf("PUBACK %+v", a)
		}
	}
	from.says("end", nil)
	got := d.messages("end")
	if len(got) != 2 || got[0].Dup || got[1].Dup {
		t.Errorf("got %d messages: %+v", len(got), got)
	}
}

// AWS calls it an error; MQTT 5 allows it (3.1.4), and so do we.
func TestPacketsRightBehindCONNECTAreServed(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		d := x.raw(x.cert, v)
		connect := &mqtt.Connect{Version: v, ClientID: x.name(), CleanStart: true, KeepAlive: 60}
		d.send(connect, subscribe("early"), publish("early", []byte("bird")))
		if a, ok := d.packet().(*mqtt.Connack); !ok || a.Code != mqtt.Success {
			t.Fatalf("%s: the first packet is %+v", v, a)
		}
		if m := await[*mqtt.Publish](d); string(m.Payload) != "bird" {
			t.Errorf("%s: got %+v", v, m)
		}
	}
}

func TestWildcardsMatchAsOnAWS(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct{ filter, hears, not string }{
		{"a/#", "a/", "a"},
		{"a/#", "a/b/c", "b"},
		{"a/+", "a/b", "a/b/c"},
		{"+", "a", "/a"},
		{"#", "a/b", "$aws/rules/none/a"},
		{"+/+/+/+", "a/b/c/d", "$aws/events/x/y"},
		{"$share/group/#", "a/b", "$aws/rules/none/a"},
	} {
		t.Run(c.filter+" and "+c.not, func(t *testing.T) {
			x.within(t)
			d, from := x.connected(x.cert, mqtt.V5), x.connected(x.cert, mqtt.V5)
			end := "end/" + x.name()
			d.listen(c.filter, end)
			if !strings.HasPrefix(c.not, "$aws/events/") {
				from.says(c.not, nil)
			}
			from.says(c.hears, nil)
			from.says(end, nil)
			var topics []string
			for _, m := range d.messages(end) {
				if m.Topic != end { // which # hears too
					topics = append(topics, m.Topic)
				}
			}
			if !slices.Equal(topics, []string{c.hears}) {
				t.Errorf("heard %q", topics)
			}
		})
	}
}

// Whoever listens to everything, alone or in a group, hears no event of the
// service.
func TestEventsAreHeardByNameAlone(t *testing.T) {
	x := newScene(t, Limits{})
	for _, filter := range []string{"#", "+/#", "+/+/+/+/+", "$share/g/#", "$share/g/+/events/#"} {
		spy := x.connected(x.cert, mqtt.V5)
		end := "end/" + x.name()
		spy.listen(filter, end)
		d := x.connected(x.cert, mqtt.V5) // an event
		d.listen("sub/" + x.name())       // and another
		d.says(end, nil)
		for _, m := range spy.messages(end) {
			if strings.HasPrefix(m.Topic, "$") {
				t.Errorf("%s heard %s", filter, m.Topic)
			}
		}
	}
}

// Everything at its bound, one step from what refusals.golden refuses.
func TestWhatIsAtItsBoundPasses(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			d := x.online(x.cert, strings.Repeat("c", maxClientID), v)
			bytes256, slashes7 := strings.Repeat("t", maxTopic), "a/b/c/d/e/f/g/h"
			d.listen(bytes256, slashes7, "$share/"+strings.Repeat("g", maxGroup)+"/"+slashes7, "s3", "s4", "s5", "s6", "s7")
			for i := range maxSubscriptions - maxFilters {
				d.listen(fmt.Sprintf("f/%d", i))
			}
			d.listen("s3") // again, which is no further one
			d.says(slashes7, nil)
			d.says("$aws/rules/none/"+slashes7, nil)
			d.says("$aws/rules/none/"+bytes256, nil)
			d.says(bytes256, make([]byte, 131_072))
			d.send(&mqtt.Unsubscribe{PacketID: 3, Filters: []string{bytes256, slashes7, "s3", "s4", "s5", "s6", "s7", "never"}})
			if a := await[*mqtt.Unsuback](d); v == mqtt.V5 && !slices.Equal(a.Codes, make([]mqtt.ReasonCode, 8)) {
				t.Errorf("UNSUBACK %v", a.Codes)
			}
			for i := range 7 { // there is room again
				d.listen(fmt.Sprintf("again/%d", i))
			}
			if !d.alive() {
				t.Error("the connection ended")
			}
		})
	}
	t.Run("a packet of 149,504 bytes", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.cert, mqtt.V5)
		p := publish("a", make([]byte, 131_072))
		p.Properties.User = []mqtt.UserProperty{{Key: "k", Value: strings.Repeat("v", maxUser-1)}}
		p.Properties.CorrelationData = make([]byte, maxCorrelation)
		p.Properties.ContentType = mqtt.Some(strings.Repeat("c", maxContentType))
		p.Properties.ResponseTopic = mqtt.Some(strings.Repeat("r", maxTopic))
		if b, err := mqtt.Append(nil, p, mqtt.V5); err != nil || len(b) > 149_504 {
			t.Fatalf("the largest message has %d bytes: %v", len(b), err)
		}
		d.send(p)
		if a := await[*mqtt.Puback](d); a.Code != mqtt.Success {
			t.Errorf("PUBACK %v", a.Code)
		}
	})
}

// Every PUBLISH is answered before the next is read, so that no device has
// more than one unacknowledged as we see it, however many it sends.
func TestABurstIsAcknowledgedWhole(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		d := x.connected(x.cert, v)
		var burst []byte
		for i := range 3 * maxInflight {
			var err error
			burst, err = mqtt.Append(burst, &mqtt.Publish{Topic: "burst", QoS: 1, PacketID: uint16(i + 1)}, v)
			must(t, err)
		}
		d.bytes(burst)
		for i := range 3 * maxInflight {
			if a := await[*mqtt.Puback](d); a.PacketID != uint16(i+1) || a.Code != mqtt.Success {
				t.Fatalf("%s: PUBACK %+v instead of %d", v, a, i+1)
			}
		}
	}
}

// A device that takes n messages unacknowledged gets the next when it has
// acknowledged one; nobody gets more than AWS's hundred.
func TestMessagesWaitForAcknowledgements(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct {
		name    string
		version mqtt.Version
		asks    uint16
		window  int
	}{
		{"MQTT 5, Receive Maximum 2", mqtt.V5, 2, 2},
		{"MQTT 5, Receive Maximum 1000", mqtt.V5, 1000, maxInflight},
		{"MQTT 5, none", mqtt.V5, 0, maxInflight},
		{"MQTT 3.1.1", mqtt.V311, 0, maxInflight},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.within(t)
			d := x.online(x.cert, x.name(), c.version, func(p *mqtt.Connect) {
				if c.asks > 0 {
					p.Properties.ReceiveMaximum = mqtt.Some(c.asks)
				}
			})
			topic := "w/" + x.name()
			d.listen(topic)
			from := x.connected(x.cert, mqtt.V5)
			for range c.window + 1 {
				from.says(topic, nil)
			}
			d.send(&mqtt.Pingreq{}) // its answer comes behind whatever was sent
			var ids []uint16
			for {
				p := d.packet()
				m, ok := p.(*mqtt.Publish)
				if !ok {
					break
				}
				ids = append(ids, m.PacketID)
			}
			if len(ids) != c.window || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != c.window {
				t.Fatalf("%d messages came unacknowledged, with ids %v", len(ids), ids)
			}
			d.send(&mqtt.Puback{PacketID: ids[0]})
			await[*mqtt.Publish](d)
		})
	}
}

// The policy's resource of a shared subscription is the whole filter.
func TestASharedSubscriptionIsJudgedWhole(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Allow","Action":["iot:Connect","iot:Receive"],"Resource":"*"},
	 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/$share/mine/dt/*"}]}`)
	d := x.connected(cert, mqtt.V5)
	d.send(subscribe("$share/mine/dt/a", "$share/other/dt/a", "dt/a"))
	if a := await[*mqtt.Suback](d); !slices.Equal(a.Codes, []mqtt.ReasonCode{mqtt.GrantedQoS1, mqtt.NotAuthorized, mqtt.NotAuthorized}) {
		t.Errorf("SUBACK %v", a.Codes)
	}
}

// An id that the server gives is judged as any other.
func TestAnAssignedClientIDIsJudged(t *testing.T) {
	x := newScene(t, Limits{})
	allowed, _ := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/$GEN/*"}]}`)
	denied, _ := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/dev-*"}]}`)
	for _, v := range bothVersions {
		x.online(allowed, "", v)
		d := x.raw(denied, v)
		d.connect("")
		if saw := d.end(); saw != "socket closed" && !strings.HasPrefix(saw, "CONNACK 0x87") {
			t.Errorf("%s: the device saw %s", v, saw)
		}
	}
}

func TestAPayloadIsAnyBytes(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.connected(x.cert, mqtt.V311)
	d.listen("bytes")
	for _, payload := range [][]byte{nil, {0}, bytes.Repeat([]byte{0xff, 0}, 3000)} {
		d.send(publish("bytes", payload))
		if m := await[*mqtt.Publish](d); !bytes.Equal(m.Payload, payload) {
			t.Errorf("%d bytes became %d", len(payload), len(m.Payload))
		}
	}
}
