package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// leaves is a CONNECT with a will at QoS 1.
func leaves(topic, payload string) func(*mqtt.Connect) {
	return will(mqtt.Will{Topic: topic, Payload: []byte(payload), QoS: 1})
}

// A deathwatch hears wills, and then of the end of the connection: the event
// comes when the will is settled.
type deathwatch struct {
	*raw
	x *scene
}

func (x *scene) deathwatch(filters ...string) deathwatch {
	x.t.Helper()
	d := x.online(x.cert, x.name(), mqtt.V5)
	d.gets(subscribe(append(filters, "$aws/events/presence/disconnected/dying")...))
	return deathwatch{d, x}
}

// hears gives the messages before the event, and the event's reason.
func (d deathwatch) hears() string {
	d.t.Helper()
	var got []*mqtt.Publish
	for {
		p := await[*mqtt.Publish](d.raw)
		if !strings.HasPrefix(p.Topic, onDisconnected) {
			got = append(got, p)
			continue
		}
		_, reason, _ := strings.Cut(string(p.Payload), `"disconnectReason":"`)
		reason, _, _ = strings.Cut(reason, `"`)
		return strings.TrimPrefix(payloads(got)+", ", ", ") + reason
	}
}

// willOf gives the will of the certificate's one connection.
func (x *scene) willOf(id arn.CertID) *lastWill {
	x.t.Helper()
	s := x.sessionOf(id)
	s.will.mu.Lock()
	defer s.will.mu.Unlock()
	return s.will.will
}

// stored says whether the store holds the will; it does not afterwards.
func (x *scene) stored(w *lastWill) (was bool) {
	x.t.Helper()
	x.update(func(ctx context.Context, tx store.Tx) (err error) {
		was, err = tx.DropWill(ctx, w.Tenant, w.ClientID, w.Connection)
		return err
	})
	return was
}

// lost ends the connection without DISCONNECT.
func (d *raw) lost() { _ = d.tcp.Close() }

func TestAWillGoesOutHoweverTheConnectionEnds(t *testing.T) {
	x := newScene(t, Limits{KeepAlive: time.Second})
	cert, id := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	for _, v := range bothVersions {
		var heir *raw
		for _, c := range []struct {
			say, reason string
			end         func(d *raw)
		}{
			{"the connection is lost", "CONNECTION_LOST", (*raw).lost},
			{"the device breaks a rule", "CLIENT_ERROR", func(d *raw) { d.send(&mqtt.Pingresp{}) }},
			{"the device is silent", "MQTT_KEEP_ALIVE_TIMEOUT", func(d *raw) { d.end() }},
			{"the client id is taken over", "DUPLICATE_CLIENTID", func(*raw) { heir = x.online(x.cert, "dying", v) }},
			{"the server ends it", "SERVER_INITIATED_DISCONNECT", func(*raw) { x.sessionOf(id).end(mqtt.AdministrativeAction, "Enough.") }},
		} {
			t.Run(v.String()+": "+c.say, func(t *testing.T) {
				x.within(t)
				d := x.online(cert, "dying", v, leaves("gone/dying", "bye"), func(p *mqtt.Connect) {
					if c.reason == "MQTT_KEEP_ALIVE_TIMEOUT" { // the others do not get there, however slow the machine
						p.KeepAlive = 1
					}
				})
				w := x.willOf(id)
				c.end(d)
				if got, want := watch.hears(), "gone/dying=bye 1, "+c.reason; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if c.reason == "DUPLICATE_CLIENTID" {
					heir.send(&mqtt.Disconnect{})
					watch.hears()
				}
				if x.stored(w) {
					t.Error("it is stored still, and would go out again")
				}
			})
		}
	}
}

