package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

// lasts asks for a session that outlives its connection.
func lasts(p *mqtt.Connect) {
	p.CleanStart = false
	if p.Version == mqtt.V5 {
		p.Properties.SessionExpiry = mqtt.Some(uint32(600))
	}
}

// opens passes CONNECT and gives CONNACK too.
func (r *rig) opens(cert tls.Certificate, clientID string, v mqtt.Version, change ...func(*mqtt.Connect)) (*raw, *mqtt.Connack) {
	r.t.Helper()
	d := r.raw(cert, v)
	d.connect(clientID, change...)
	a, ok := d.packet().(*mqtt.Connack)
	if !ok || a.Code != mqtt.Success {
		r.t.Fatalf("CONNECT of %s as %q was not accepted: %+v", v, clientID, a)
	}
	return d, a
}

// listens subscribes at QoS 1.
func (d *raw) listens(filters ...string) {
	d.t.Helper()
	d.send(subscribe(filters...))
	for _, c := range await[*mqtt.Suback](d).Codes {
		if c.Failed() {
			d.t.Fatalf("SUBSCRIBE to %v: %v", filters, c)
		}
	}
}

// leaves says DISCONNECT, and waits until the server closes: the session is
// away by then.
func (d *raw) leaves(change ...func(*mqtt.Disconnect)) {
	d.t.Helper()
	p := &mqtt.Disconnect{}
	for _, f := range change {
		f(p)
	}
	d.send(p)
	d.end()
}

// publishes sends each payload at QoS 1 and waits for its PUBACK.
func (d *raw) publishes(topic string, payloads ...string) {
	d.t.Helper()
	for _, p := range payloads {
		d.send(publish(topic, []byte(p)))
		if a := await[*mqtt.Puback](d); a.Code != mqtt.Success {
			d.t.Fatalf("PUBLISH on %s: %v", topic, a.Code)
		}
	}
}

// hears gives the payloads up to "end", and acknowledges them. A repetition is
// marked.
func (d *raw) hears() (got []string) {
	d.t.Helper()
	for {
		p := await[*mqtt.Publish](d)
		if p.QoS == 1 {
			d.send(&mqtt.Puback{PacketID: p.PacketID})
		}
		text := string(p.Payload)
		if text == "end" {
			return got
		}
		if p.Dup {
			text += " again"
		}
		got = append(got, text)
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// queued counts the rows of all queues in the store, once what was acknowledged
// is deleted.
func (r *rig) queued() (n int) {
	r.t.Helper()
	r.gateway.keeper.flush()
	queues := r.gateway.groups.queues()
	for _, l := range r.gateway.lastings.all() {
		queues = append(queues, &l.queue)
	}
	for _, q := range queues {
		q.awaits(r.t, "what was acknowledged is never deleted", q.flushed) // the keeper may be at it by itself
	}
	must(r.t, r.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		n = 0
		for _, s := range r.storedSessions(ctx, tx) {
			count, _, err := tx.QueueSize(ctx, s)
			if err != nil {
				return err
			}
			n += int(count)
		}
		return nil
	}))
	return n
}

// flushed says whether all that was acknowledged is deleted in the store; mu is
// held.
func (q *queue) flushed() bool {
	for seq, f := range q.out {
		if f.over && !slices.Contains(q.deleted, seq) {
			return false
		}
	}
	return true
}

// awaits looks again and again, since a queue tells nobody. ready is called with
// the lock held.
func (q *queue) awaits(t testing.TB, never string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
		q.mu.Lock()
		is := ready()
		q.mu.Unlock()
		if is {
			return
		}
	}
	t.Fatal(never)
}

func (r *rig) storedSessions(ctx context.Context, tx store.Tx) []*sessions.Session {
	all, _, err := tx.ListSessions(ctx, ref.Page{Limit: 1000})
	must(r.t, err)
	return all
}

// kept names the sessions in the store.
func (r *rig) kept() (names []string) {
	r.t.Helper()
	r.gateway.keeper.flush()
	must(r.t, r.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		names = nil
		for _, s := range r.storedSessions(ctx, tx) {
			names = append(names, s.ClientID)
		}
		return nil
	}))
	return names
}

// restarts puts a new gateway over the same store in place of the old one.
func (r *rig) restarts() {
	r.t.Helper()
	r.gateway.Close()
	r.gateway = New(r.gateway.Config)
	r.follows.Store(r.gateway)
	must(r.t, r.gateway.Load(context.Background()))
	r.t.Cleanup(r.gateway.Close)
	r.plain = r.serve(Plain)
}

