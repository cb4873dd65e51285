package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// retaining is a PUBLISH at QoS 1 with RETAIN.
func retaining(topic, payload string) *mqtt.Publish {
	p := publish(topic, []byte(payload))
	p.Retain = true
	return p
}

// retain publishes with RETAIN, which must be acknowledged.
func (d *raw) retain(topic, payload string) {
	d.t.Helper()
	d.send(retaining(topic, payload))
	if a := await[*mqtt.Puback](d); a.Code != mqtt.Success {
		d.t.Fatalf("PUBLISH with RETAIN on %s: %v", topic, a.Code)
	}
}

// gets subscribes, and gives the messages that come before an answer to
// PINGREQ does.
func (d *raw) gets(p *mqtt.Subscribe) (out []*mqtt.Publish) {
	d.t.Helper()
	d.send(p, &mqtt.Pingreq{})
	for {
		switch p := d.packet().(type) {
		case *mqtt.Publish:
			out = append(out, p)
		case *mqtt.Pingresp:
			return out
		case nil:
			d.t.Fatal("the server closed")
		}
	}
}

// payloads writes messages as topic=payload, with an r for RETAIN and the QoS.
func payloads(messages []*mqtt.Publish) string {
	var all []string
	for _, p := range messages {
		flags := map[bool]string{true: " r", false: " "}[p.Retain]
		all = append(all, p.Topic+"="+string(p.Payload)+flags+string('0'+p.QoS))
	}
	return strings.Join(all, ", ")
}

func handling(filter string, h byte) *mqtt.Subscribe {
	p := subscribe(filter)
	p.Filters[0].RetainHandling = h
	return p
}

func TestRetainedMessages(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) { retainedMessages(t, v) })
	}
}