func TestADisconnectAndItsWill(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	for _, c := range []struct {
		v    mqtt.Version
		code mqtt.ReasonCode
		want string
	}{
		{mqtt.V311, mqtt.Success, "CLIENT_INITIATED_DISCONNECT"},
		{mqtt.V5, mqtt.Success, "CLIENT_INITIATED_DISCONNECT"},
		{mqtt.V5, mqtt.DisconnectWithWill, "gone/dying=bye 1, CLIENT_INITIATED_DISCONNECT"},
	} {
		d := x.online(cert, "dying", c.v, leaves("gone/dying", "bye"))
		w := x.willOf(id)
		d.send(&mqtt.Disconnect{Code: c.code})
		if got := watch.hears(); got != c.want {
			t.Errorf("%v, code 0x%02X: got %q, want %q", c.v, byte(c.code), got, c.want)
		}
		if x.stored(w) {
			t.Errorf("%v, code 0x%02X: it is stored still", c.v, byte(c.code))
		}
	}
}

func TestAWillCarriesWhatItWasGiven(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	w := mqtt.Will{Topic: "gone/dying", Payload: []byte("bye"), Retain: true, Properties: mqtt.Properties{
		ContentType: mqtt.Some("text/plain"), ResponseTopic: mqtt.Some("back"), CorrelationData: []byte("c"),
		PayloadFormat: mqtt.Some(byte(1)), User: []mqtt.UserProperty{{Key: "k", Value: "v"}},
	}}
	x.online(cert, "dying", mqtt.V5, will(w)).lost()
	p := await[*mqtt.Publish](watch.raw)
	if pr := p.Properties; p.QoS != 0 || pr.ContentType.Or("") != "text/plain" || pr.ResponseTopic.Or("") != "back" || string(pr.CorrelationData) != "c" || pr.PayloadFormat.Or(0) != 1 || len(pr.User) != 1 {
		t.Errorf("got %+v", p)
	}
	watch.hears()
	if got := payloads(watch.gets(subscribe("gone/dying"))); got != "gone/dying=bye r0" {
		t.Errorf("retained is %q", got)
	}
}

// Between CONNECT and the end of the connection what decides may change. The
// gateway may not have heard of it yet: it reads anew.
func TestAWillIsJudgedAgainWhenItGoesOut(t *testing.T) {
	x := newScene(t, Limits{})
	detached := func(document string) func(arn.CertID) {
		return func(id arn.CertID) { x.update(detach(document, id)) }
	}
	for _, c := range []struct {
		say, why string
		change   func(arn.CertID)
	}{
		{"its certificate was revoked", "is REVOKED", func(id arn.CertID) { x.setStatus(id, certs.Revoked) }},
		{"its certificate is INACTIVE", "is INACTIVE", func(id arn.CertID) { x.setStatus(id, certs.Inactive) }},
		{"its policy was detached", "No statement allows iot:Publish on", detached(onlyGone)},
		{"it may not retain any more", "No statement allows iot:RetainPublish on", detached(onlyRetain)},
		{"its account was switched off", "Account 000000000000 is switched off", func(arn.CertID) {
			x.switched(true)
			x.t.Cleanup(func() { x.switched(false) })
		}},
	} {
		t.Run(c.say, func(t *testing.T) {
			x.within(t)
			cert, id := x.device("", onlyConnect, onlyGone, onlyRetain)
			d := x.online(cert, "dying", mqtt.V5, will(mqtt.Will{Topic: "gone/dying", QoS: 1, Retain: true, Payload: []byte("bye")}))
			w := x.willOf(id)
			c.change(id)
			d.lost()
			said := ""
			for _, s := range x.whole(d).Steps {
				if s.Refused && s.Name == "will" {
					said = s.Text
				}
			}
			if !strings.HasPrefix(said, `The will on "gone/dying" was not published. `) || !strings.Contains(said, c.why) {
				t.Errorf("the attempt says %q", said)
			}
			if x.stored(w) {
				t.Error("it is stored still")
			}
			if n := x.retained(); n != 0 {
				t.Errorf("%d messages are retained", n)
			}
		})
	}
}