func inBoth(t *testing.T, f func(t *testing.T, x *scene, v mqtt.Version)) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			x := newScene(t, Limits{})
			x.within(t)
			f(t, x, v)
		})
	}
}

func TestWhatWasPublishedWhileTheDeviceWasAway(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		d, a := x.opens(x.cert, "d", v, lasts)
		if a.SessionPresent {
			t.Error("there is a session before there was one")
		}
		d.listens("a/+")
		d.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "zero", QoS: 0}}})
		await[*mqtt.Suback](d)
		d.leaves()

		from.publishes("a/b", "1", "2")
		from.send(&mqtt.Publish{Topic: "a/b", Payload: []byte("at QoS 0")})
		from.publishes("zero", "for a subscription at QoS 0")
		from.publishes("a/c", "3")

		d, a = x.opens(x.cert, "d", v, lasts)
		if !a.SessionPresent {
			t.Error("the session is not there")
		}
		from.publishes("a/b", "4", "end")
		equal(t, "after coming back", d.hears(), []string{"1", "2", "3", "4"})
		if !d.alive() {
			t.Error("the connection ended")
		}
		if n := x.queued(); n != 0 {
			t.Errorf("%d messages wait that were acknowledged", n)
		}
		d.leaves()
		d, _ = x.opens(x.cert, "d", v, lasts)
		from.publishes("a/b", "end")
		equal(t, "once acknowledged", d.hears(), nil)
	})
}

func TestACleanSessionWritesNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		listener := x.online(x.cert, "listener", v)
		before := x.db.Stats()
		d := x.online(x.cert, "d", v)
		d.listens("a/#", "$share/crew/a/b")
		d.publishes("a/b", "1", "2")
		d.leaves()
		if !listener.alive() {
			t.Error("the listener's connection ended")
		}
		if after := x.db.Stats(); after.Updates != before.Updates {
			t.Errorf("%d transactions wrote", after.Updates-before.Updates)
		}
	})
}

func TestASessionOutlivesTheServer(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens("a/+")
		from.publishes("a/b", "seen")
		await[*mqtt.Publish](d)
		d.leaves()
		from.publishes("a/b", "1")
		x.restarts()
		from = x.online(x.cert, "from", mqtt.V5)
		from.publishes("a/b", "2")
		d, a := x.opens(x.cert, "d", v, lasts)
		if !a.SessionPresent {
			t.Error("the session is not there")
		}
		from.publishes("a/b", "end")
		equal(t, "after coming back", d.hears(), []string{"seen again", "1", "2"})
	})
}

func TestWhatWasNotAcknowledgedIsSentAgain(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens("t")
		from.publishes("t", "1", "2", "3")
		for range 3 {
			if p := await[*mqtt.Publish](d); string(p.Payload) == "2" {
				d.send(&mqtt.Puback{PacketID: p.PacketID})
			}
		}
		if !d.alive() { // the PUBACK was read
			t.Fatal("the connection ended")
		}
		d, _ = x.opens(x.cert, "d", v, lasts) // takes over
		from.publishes("t", "4", "end")
		equal(t, "after a takeover", d.hears(), []string{"1 again", "3 again", "4"})
	})
	t.Run("but not after AWS has given up", func(t *testing.T) {
		x := newScene(t, Limits{})
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			name := "device of " + v.String()
			from := x.online(x.cert, "from", mqtt.V5)
			d, _ := x.opens(x.cert, name, v, lasts)
			d.listens(name)
			from.publishes(name, "seen")
			await[*mqtt.Publish](d)
			x.advance(map[mqtt.Version]time.Duration{mqtt.V311: time.Hour, mqtt.V5: 960 * time.Second}[v] + time.Second)
			from.publishes(name, "unseen")
			await[*mqtt.Publish](d)
			d, a := x.opens(x.cert, name, v, lasts) // takes over: the session has not expired
			if !a.SessionPresent {
				t.Errorf("%s: the session is not there", v)
			}
			from.publishes(name, "end")
			equal(t, v.String(), d.hears(), []string{"unseen again"})
		}
	})
}

