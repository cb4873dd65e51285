package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// direct is a direct message; one of QoS 1 is waited for as long as a test may
// take.
func direct(clientID string, qos byte, payload string) *Direct {
	return &Direct{ClientID: clientID, Message: &mqtt.Publish{Topic: "dt/direct", QoS: qos, Payload: []byte(payload)}, Wait: patience}
}

// wantFault says that err is of the kind, with the text in its sentence.
func wantFault(t testing.TB, err error, k fault.Kind, text string) {
	t.Helper()
	if !fault.Is(err, k) || !strings.Contains(sentence(err), text) {
		t.Errorf("got %v %v, want %v …%s…", fault.Of(err), err, k, text)
	}
}

// sent sends a direct message, and gives its end when there is one.
func (r *rig) sent(ctx context.Context, d *Direct) <-chan error {
	end := make(chan error, 1)
	go func() { end <- r.gateway.SendDirect(ctx, arn.Default, d) }()
	return end
}

// Over HTTPS, by certificate, to a device that has subscribed to nothing.
func TestADirectMessageArrives(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	other := x.connected(x.cert, mqtt.V5)
	other.listen("#")
	ask := x.visit(x.https, x.cert)
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name() + "/pump ü"
			d := x.online(x.cert, name, v)
			to := "/connections/" + url.PathEscape(name) + "/messages?topic=dt%2Fpump%2F%C3%BC&contentType=application%2Fjson&responseTopic=dt%2Fanswers&retain=true&messageExpiry=60"
			properties := []string{"x-amz-mqtt5-user-properties: " + base64.StdEncoding.EncodeToString([]byte(`[{"b":"2"},{"a":"1"}]`)),
				"x-amz-mqtt5-payload-format-indicator: UTF8_DATA", "x-amz-mqtt5-correlation-data: AAEC"}
			whole := func(m *mqtt.Publish, qos byte) {
				t.Helper()
				pr := &m.Properties
				if m.Topic != "dt/pump/ü" || string(m.Payload) != `{"a":1}` || m.QoS != qos || m.Retain || m.Dup || pr.MessageExpiry.IsSet() {
					t.Errorf("got %+v", m)
				}
				if v == mqtt.V5 && (pr.ContentType.Or("") != "application/json" || pr.ResponseTopic.Or("") != "dt/answers" || pr.PayloadFormat.Or(0) != 1 ||
					string(pr.CorrelationData) != "\x00\x01\x02" || len(pr.User) != 2 || pr.User[0].Key != "b") {
					t.Errorf("its properties are %+v", pr)
				}
			}
			if p := ask("POST", to, `{"a":1}`, properties...); p.String() != "200  OK" || p.traceID == "" || p.header.Get("x-amzn-RequestId") != p.traceID {
				t.Errorf("got %s, trace id %q", p, p.traceID)
			}
			whole(await[*mqtt.Publish](d), 0)

			answered := make(chan *reply, 1)
			go func() { answered <- ask("POST", to+"&confirmation=true&timeout=15", `{"a":1}`, properties...) }()
			m := await[*mqtt.Publish](d)
			whole(m, 1)
			select {
			case p := <-answered:
				t.Errorf("answered before PUBACK: %s", p)
			default:
			}
			d.send(&mqtt.Puback{PacketID: m.PacketID})
			if p := <-answered; p.String() != "200  OK" || !p.keepsOpen {
				t.Errorf("confirmed: %s", p)
			}
			if p := ask("POST", to+"&confirmation=false&timeout=99", ""); p.String() != "200  OK" {
				t.Errorf("without payload, and a timeout that does not count: %s", p)
			}
			if m := await[*mqtt.Publish](d); len(m.Payload) != 0 || m.QoS != 0 {
				t.Errorf("got %+v", m)
			}
			late := x.connected(x.cert, v)
			if late.listen("dt/pump/ü"); late.saw() != "the connection stays" {
				t.Errorf("something is retained: %s", late.saw())
			}
		})
	}
	if saw := other.saw(); saw != "the connection stays" {
		t.Errorf("who listens to everything saw %s", saw)
	}
	if len(heard) > 0 {
		t.Errorf("the rules heard %+v", <-heard)
	}
}