func retainedMessages(t *testing.T, v mqtt.Version) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	writer := x.online(cert, "writer", v)
	writer.retain("state/a", "old")
	writer.retain("state/a", "new")
	writer.send(&mqtt.Publish{Topic: "state/zero", Payload: []byte("0"), Retain: true})
	if !writer.alive() {
		t.Fatal("the writer is gone")
	}
	for filter, want := range map[string]string{
		"state/a":          "state/a=new r1",
		"state/zero":       "state/zero=0 r0",
		"state/none":       "",
		"state/+":          "",
		"state/#":          "",
		"#":                "",
		"$share/g/state/a": "",
	} {
		t.Run("who subscribes to "+filter, func(t *testing.T) {
			d := x.online(cert, "reader", v)
			if got := payloads(d.gets(subscribe(filter))); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			again := want
			if got := payloads(d.gets(subscribe(filter))); got != again {
				t.Errorf("subscribed again: got %q, want %q", got, again)
			}
		})
	}
	t.Run("who listens already gets it as an ordinary message", func(t *testing.T) {
		d := x.online(cert, "listener", v)
		d.gets(subscribe("state/+"))
		writer.retain("state/b", "live")
		if got := payloads([]*mqtt.Publish{await[*mqtt.Publish](d)}); got != "state/b=live 1" {
			t.Errorf("got %q", got)
		}
		t.Run("and so does the empty one that deletes it", func(t *testing.T) {
			writer.retain("state/b", "")
			if got := payloads([]*mqtt.Publish{await[*mqtt.Publish](d)}); got != "state/b= 1" {
				t.Errorf("got %q", got)
			}
			if got := payloads(x.online(cert, "late", v).gets(subscribe("state/b"))); got != "" {
				t.Errorf("after it was deleted: got %q", got)
			}
		})
	})
	t.Run("the granted QoS bounds it", func(t *testing.T) {
		p := subscribe("state/a")
		p.Filters[0].QoS = 0
		if got := payloads(x.online(cert, "low", v).gets(p)); got != "state/a=new r0" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a message without RETAIN leaves it alone", func(t *testing.T) {
		writer.send(publish("state/a", []byte("passing")))
		await[*mqtt.Puback](writer)
		if got := payloads(x.online(cert, "reader-2", v).gets(subscribe("state/a"))); got != "state/a=new r1" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("another account has its own", func(t *testing.T) {
		if _, err := x.gateway.retainedAt(t.Context(), x.other, "state/a"); err == nil {
			t.Error("it retains another's message")
		}
	})
}

func TestRetainOptionsOfASubscription(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	writer := x.online(cert, "writer", mqtt.V5)
	writer.retain("state/a", "1")
	d := x.online(cert, "reader", mqtt.V5)
	for _, c := range []struct {
		say  string
		p    *mqtt.Subscribe
		want string
	}{
		{"never", handling("state/a", 2), ""},
		{"only if it is new, and it is not", handling("state/a", 1), ""},
		{"always", handling("state/a", 0), "state/a=1 r1"},
	} {
		if got := payloads(d.gets(c.p)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.say, got, c.want)
		}
	}
	if got := payloads(x.online(cert, "newcomer", mqtt.V5).gets(handling("state/a", 1))); got != "state/a=1 r1" {
		t.Errorf("only if it is new, and it is: got %q", got)
	}
	t.Run("Retain As Published keeps the flag of a forwarded message", func(t *testing.T) {
		d := x.online(cert, "bridge", mqtt.V5)
		p := subscribe("state/+")
		p.Filters[0].RetainAsPublished = true
		d.gets(p)
		writer.retain("state/c", "kept")
		writer.send(publish("state/c", []byte("not kept")))
		got := payloads([]*mqtt.Publish{await[*mqtt.Publish](d), await[*mqtt.Publish](d)})
		if want := "state/c=kept r1, state/c=not kept 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestARetainedMessageKeepsItsProperties(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	p := retaining("state/a", "1")
	p.Properties = mqtt.Properties{
		PayloadFormat: mqtt.Some(byte(1)), MessageExpiry: mqtt.Some(uint32(100)), ContentType: mqtt.Some("text/plain"), ResponseTopic: mqtt.Some("back"),
		CorrelationData: []byte("c"), User: []mqtt.UserProperty{{Key: "k", Value: "v"}},
	}
	writer := x.online(cert, "writer", mqtt.V5)
	writer.send(p)
	await[*mqtt.Puback](writer)
	x.advance(40 * time.Second)
	got := x.online(cert, "reader", mqtt.V5).gets(subscribe("state/a"))
	if len(got) != 1 {
		t.Fatalf("got %q", payloads(got))
	}
	pr := got[0].Properties
	if left := pr.MessageExpiry.Or(0); left > 60 || left < 30 {
		t.Errorf("%d seconds are left of 100 after 40", left)
	}
	if pr.ContentType.Or("") != "text/plain" || pr.ResponseTopic.Or("") != "back" || string(pr.CorrelationData) != "c" || pr.PayloadFormat.Or(0) != 1 || len(pr.User) != 1 {
		t.Errorf("got %+v", pr)
	}
	x.advance(time.Minute)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		if got := payloads(x.online(cert, "late", v).gets(subscribe("state/a"))); got != "" {
			t.Errorf("after its expiry, on %v: got %q", v, got)
		}
	}
}

func TestWhoMayRetain(t *testing.T) {
	const publishOnly = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Subscribe"],"Resource":"*"},
 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/open/*"}]}`
	x := newScene(t, Limits{})
	all, _ := x.device("", allowAll)
	some, _ := x.device("", publishOnly)
	d := x.online(some, "some", mqtt.V5)
	d.send(retaining("open/a", "forbidden"))
	if a := await[*mqtt.Puback](d); a.Code != mqtt.NotAuthorized || !strings.Contains(a.Properties.ReasonString.Or(""), "iot:RetainPublish") {
		t.Errorf("RETAIN without iot:RetainPublish: %+v", a)
	}
	if got := payloads(x.online(all, "all", mqtt.V5).gets(subscribe("open/a"))); got != "" {
		t.Errorf("what was refused is retained: %q", got)
	}
	old := x.online(some, "old", mqtt.V311)
	old.send(retaining("open/a", "forbidden"))
	if saw := old.saw(); saw != "socket closed" {
		t.Errorf("3.1.1: %s", saw)
	}

	writer := x.online(all, "writer", mqtt.V5)
	writer.retain("open/a", "1")
	writer.retain("closed/a", "2")
	if got := payloads(d.gets(subscribe("open/a", "closed/a"))); got != "open/a=1 r1" {
		t.Errorf("what iot:Receive does not allow is delivered: %q", got)
	}
	t.Run("reserved topics hold none", func(t *testing.T) {
		writer.send(retaining("$aws/rules/none/a", "x"))
		if a := await[*mqtt.Puback](writer); a.Code != mqtt.Success {
			t.Errorf("Basic Ingest with RETAIN: %v", a.Code)
		}
		if n := x.retained(); n != 2 {
			t.Errorf("%d messages are retained, want 2", n)
		}
	})
}

// retained counts what the default account retains.
func (x *scene) retained() (n int) {
	x.t.Helper()
	must(x.t, x.db.View(context.Background(), func(ctx context.Context, tx store.Tx) (err error) {
		n, err = tx.CountRetained(ctx, arn.Default)
		return err
	}))
	return n
}

func TestTheLimitOfRetainedMessages(t *testing.T) {
	x := newScene(t, Limits{})
	one := 1
	x.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Set(ctx, tx, arn.Default, tenants.Change{Limits: map[ref.Limit]*int{ref.RetainedMessages: &one}}, x.now())
		return err
	})
	cert, _ := x.device("", allowAll)
	listener := x.online(cert, "listener", mqtt.V5)
	listener.gets(subscribe("state/+"))
	d := x.online(cert, "writer", mqtt.V5)
	d.retain("state/a", "1")
	await[*mqtt.Publish](listener)
	d.send(retaining("state/b", "2"))
	if a := await[*mqtt.Puback](d); a.Code != mqtt.QuotaExceeded {
		t.Errorf("one too many: %v", a.Code)
	}
	d.retain("state/a", "3")
	if got := payloads([]*mqtt.Publish{await[*mqtt.Publish](listener)}); got != "state/a=3 1" {
		t.Errorf("the next message is %q: what was refused must not be delivered", got)
	}
	if n := x.retained(); n != 1 {
		t.Errorf("%d messages are retained", n)
	}
}

// What cannot be stored is neither acknowledged nor delivered.
func TestRetainWhileTheStoreFails(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", allowAll)
	d := x.online(cert, "writer", mqtt.V5)
	old := x.online(cert, "old", mqtt.V311)
	listener := x.online(cert, "listener", mqtt.V5)
	listener.gets(subscribe("state/+"))
	x.store.broken.Store(true)
	d.send(retaining("state/a", "1"))
	if a := await[*mqtt.Puback](d); a.Code != mqtt.UnspecifiedError {
		t.Errorf("got %v", a.Code)
	}
	old.send(retaining("state/a", "1"))
	if saw := old.saw(); saw != "socket closed" {
		t.Errorf("3.1.1: %s", saw)
	}
	x.store.broken.Store(false)
	d.retain("state/a", "2")
	if got := payloads([]*mqtt.Publish{await[*mqtt.Publish](listener)}); got != "state/a=2 1" {
		t.Errorf("got %q", got)
	}
}