func TestWhenASessionEnds(t *testing.T) {
	clean := func(p *mqtt.Connect) { p.CleanStart = true }
	for _, c := range []struct {
		name   string
		then   func(x *scene)
		change func(*mqtt.Connect)
		other  bool // comes back with the other version
	}{
		{"its device connects with a clean session", func(*scene) {}, clean, false},
		{"its time is over", func(x *scene) { x.advance(time.Hour + time.Second) }, lasts, false},
		{"its time is over, and it was swept", func(x *scene) {
			x.advance(time.Hour + time.Second)
			x.gateway.keeper.sweep(x.now())
		}, lasts, false},
		{"its time is over, and the server began anew", func(x *scene) { x.advance(time.Hour + time.Second); x.restarts() }, lasts, false},
		{"its device comes back with another MQTT version", func(*scene) {}, lasts, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
				d, _ := x.opens(x.cert, "d", v, lasts)
				d.listens("t")
				d.leaves()
				x.online(x.cert, "from", mqtt.V5).publishes("t", "lost")
				c.then(x)
				back := v
				if c.other {
					back = mqtt.V311 + mqtt.V5 - v
				}
				d, a := x.opens(x.cert, "d", back, c.change)
				if a.SessionPresent {
					t.Error("the session is still there")
				}
				d.listens("mine")
				from := x.online(x.cert, "from", mqtt.V5)
				from.publishes("t", "not subscribed")
				from.publishes("mine", "end")
				equal(t, "the new session", d.hears(), nil)
				d.leaves()
				if n := x.queued(); n != 0 {
					t.Errorf("%d messages wait", n)
				}
			})
		})
	}
}

func TestUnsubscribingLasts(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens("a", "b")
		d.send(&mqtt.Unsubscribe{PacketID: 3, Filters: []string{"a"}})
		await[*mqtt.Unsuback](d)
		d.leaves()
		x.restarts()
		from := x.online(x.cert, "from", mqtt.V5)
		from.publishes("a", "not subscribed")
		from.publishes("b", "end")
		d, _ = x.opens(x.cert, "d", v, lasts)
		equal(t, "after coming back", d.hears(), nil)
	})
}

func TestSessionExpiryOfVersion5(t *testing.T) {
	x := newScene(t, Limits{})
	x.setLimit(ref.SessionExpiry, 7200)
	asks := func(seconds uint32) func(*mqtt.Connect) {
		return func(p *mqtt.Connect) { p.CleanStart, p.Properties.SessionExpiry = false, mqtt.Some(seconds) }
	}
	t.Run("is what the device asked for, or the account's limit, which it is told", func(t *testing.T) {
		x.within(t)
		for asked, want := range map[uint32]mqtt.Opt[uint32]{0: {}, 7200: {}, 7201: mqtt.Some(uint32(7200)), 0xFFFFFFFF: mqtt.Some(uint32(7200))} {
			_, a := x.opens(x.cert, x.name(), mqtt.V5, asks(asked))
			if a.Properties.SessionExpiry != want {
				t.Errorf("asked for %d: CONNACK has %v", asked, a.Properties.SessionExpiry)
			}
		}
	})
	t.Run("holds beyond the default", func(t *testing.T) {
		x.within(t)
		d, _ := x.opens(x.cert, "long", mqtt.V5, asks(0xFFFFFFFF))
		d.leaves()
		x.advance(2*time.Hour - time.Minute)
		d, a := x.opens(x.cert, "long", mqtt.V5, asks(0xFFFFFFFF))
		if !a.SessionPresent {
			t.Error("the session is not there")
		}
		d.leaves()
	})
	says := func(seconds uint32) func(*mqtt.Disconnect) {
		return func(p *mqtt.Disconnect) { p.Properties.SessionExpiry = mqtt.Some(seconds) }
	}
	present := func(t *testing.T, id string) bool {
		d, a := x.opens(x.cert, id, mqtt.V5, asks(60))
		d.leaves()
		return a.SessionPresent
	}
	t.Run("0 in DISCONNECT ends the session", func(t *testing.T) {
		x.within(t)
		d, _ := x.opens(x.cert, "short", mqtt.V5, asks(600))
		d.leaves(says(0))
		if slices.Contains(x.kept(), "short") || present(t, "short") {
			t.Error("the session is there")
		}
	})
	t.Run("another in DISCONNECT takes its place, up to the limit", func(t *testing.T) {
		x.within(t)
		d, _ := x.opens(x.cert, "longer", mqtt.V5, asks(60))
		d.leaves(says(0xFFFFFFFF))
		x.advance(2*time.Hour - time.Minute)
		if !present(t, "longer") {
			t.Error("the session is gone")
		}
		d, _ = x.opens(x.cert, "over", mqtt.V5, asks(60))
		d.leaves(says(0xFFFFFFFF))
		x.advance(2*time.Hour + time.Minute)
		if present(t, "over") {
			t.Error("the session is there")
		}
	})
	t.Run("cannot be raised from 0", func(t *testing.T) {
		x.within(t)
		d, _ := x.opens(x.cert, "zero", mqtt.V5, asks(0))
		d.send(&mqtt.Disconnect{Properties: mqtt.Properties{SessionExpiry: mqtt.Some(uint32(60))}})
		if saw := d.end(); !strings.HasPrefix(saw, "DISCONNECT 0x82") {
			t.Errorf("the device saw %s", saw)
		}
		if slices.Contains(x.kept(), "zero") {
			t.Error("a session is stored")
		}
	})
	t.Run("0 in CONNECT takes a session up for the last time", func(t *testing.T) {
		x.within(t)
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "last", mqtt.V5, asks(600))
		d.listens("last")
		d.leaves()
		from.publishes("last", "1", "end")
		d, a := x.opens(x.cert, "last", mqtt.V5, asks(0))
		if !a.SessionPresent {
			t.Error("the session is not there")
		}
		equal(t, "the session's queue", d.hears(), []string{"1"})
		d.leaves()
		if slices.Contains(x.kept(), "last") {
			t.Error("the session is stored")
		}
	})
}