// A PUBACK confirms whatever its code is, and also if DISCONNECT comes right
// behind it.
func TestAPUBACKConfirms(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		name := x.name()
		d := x.online(x.cert, name, v)
		end := x.sent(t.Context(), direct(name, 1, "a"))
		refuses := &mqtt.Puback{PacketID: await[*mqtt.Publish](d).PacketID}
		if v == mqtt.V5 {
			refuses.Code = mqtt.ImplementationSpecificError
		}
		d.send(&mqtt.Puback{PacketID: refuses.PacketID + 1}, refuses)
		must(t, <-end)
		end = x.sent(t.Context(), direct(name, 1, "b"))
		d.send(&mqtt.Puback{PacketID: await[*mqtt.Publish](d).PacketID}, &mqtt.Disconnect{})
		must(t, <-end)
	}
}

func TestADirectMessageThatNobodyConfirms(t *testing.T) {
	x := newScene(t, Limits{})
	const text = "The delivery confirmation was not received"
	for _, v := range bothVersions {
		t.Run("in time, and later it does no harm, "+v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name()
			d := x.online(x.cert, name, v)
			hurried := direct(name, 1, "a")
			hurried.Wait = time.Millisecond
			wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, hurried), fault.Unconfirmed, text+`: client id "`+name+`" did not acknowledge the message within 1ms`)
			first := await[*mqtt.Publish](d)
			end := x.sent(t.Context(), direct(name, 1, "b"))
			second := await[*mqtt.Publish](d)
			d.send(&mqtt.Puback{PacketID: first.PacketID}, &mqtt.Puback{PacketID: second.PacketID}, &mqtt.Puback{PacketID: second.PacketID})
			must(t, <-end)
			if first.PacketID == second.PacketID || !d.alive() {
				t.Errorf("the packet ids are %d and %d", first.PacketID, second.PacketID)
			}
		})
		for how, ends := range map[string]func(*raw, string){
			"before the device is lost":        func(d *raw, _ string) { d.tcp.Close() },
			"before the device says good-bye":  func(d *raw, _ string) { d.send(&mqtt.Disconnect{}) },
			"before the device breaks a rule":  func(d *raw, _ string) { d.hex("00 00") },
			"before another takes its place":   func(d *raw, name string) { x.online(x.cert, name, v) },
			"before an operator cuts the line": func(_ *raw, name string) { _ = x.gateway.Disconnect(t.Context(), arn.Default, name, false, false) },
		} {
			t.Run(how+", "+v.String(), func(t *testing.T) {
				x.within(t)
				name := x.name()
				d := x.online(x.cert, name, v)
				end := x.sent(t.Context(), direct(name, 1, "a"))
				await[*mqtt.Publish](d)
				ends(d, name)
				wantFault(t, <-end, fault.Unconfirmed, text+": the connection of client id")
			})
		}
		t.Run("before its sender is gone, "+v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name()
			d := x.online(x.cert, name, v)
			ctx, gone := context.WithCancel(t.Context())
			end := x.sent(ctx, direct(name, 1, "a"))
			await[*mqtt.Publish](d)
			gone()
			wantFault(t, <-end, fault.Unconfirmed, text+": the request ended")
			if !d.alive() {
				t.Error("the device was cut")
			}
		})
	}
	t.Run("and over HTTPS", func(t *testing.T) {
		x.within(t)
		name := x.name()
		d := x.online(x.cert, name, mqtt.V5)
		p := x.ask(x.https, x.cert, "POST", "/connections/"+name+"/messages?topic=a&confirmation=true&timeout=1", "")
		if p.status != http.StatusGatewayTimeout || p.header.Get("x-amzn-ErrorType") != "GatewayTimeoutException" || !strings.Contains(p.message, text) {
			t.Errorf("got %s", p)
		}
		await[*mqtt.Publish](d)
	})
	t.Run("before the server ends", func(t *testing.T) {
		x.within(t)
		name := x.name()
		d := x.online(x.cert, name, mqtt.V5)
		ask, answered := x.visit(x.https, x.cert), make(chan *reply, 1)
		go func() {
			answered <- ask("POST", "/connections/"+name+"/messages?topic=a&confirmation=true&timeout=15", "")
		}()
		end := x.sent(t.Context(), direct(name, 1, "a"))
		await[*mqtt.Publish](d)
		await[*mqtt.Publish](d)
		x.gateway.Close()
		wantFault(t, <-end, fault.Unconfirmed, text)
		if p := <-answered; p.status != http.StatusGatewayTimeout {
			t.Errorf("over HTTPS: %s", p)
		}
		wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 1, "a")), fault.Missing, name)
	})
}