const (
	onlyGone   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/gone/*"}]}`
	onlyRetain = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:RetainPublish","Resource":"*"}]}`
)

// switched switches the default account off or on again.
func (x *scene) switched(off bool) {
	x.t.Helper()
	x.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Set(ctx, tx, arn.Default, tenants.Change{Disabled: &off}, x.now())
		return err
	})
}

func TestWillsOnReservedTopics(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 16)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	cert, id := x.device("", allowAll)
	for _, topic := range []string{"$aws/things/dying/shadow/update", "$aws/things/dying/shadow/name/n/update", "$aws/rules/r/gone/dying"} {
		x.online(cert, "dying", mqtt.V311, leaves(topic, "{}")).lost()
		m := <-heard
		if m.Topic != topic || m.ClientID != "dying" || m.Principal != string(id) {
			t.Errorf("on %s rules heard %+v", topic, m)
		}
	}
	for _, topic := range []string{"$aws/events/presence/connected/dying", "$aws/certificates/create/json", "$aws/things/dying/shadow/get", "$aws/things/dying/jobs/start-next", "$own"} {
		for v, want := range map[mqtt.Version]string{mqtt.V311: "socket closed", mqtt.V5: "CONNACK 0x90"} {
			d := x.raw(cert, v)
			d.connect("dying", leaves(topic, "{}"))
			if saw := d.end(); !strings.HasPrefix(saw, want) || v == mqtt.V5 && !strings.Contains(saw, topic) {
				t.Errorf("%v, will on %s: %s", v, topic, saw)
			}
		}
	}
}

func TestAConnectionWhoseWillCannotBeStoredIsRefused(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	x.store.full.Store(true)
	d := x.raw(cert, mqtt.V5)
	d.connect("dying", leaves("gone/dying", "bye"))
	if saw := d.end(); !strings.HasPrefix(saw, "CONNACK 0x80") {
		t.Errorf("with a will: %s", saw)
	}
	x.online(cert, "dying", mqtt.V5) // without a will nothing is written
}

// A will that meets a store which fails waits, and goes out once.
func TestAWillOutlivesAFailureOfTheStore(t *testing.T) {
	x := newScene(t, Limits{})
	x.tend()
	cert, id := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	d := x.online(cert, "dying", mqtt.V5, leaves("gone/dying", "bye"))
	w := x.willOf(id)
	x.store.broken.Store(true)
	d.lost()
	if got := watch.hears(); got != "CONNECTION_LOST" {
		t.Errorf("got %q", got)
	}
	x.store.broken.Store(false)
	x.advance(willRetry)
	if p := await[*mqtt.Publish](watch.raw); payloads([]*mqtt.Publish{p}) != "gone/dying=bye 1" {
		t.Errorf("got %+v", p)
	}
	again := x.online(cert, "dying", mqtt.V5)
	again.send(&mqtt.Disconnect{})
	if got := watch.hears(); got != "CLIENT_INITIATED_DISCONNECT" {
		t.Errorf("it went out twice: %q", got)
	}
	if x.stored(w) {
		t.Error("it is stored still")
	}
}

// tend runs what no connection does.
func (r *rig) tend() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.gateway.Tend(ctx) }()
	r.t.Cleanup(func() { stop(); <-done })
}

func TestDeleteConnectionAndTheWill(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	for silent, want := range map[bool]string{false: "gone/dying=bye 1, API_INITIATED_DISCONNECT", true: "API_INITIATED_DISCONNECT"} {
		d := x.online(cert, "dying", mqtt.V5, leaves("gone/dying", "bye"))
		w := x.willOf(id)
		must(t, x.gateway.Disconnect(t.Context(), arn.Default, "dying", false, silent))
		if saw := d.end(); !strings.HasPrefix(saw, "DISCONNECT 0x98") {
			t.Errorf("the device saw %s", saw)
		}
		if got := watch.hears(); got != want {
			t.Errorf("preventWillMessage=%v: got %q, want %q", silent, got, want)
		}
		if x.stored(w) {
			t.Errorf("preventWillMessage=%v: it is stored still", silent)
		}
	}
}

func TestADepartedConnectionIsRememberedForAWhile(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.online(x.cert, "leaver", mqtt.V5)
	d.send(&mqtt.Disconnect{})
	d.end()
	about := func() string {
		c, err := x.gateway.Connection(arn.Default, "leaver")
		if err != nil {
			return sentence(err)
		}
		return c.Reason
	}
	if got := about(); got != "CLIENT_INITIATED_DISCONNECT" {
		t.Errorf("got %q", got)
	}
	if _, err := x.gateway.Connection(x.other, "leaver"); err == nil {
		t.Error("another account sees it")
	}
	x.advance(departedFor)
	if got := about(); got != `There is no connection with client id "leaver", and there was none in the last 30 minutes.` {
		t.Errorf("after half an hour: %q", got)
	}
}

// delayed asks for a session that outlives its connection, and its will for a
// delay.
func delayed(expiry, delay uint32, clean bool) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) {
		p.CleanStart = clean
		p.Properties.SessionExpiry = mqtt.Some(expiry)
		p.Will = &mqtt.Will{Topic: "gone/dying", Payload: []byte("bye"), QoS: 1}
		p.Will.Properties.WillDelay = mqtt.Some(delay)
	}
}

func TestWillDelay(t *testing.T) {
	x := newScene(t, Limits{})
	x.tend()
	cert, id := x.device("", allowAll)
	watch := x.deathwatch("gone/+")
	dies := func(expiry, delay uint32) *lastWill {
		t.Helper()
		d := x.online(cert, "dying", mqtt.V5, delayed(expiry, delay, true))
		w := x.willOf(id)
		d.lost()
		return w
	}
	hears := func(say, want string) {
		t.Helper()
		if got := watch.hears(); got != want {
			t.Errorf("%s: got %q, want %q", say, got, want)
		}
	}
	goes := func(say string) {
		t.Helper()
		if got := payloads([]*mqtt.Publish{await[*mqtt.Publish](watch.raw)}); got != "gone/dying=bye 1" {
			t.Errorf("%s: got %q", say, got)
		}
	}
	leave := func() {
		t.Helper()
		d := x.online(cert, "dying", mqtt.V5)
		d.send(&mqtt.Disconnect{})
	}

	dies(300, 60)
	hears("before the delay is over", "CONNECTION_LOST")
	x.advance(time.Minute)
	goes("after the delay")

	dies(0, 60)
	hears("without a session the end of the connection is the end of it", "gone/dying=bye 1, CONNECTION_LOST")

	dies(30, 60)
	hears("before the session expires", "CONNECTION_LOST")
	x.advance(30 * time.Second)
	goes("when the session expires before the delay is over")

	w := dies(300, 60)
	hears("before the device comes back", "CONNECTION_LOST")
	back := x.online(cert, "dying", mqtt.V5, delayed(300, 60, false))
	if x.stored(w) {
		t.Error("the will of a session that went on is stored still")
	}
	back.send(&mqtt.Disconnect{})
	hears("after the device came back in time, and left", "CLIENT_INITIATED_DISCONNECT")

	dies(300, 60)
	hears("before the device begins anew", "CONNECTION_LOST")
	leave()
	hears("a new session ends the old one", "gone/dying=bye 1, CLIENT_INITIATED_DISCONNECT")

	t.Run("taken over", func(t *testing.T) {
		for clean, want := range map[bool]string{true: "gone/dying=bye 1, DUPLICATE_CLIENTID", false: "DUPLICATE_CLIENTID"} {
			x.online(cert, "dying", mqtt.V5, delayed(300, 60, true))
			heir := x.online(cert, "dying", mqtt.V5, delayed(300, 60, clean))
			hears("by a connection", want)
			heir.send(&mqtt.Disconnect{})
			hears("and that left", "CLIENT_INITIATED_DISCONNECT")
		}
	})
	t.Run("an operator ends the session of a device that is away", func(t *testing.T) {
		for silent, want := range map[bool]string{false: "gone/dying=bye 1, CLIENT_INITIATED_DISCONNECT", true: "CLIENT_INITIATED_DISCONNECT"} {
			dies(300, 60)
			hears("before", "CONNECTION_LOST")
			must(t, x.gateway.Disconnect(t.Context(), arn.Default, "dying", true, silent))
			if _, err := x.gateway.Subscriptions(arn.Default, "dying"); err == nil {
				t.Error("the session is there still")
			}
			leave()
			hears("after", want)
		}
		if err := x.gateway.Disconnect(t.Context(), arn.Default, "dying", false, false); err == nil {
			t.Error("nobody was there")
		}
	})
}