func (r *rig) setLimit(name ref.Limit, n int) {
	r.update(func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.Tenant(ctx, arn.Default)
		if err != nil {
			return err
		}
		rec.Settings.Limits = map[ref.Limit]int{name: n}
		return tx.UpdateTenant(ctx, rec)
	})
}

func TestWhoseASessionIs(t *testing.T) {
	x := newScene(t, Limits{})
	from := x.online(x.cert, "from", mqtt.V5)
	for _, c := range []struct {
		name          string
		first, second string // things
		clientID      string
		want          bool
	}{
		{"a new certificate of the same thing takes the session up", "pump", "pump", "pump", true},
		{"also when the client id is not the thing's name", "valve", "valve", "client-of-valve", true},
		{"a certificate of another thing does not", "left", "right", "either", false},
		{"nor does one without a thing take it up from one without", "", "", "nobody", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.within(t)
			first, _ := x.device(c.first, allowAll)
			second, _ := x.device(c.second, allowAll)
			d, _ := x.opens(first, c.clientID, mqtt.V311, lasts)
			d.listens(c.clientID)
			d.leaves()
			from.publishes(c.clientID, "1")
			d, a := x.opens(second, c.clientID, mqtt.V311, lasts)
			if a.SessionPresent != c.want {
				t.Errorf("session present: %v", a.SessionPresent)
			}
			if !a.SessionPresent {
				d.listens(c.clientID)
			}
			from.publishes(c.clientID, "end")
			got := d.hears()
			if want := map[bool][]string{true: {"1"}}[c.want]; !slices.Equal(got, want) {
				t.Errorf("it got %q, want %q", got, want)
			}
		})
	}
	t.Run("a claim leaves the session of a device that has a thing alone", func(t *testing.T) {
		x.within(t)
		own, _ := x.device("lamp", allowAll)
		claim, _ := x.device("", allowAll)
		d, _ := x.opens(own, "lamp", mqtt.V5, lasts)
		d.listens("lamp")
		d.leaves()
		for _, change := range []func(*mqtt.Connect){lasts, func(p *mqtt.Connect) { p.CleanStart = true }} {
			c, a := x.opens(claim, "lamp", mqtt.V5, change)
			if a.SessionPresent {
				t.Error("the claim has the device's session")
			}
			c.leaves()
		}
		from.publishes("lamp", "1", "end")
		d, a := x.opens(own, "lamp", mqtt.V5, lasts)
		if !a.SessionPresent {
			t.Error("the device's session is gone")
		}
		equal(t, "the device", d.hears(), []string{"1"})
	})
}