// Nobody who is away gets a direct message, and nobody who comes back.
func TestADirectMessageIsForNow(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name()
			wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, "a")), fault.Missing, `There is no connection with client id "`+name+`", and no stored session.`)
			d := x.online(x.cert, name, v, lasts)
			wantFault(t, x.gateway.SendDirect(t.Context(), x.other, direct(name, 0, "a")), fault.Missing, name)
			end := x.sent(t.Context(), direct(name, 1, "unacknowledged"))
			await[*mqtt.Publish](d)
			d.leaves()
			wantFault(t, <-end, fault.Unconfirmed, name)
			for qos := range byte(2) {
				wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, qos, "away")), fault.Missing, "The target client ID is not connected, but it has an active persistent session")
			}
			again, ack := x.opens(x.cert, name, v, lasts)
			if !ack.SessionPresent || again.saw() != "the connection stays" {
				t.Errorf("it came back to %+v and saw %s", ack, again.saw())
			}
		})
	}
}

func TestADirectMessageWaitsForNoRoom(t *testing.T) {
	x := newScene(t, Limits{Queue: 400 << 10})
	t.Run("in the window", func(t *testing.T) {
		x.within(t)
		name := x.name()
		d := x.online(x.cert, name, mqtt.V5, func(p *mqtt.Connect) { p.Properties.ReceiveMaximum = mqtt.Some(uint16(1)) })
		end := x.sent(t.Context(), direct(name, 1, "first"))
		m := await[*mqtt.Publish](d)
		wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 1, "second")), fault.Throttled, "as many unacknowledged messages as it takes at a time, 1.")
		must(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, "unconfirmed")))
		if m := await[*mqtt.Publish](d); string(m.Payload) != "unconfirmed" {
			t.Errorf("got %q", m.Payload)
		}
		d.send(&mqtt.Puback{PacketID: m.PacketID})
		must(t, <-end)
		end = x.sent(t.Context(), direct(name, 1, "third"))
		m = await[*mqtt.Publish](d)
		if d.send(&mqtt.Puback{PacketID: m.PacketID}); string(m.Payload) != "third" {
			t.Errorf("got %q", m.Payload)
		}
		must(t, <-end)
	})
	t.Run("in the packets that the device takes", func(t *testing.T) {
		x.within(t)
		name := x.name()
		d := x.online(x.cert, name, mqtt.V5, func(p *mqtt.Connect) { p.Properties.MaximumPacketSize = mqtt.Some(uint32(minClientPacket)) })
		for qos := range byte(2) {
			wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, qos, strings.Repeat("x", minClientPacket))), fault.TooLarge, "packets of at most 512 bytes")
		}
		if saw := d.saw(); saw != "the connection stays" {
			t.Errorf("the device saw %s", saw)
		}
	})
	t.Run("with a device that does not read, and goes on", func(t *testing.T) {
		x.within(t)
		name := x.name()
		d := x.online(x.cert, name, mqtt.V311)
		large := strings.Repeat("x", 128<<10)
		n, err := 0, error(nil)
		for ; err == nil; n++ {
			err = x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, large))
		}
		wantFault(t, err, fault.Throttled, "reads too slowly")
		for range n - 1 {
			if m := await[*mqtt.Publish](d); !bytes.Equal(m.Payload, []byte(large)) {
				t.Fatalf("%d bytes arrived", len(m.Payload))
			}
		}
		if saw := d.saw(); saw != "the connection stays" {
			t.Errorf("the device saw %s", saw)
		}
	})
}