func TestASessionGoesWithItsCertificate(t *testing.T) {
	for _, how := range []string{"revoked while the device is away", "revoked while it is connected", "made inactive", "deleted", "revoked while the server was down"} {
		t.Run(how, func(t *testing.T) {
			x := newScene(t, Limits{})
			cert, id := x.device("", allowAll)
			d, _ := x.opens(cert, "d", mqtt.V5, lasts)
			d.listens("t")
			if how != "revoked while it is connected" {
				d.leaves()
			}
			x.online(x.cert, "from", mqtt.V5).publishes("t", "lost")
			status := certs.Revoked
			switch how {
			case "made inactive", "deleted":
				status = certs.Inactive
			case "revoked while the server was down":
				x.gateway.Close()
			}
			x.update(func(ctx context.Context, tx store.Tx) error {
				c, err := tx.Certificate(ctx, arn.Default, id)
				if err != nil {
					return err
				}
				if err := certs.SetStatus(ctx, tx, c, status, x.now()); err != nil || how != "deleted" {
					return err
				}
				return certs.Delete(ctx, tx, c, true)
			})
			switch how {
			case "revoked while it is connected":
				d.end()
			case "revoked while the server was down":
				x.restarts()
			}
			for end := time.Now().Add(patience); len(x.kept()) > 0 && time.Now().Before(end); {
			}
			if kept := x.kept(); len(kept) > 0 {
				t.Errorf("stored: %v", kept)
			}
			if l := x.gateway.lastings.get(clientKey{arn.Default, "d"}); l != nil {
				t.Error("the session is there in memory")
			}
		})
	}
}

func TestAStoredQueueHasAnEnd(t *testing.T) {
	x := newScene(t, Limits{Stored: 3})
	from := x.online(x.cert, "from", mqtt.V5)
	d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
	d.listens("t")
	d.leaves()
	from.publishes("t", "1", "2", "3", "refused", "refused")
	d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
	for _, want := range []string{"1", "2", "3"} {
		p := await[*mqtt.Publish](d)
		if string(p.Payload) != want {
			t.Errorf("got %s, want %s", p.Payload, want)
		}
		d.send(&mqtt.Puback{PacketID: p.PacketID})
	}
	if !d.alive() {
		t.Error("the connection ended")
	}
	d.leaves()
	from.publishes("t", "4", "5", "end", "refused")
	x.restarts()
	d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
	equal(t, "once there was room", d.hears(), []string{"4", "5"})
}

func TestWhatExpiredMakesRoom(t *testing.T) {
	x := newScene(t, Limits{Stored: 3})
	from := x.online(x.cert, "from", mqtt.V5)
	d, _ := x.opens(x.cert, "d", mqtt.V5, lasts)
	d.listens("t")
	d.leaves()
	for range 2 {
		p := publish("t", []byte("expired"))
		p.Properties.MessageExpiry = mqtt.Some(uint32(10))
		from.send(p)
		await[*mqtt.Puback](from)
	}
	from.publishes("t", "1", "refused")
	x.advance(11 * time.Second)
	x.gateway.keeper.sweep(x.now())
	from.publishes("t", "2", "end", "refused")
	d, _ = x.opens(x.cert, "d", mqtt.V5, lasts)
	equal(t, "what is left", d.hears(), []string{"1", "2"})
}

func TestALongQueueIsReadInPages(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens("t")
		d.leaves()
		var want []string
		for i := range 3*pageLength + 7 {
			want = append(want, fmt.Sprint(i))
		}
		from.publishes("t", want...)
		d, _ = x.opens(x.cert, "d", v, lasts, func(p *mqtt.Connect) {
			if v == mqtt.V5 {
				p.Properties.ReceiveMaximum = mqtt.Some(uint16(3))
			}
		})
		from.publishes("t", "end")
		equal(t, "in order", d.hears(), want)
	})
}

func TestWhatADeviceMayNotReceiveIsNotKeptForIt(t *testing.T) {
	x := newScene(t, Limits{})
	from := x.online(x.cert, "from", mqtt.V5)
	cert, _ := x.device("", `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Allow","Action":["iot:Connect","iot:Subscribe"],"Resource":"*"},
	 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/may"}]}`)
	d, _ := x.opens(cert, "d", mqtt.V5, lasts)
	d.listens("#")
	from.publishes("may", "1")
	from.publishes("may/not", "withheld")
	from.publishes("may", "end")
	equal(t, "while it is connected", d.hears(), []string{"1"})
	d.leaves()
	from.publishes("may", "2")
	from.publishes("may/not", "withheld")
	from.publishes("may", "end")
	d, _ = x.opens(cert, "d", mqtt.V5, lasts)
	equal(t, "while it was away", d.hears(), []string{"2"})
	if !d.alive() {
		t.Error("the connection ended")
	}
	if n := x.queued(); n != 0 {
		t.Errorf("%d messages wait", n)
	}
}

func TestMessageExpiry(t *testing.T) {
	x := newScene(t, Limits{})
	from := x.online(x.cert, "from", mqtt.V5)
	expiring := func(payload string, seconds uint32) {
		p := publish("t", []byte(payload))
		p.Properties.MessageExpiry = mqtt.Some(seconds)
		from.send(p)
		await[*mqtt.Puback](from)
	}
	live := x.online(x.cert, "live", mqtt.V5)
	live.listens("t")
	for sent, want := range map[uint32]uint32{0: 1, 60: 60, 604_800: 604_800, 604_801: 604_800} {
		expiring("", sent)
		p := await[*mqtt.Publish](live)
		live.send(&mqtt.Puback{PacketID: p.PacketID})
		if got := p.Properties.MessageExpiry.Or(0); got != want && got != want-1 { // a second may pass
			t.Errorf("an expiry of %d is forwarded as %d", sent, got)
		}
	}
	three, _ := x.opens(x.cert, "three", mqtt.V311, lasts)
	five, _ := x.opens(x.cert, "five", mqtt.V5, lasts)
	for _, d := range []*raw{three, five} {
		d.listens("t")
		d.leaves()
	}
	expiring("short", 10)
	expiring("long", 500)
	x.advance(100 * time.Second)
	three, _ = x.opens(x.cert, "three", mqtt.V311, lasts)
	five, _ = x.opens(x.cert, "five", mqtt.V5, lasts)
	p := await[*mqtt.Publish](five)
	if left := p.Properties.MessageExpiry.Or(0); string(p.Payload) != "long" || left > 400 || left < 300 {
		t.Errorf("%s is forwarded with %d s left", p.Payload, left)
	}
	from.publishes("t", "end")
	equal(t, "3.1.1", three.hears(), []string{"long"})
}

func TestEventsOfALastingSession(t *testing.T) {
	x := newScene(t, Limits{})
	watcher := x.online(x.cert, "watcher", mqtt.V5)
	watcher.listens("$aws/events/presence/#")
	var ids []string
	event := func() string {
		p := await[*mqtt.Publish](watcher)
		text := string(p.Payload)
		_, id, _ := strings.Cut(text, `"sessionIdentifier":"`)
		ids = append(ids, id[:32])
		_, number, _ := strings.Cut(text, `"versionNumber":`)
		return strings.Split(p.Topic, "/")[3] + " " + strings.Trim(number, "}")
	}
	come := func() {
		d, _ := x.opens(x.cert, "d", mqtt.V311, lasts)
		equal(t, "coming", []string{event()[:9]}, []string{"connected"})
		d.leaves()
	}
	come()
	first := event()
	come()
	second := event()
	x.restarts()
	watcher = x.online(x.cert, "watcher", mqtt.V5)
	watcher.listens("$aws/events/presence/#")
	come()
	third := event()
	equal(t, "numbers", []string{first, second, third}, []string{"disconnected 0", "disconnected 1", "disconnected 2"})
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("the session has several identifiers: %v", ids)
			break
		}
	}
}

// What was acknowledged is deleted while the reader holds a page of before.
func TestWhatWasDeletedMeanwhileIsNotSentAgain(t *testing.T) {
	inBoth(t, func(t *testing.T, x *scene, v mqtt.Version) {
		from := x.online(x.cert, "from", mqtt.V5)
		d, _ := x.opens(x.cert, "d", v, lasts)
		d.listens("t")
		from.publishes("t", "1", "2")
		x.store.full.Store(true) // the deletion fails for now
		equal(t, "at first", d.receives(2), []string{"1", "2"})
		if !d.alive() { // the PUBACKs were read
			t.Fatal("the connection ended")
		}
		x.gateway.keeper.flush()
		x.store.full.Store(false)
		read := make(chan struct{})
		meanwhile := func() { x.gateway.keeper.flush(); close(read) }
		x.store.read.Store(&meanwhile)
		l := x.gateway.lastings.get(clientKey{arn.Default, "d"})
		l.poke()
		<-read
		from.publishes("t", "end")
		equal(t, "afterwards", d.hears(), nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.count < 0 || l.bytes < 0 {
			t.Errorf("%d messages of %d bytes wait", l.count, l.bytes)
		}
	})
}