// A connection is found by its client id a moment before CONNACK is queued.
func TestNoDirectMessageComesBeforeCONNACK(t *testing.T) {
	x := newScene(t, Limits{})
	ours, theirs := net.Pipe()
	defer ours.Close()
	s := x.gateway.session(identity{}, pipe{theirs}, theirs, netip.MustParseAddr("192.0.2.1"), "localhost", nil)
	s.version, s.window, s.clientID = mqtt.V5, maxInflight, "early"
	for qos := range byte(2) {
		wantFault(t, s.deliverNow(&mqtt.Publish{Topic: "a", QoS: qos}, outgoing{}), fault.Missing, "early")
	}
	if len(s.out.buf) > 0 || len(s.out.inflight) > 0 {
		t.Error("it was queued all the same")
	}
}

// A policy of its own decides who may send to whom, on which topic; the
// receiver's, what it may get.
func TestWhoMaySendADirectMessage(t *testing.T) {
	x := newScene(t, Limits{})
	const deaf = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},{"Sid":"hears","Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/commands/*"}]}`
	receiver, _ := x.device("", deaf)
	d := x.online(receiver, "pump", mqtt.V5)
	sender, id := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:SendDirectMessage","Resource":"arn:aws:iot:*:*:client/pump",
	 "Condition":{"StringLike":{"iot:Topic":["commands/*","secrets/${iot:CertificateId}"]}}}]}`)
	ask := x.visit(x.https, sender)
	to := func(client, topic string) string {
		return "/connections/" + client + "/messages?topic=" + url.QueryEscape(topic)
	}
	for _, c := range []struct{ what, target, want string }{
		{"as its policy says", to("pump", "commands/reboot"), "200  OK"},
		{"on another topic", to("pump", "other"), "403 ForbiddenException: No statement allows iot:SendDirectMessage on arn:aws:iot:us-east-1:000000000000:client/pump. Statement[0] of policy "},
		{"with the topic twice, of which the first counts", to("pump", "other") + "&topic=commands%2Freboot", "403 ForbiddenException: No statement allows"},
		{"to another client, whether or not it is there", to("lamp", "commands/reboot"), "403 ForbiddenException: No statement allows iot:SendDirectMessage on arn:aws:iot:us-east-1:000000000000:client/lamp."},
		{"on a topic that the receiver may not receive", to("pump", "secrets/"+string(id)), `403 ForbiddenException: Authorization failed for the target client: the policies of client id "pump" do not let it receive on topic "secrets/`},
	} {
		t.Run(c.what, func(t *testing.T) {
			x.within(t)
			if p := ask("POST", c.target, "x"); !strings.HasPrefix(p.String(), c.want) {
				t.Errorf("got %s", p)
			}
		})
	}
	if m := await[*mqtt.Publish](d); m.Topic != "commands/reboot" {
		t.Errorf("got %s", m.Topic)
	}
	if saw := d.saw(); saw != "the connection stays" {
		t.Errorf("it got %s", saw)
	}
	x.journal.await(t, "of the receiver", func(a *attempts.Attempt) bool {
		return a.Remote == d.local() && strings.Contains(a.Reason, "No statement allows iot:Receive on") && strings.Contains(a.Reason, "(hears)")
	})
	t.Run("a policy that names the topic alone is for direct messages alone", func(t *testing.T) {
		x.within(t)
		if p := ask("POST", "/topics/commands/reboot", "x"); p.status != http.StatusForbidden {
			t.Errorf("got %s", p)
		}
	})
	t.Run("an authorizer's principal by its documents", func(t *testing.T) {
		x.within(t)
		x.authorizer("door", false)
		x.judge.says("good", "bearer7", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:SendDirectMessage","Resource":"arn:aws:iot:*:*:client/*","Condition":{"StringEquals":{"iot:Topic":"commands/a"}}}]}`)
		send := x.visit(x.alpn, tls.Certificate{})
		shows := []string{"x-amz-customauthorizer-name: door", "password: good"}
		if p := send("POST", to("pump", "commands/a"), "x", shows...); p.status != http.StatusOK {
			t.Errorf("got %s", p)
		}
		if p := send("POST", to("pump", "commands/b"), "x", shows...); p.status != http.StatusForbidden {
			t.Errorf("got %s", p)
		}
		if m := await[*mqtt.Publish](d); m.Topic != "commands/a" {
			t.Errorf("got %s", m.Topic)
		}
	})
}

func TestTheQuotasOfDirectMessages(t *testing.T) {
	x := newPaced(t)
	name := x.name()
	d := x.online(x.cert, name, mqtt.V5)
	for range publishesPerConnection {
		must(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, "x")))
	}
	for qos := range byte(2) {
		wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, qos, "x")), fault.Throttled, "100 to a connection")
	}
	if d.saw(); len(d.sees) != publishesPerConnection {
		t.Errorf("%d messages arrived", len(d.sees))
	}
	x.advance(time.Second)
	must(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, "x")))
	a := x.gateway.paces.account(arn.Default)
	a.mu.Lock()
	a.directs = bucket{at: x.now()}
	a.mu.Unlock()
	wantFault(t, x.gateway.SendDirect(t.Context(), arn.Default, direct(name, 0, "x")), fault.Throttled, "20000 direct messages a second")
}

// Each sender hears of its own message. Some are impatient; none waits for ever,
// and the window is free again when all was acknowledged.
func TestManySendToOneDevice(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			name := x.name()
			d := x.online(x.cert, name, v)
			const senders, each = 8, 40
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					for i := range each {
						m := direct(name, 1, fmt.Sprint("keep ", s))
						if impatient := i%2 == 0; impatient {
							m.Wait = time.Duration(s*i) * time.Microsecond
						}
						if i%8 == 3 {
							m = direct(name, 1, "drop")
							m.Wait = time.Millisecond
						}
						err := x.gateway.SendDirect(t.Context(), arn.Default, m)
						if drop := string(m.Message.Payload) == "drop"; drop && err == nil {
							t.Error("a message was confirmed that was not acknowledged")
						} else if err != nil && (m.Wait == patience || !fault.Is(err, fault.Unconfirmed)) {
							t.Error(err)
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { all.Wait(); close(done) }()
			var dropped []uint16
			for range senders * each {
				m := await[*mqtt.Publish](d)
				if string(m.Payload) == "drop" {
					dropped = append(dropped, m.PacketID)
					continue
				}
				d.send(&mqtt.Puback{PacketID: m.PacketID})
			}
			<-done
			for _, id := range dropped {
				d.send(&mqtt.Puback{PacketID: id})
			}
			if !d.alive() {
				t.Fatal("the device was cut")
			}
			s := x.gateway.live(clientKey{arn.Default, name})
			s.out.mu.Lock()
			defer s.out.mu.Unlock()
			if n := len(s.out.inflight); n != 0 {
				t.Errorf("%d messages are in flight", n)
			}
		})
	}
}

func FuzzParseDirect(f *testing.F) {
	f.Add("lamp", "topic=a&confirmation=true&timeout=15&contentType=text/plain", `[{"a":"1"}]`)
	f.Add("$x", "topic=a&confirmation=yes", `[{"a":1},[]]`)
	f.Add("é", "confirmation=true&timeout=16", `{}`)
	f.Fuzz(func(t *testing.T, clientID, query, user string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		h := http.Header{}
		h.Set("x-amz-mqtt5-user-properties", base64.StdEncoding.EncodeToString([]byte(user)))
		d, err := ParseDirect(clientID, q, h, nil)
		if err != nil {
			if !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%v", err)
			}
			return
		}
		if m := d.Message; m.QoS > 1 || m.Retain || m.Properties.MessageExpiry.IsSet() || (m.QoS == 1) != (d.Wait > 0) || d.Wait > maxWait*time.Second {
			t.Errorf("%q became %+v, %+v", query, d, m)
		}
	})
}
