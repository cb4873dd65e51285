package gateway

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// changes commits f and waits until the gateway knows that the rights of s may
// have changed.
func (x *scene) changes(s *session, f func(ctx context.Context, tx store.Tx) error) {
	x.t.Helper()
	before := s.changes.Load()
	x.update(f)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if s.changes.Load() > before {
			return
		}
		runtime.Gosched()
	}
	x.t.Fatal("the gateway never heard of it")
}

func detach(document string, id arn.CertID) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		return policy.Detach(ctx, tx, arn.Default, nameOf(document), arn.Default.Cert(id), time.Now())
	}
}

// sessionOf waits for the certificate's session.
func (x *scene) sessionOf(id arn.CertID) *session {
	x.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if all := x.gateway.hub.ofCert(arn.Default, id); len(all) == 1 {
			return all[0]
		}
		runtime.Gosched()
	}
	x.t.Fatal("the certificate has no session")
	return nil
}

func TestAnAliasStandsForItsTopicWhenRightsAreJudged(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", onlyConnect, onlyOwn)
	d := x.online(cert, "alias", mqtt.V5)
	publishes := func(p *mqtt.Publish) mqtt.ReasonCode {
		t.Helper()
		d.send(p)
		return await[*mqtt.Puback](d).Code
	}
	if got := publishes(aliased("dt/own/a", 1)); got != mqtt.Success {
		t.Fatalf("the topic with its alias: %v", got)
	}
	if got := publishes(aliased("", 1)); got != mqtt.Success {
		t.Fatalf("the alias alone: %v", got)
	}
	if got := publishes(aliased("dt/other", 2)); got != mqtt.NotAuthorized {
		t.Errorf("a forbidden topic with an alias: %v", got)
	}
	if got := publishes(aliased("", 2)); got != mqtt.NotAuthorized {
		t.Errorf("the alias of a forbidden topic: %v", got)
	}
	if got := publishes(aliased("$aws/events/x", 3)); got != mqtt.NotAuthorized {
		t.Errorf("a reserved topic with an alias: %v", got)
	}
	if got := publishes(aliased("dt/own/"+strings.Repeat("x", 60_000), 4)); got != mqtt.TopicNameInvalid || len(x.sessionOf(id).aliases[4]) > maxTopic {
		t.Errorf("a topic that is too long, with an alias: %v", got)
	}
	x.changes(x.sessionOf(id), detach(onlyOwn, id))
	if got := publishes(aliased("", 1)); got != mqtt.NotAuthorized {
		t.Errorf("the alias alone, after the policy was detached: %v", got)
	}
	t.Run("and for no other, once it was given one that is refused", func(t *testing.T) {
		d := x.online(x.cert, "alias-3", mqtt.V5)
		d.send(aliased("dt/a", 1))
		await[*mqtt.Puback](d)
		d.send(aliased("dt/"+strings.Repeat("x", 300), 1))
		await[*mqtt.Puback](d)
		d.send(aliased("", 1))
		if got := await[*mqtt.Disconnect](d); got.Code != mqtt.ProtocolError {
			t.Errorf("the alias alone: %v", got.Code)
		}
	})
	t.Run("and is forgotten with the connection", func(t *testing.T) {
		again := x.online(x.cert, "alias-2", mqtt.V5)
		again.send(aliased("dt/own/a", 1))
		await[*mqtt.Puback](again)
		other := x.online(x.cert, "alias-3", mqtt.V5)
		other.send(aliased("", 1))
		if saw := other.saw(); !strings.Contains(saw, "DISCONNECT 0x82") {
			t.Errorf("the alias of another connection: %s", saw)
		}
	})
}

const groupPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Publish"],"Resource":"arn:aws:iot:*:*:topic/group/*"}]}`

// TestRightsFollowTheRegistry changes what a connection's rights are made of,
// one after the other, while the connection lives.
func TestRightsFollowTheRegistry(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", onlyConnect)
	d := x.online(cert, "follower", mqtt.V5)
	s := x.sessionOf(id)
	want := func(when string, code mqtt.ReasonCode) {
		t.Helper()
		d.send(publish("group/a", nil))
		if got := await[*mqtt.Puback](d).Code; got != code {
			t.Errorf("%s: got %v, want %v", when, got, code)
		}
	}
	want("without any right", mqtt.NotAuthorized)
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "bound", ID: "id-bound", Version: 1, Created: x.now()}); err != nil {
			return err
		}
		if err := things.CreateGroup(ctx, tx, arn.Default, &things.Group{Name: "site", ID: "id-site", Version: 1, Created: x.now()}); err != nil {
			return err
		}
		return policy.Ensure(ctx, tx, arn.Default, "group", groupPolicy, x.now())
	})
	step := func(f func(context.Context, store.Tx) error) { t.Helper(); x.changes(s, f) }

	step(func(ctx context.Context, tx store.Tx) error {
		return things.AttachPrincipal(ctx, tx, arn.Default, "bound", arn.Default.Cert(id), things.Exclusive, x.now())
	})
	want("with a thing whose group has no policy", mqtt.NotAuthorized)
	step(func(ctx context.Context, tx store.Tx) error {
		return things.Join(ctx, tx, arn.Default, "site", "bound", x.now())
	})
	want("in a group without a policy", mqtt.NotAuthorized)
	step(func(ctx context.Context, tx store.Tx) error {
		return policy.Attach(ctx, tx, arn.Default, "group", arn.Default.Resource("thinggroup", "site"), x.now())
	})
	want("in a group with a policy", mqtt.Success)
	step(func(ctx context.Context, tx store.Tx) error {
		return things.Leave(ctx, tx, arn.Default, "site", "bound", x.now())
	})
	want("after it left the group", mqtt.NotAuthorized)
	step(func(ctx context.Context, tx store.Tx) error {
		return policy.Attach(ctx, tx, arn.Default, "group", arn.Default.Cert(id), x.now())
	})
	want("with the policy on its certificate", mqtt.Success)
	x.store.broken.Store(true)
	s.changes.Add(1)
	want("while the store fails, after a change", mqtt.NotAuthorized)
	x.store.broken.Store(false)
	want("when the store is back", mqtt.Success)
}

// TestWhatChangesDuringCONNECTCounts changes the registry between the reading
// of a connection's rights and its CONNACK.
func TestWhatChangesDuringCONNECTCounts(t *testing.T) {
	x := newScene(t, Limits{})
	during := func(f func()) { x.store.read.Store(&f) }
	for _, v := range bothVersions {
		t.Run("a policy, "+v.String(), func(t *testing.T) {
			x.within(t)
			cert, id := x.device("", onlyConnect, onlyOwn)
			d := x.raw(cert, v)
			during(func() {
				x.changes(x.sessionOf(id), detach(onlyOwn, id))
			})
			d.connect(x.name())
			if a := await[*mqtt.Connack](d); a.Code != mqtt.Success {
				t.Fatalf("CONNACK %v", a.Code)
			}
			d.send(publish("dt/own/a", nil))
			if saw := d.saw(); !strings.Contains(saw, "0x87") && v == mqtt.V5 || !strings.Contains(saw, "closed") && v == mqtt.V311 {
				t.Errorf("the detached policy still allowed: %s", saw)
			}
		})
		t.Run("a revocation, "+v.String(), func(t *testing.T) {
			x.within(t)
			cert, id := x.device("", allowAll)
			d := x.raw(cert, v)
			during(func() {
				s := x.sessionOf(id)
				x.setStatus(id, certs.Revoked)
				<-s.ctx.Done()
			})
			d.connect(x.name())
			saw := d.end()
			if why, last := strings.CutSuffix(saw, "socket closed"); !last || strings.Contains(why, "REVOKED") != (v == mqtt.V5) {
				t.Errorf("the device saw %s", saw)
			}
			if a := x.whole(d); !strings.Contains(a.Reason, "REVOKED") {
				t.Errorf("the attempt says %+v", a)
			}
		})
	}
}

// TestAnOldSnapshotIsNotKept changes a policy after a CONNECT's snapshot began
// and before it reads the policy: the next CONNECT must meet the change.
func TestAnOldSnapshotIsNotKept(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", onlyConnect, onlyOwn)
	begun := func() {
		x.followed(event.PolicyAttachment, arn.Default.Cert(id), func() { x.update(detach(onlyOwn, id)) })
	}
	x.store.begun.Store(&begun)
	x.online(cert, "first", mqtt.V5)
	d := x.online(cert, "second", mqtt.V5)
	d.send(publish("dt/own/a", nil))
	if got := await[*mqtt.Puback](d).Code; got != mqtt.NotAuthorized {
		t.Errorf("the detached policy still allows: %v", got)
	}
}

func TestNothingIsDoneAfterTheConnectionWasCut(t *testing.T) {
	x := newScene(t, Limits{})
	cert, id := x.device("", allowAll)
	d := x.online(cert, "cut", mqtt.V311)
	s := x.sessionOf(id)
	x.gateway.Follow(deleted(id)) // at once, on this goroutine
	before := x.registry()
	d.send(publish(keysJSON, csrFile(t, "p256.pem")))
	if saw := d.end(); saw != "socket closed" {
		t.Errorf("the device saw %s", saw)
	}
	<-s.ctx.Done()
	if after := x.registry(); after != before {
		t.Errorf("a request after the cut was served: %+v, before %+v", after, before)
	}
}

func TestOddClientIDsAreOrdinaryNames(t *testing.T) {
	x := newScene(t, Limits{})
	ids := []string{"+", "#", "*", "a/b", "a/+/b", "?", "x${iot:ClientId}", "%", ".", ">", " ", "日本", "\"", "x\x1b[31m", strings.Repeat("x", 128), ""}
	for _, v := range bothVersions {
		for _, id := range ids {
			d := x.raw(x.cert, v)
			d.connect(id)
			a := await[*mqtt.Connack](d)
			if a.Code != mqtt.Success {
				t.Errorf("%q on %s: %v", id, v, a.Code)
			}
			if given := a.Properties.AssignedClientID.Or(""); v == mqtt.V5 && (id == "") != strings.HasPrefix(given, "$GEN/") {
				t.Errorf("%q was given the id %q", id, given)
			}
			d.tcp.Close()
		}
	}
	t.Run("and are no patterns to a policy", func(t *testing.T) {
		cert, _ := x.device("thing-a", devicePolicy)
		for _, id := range []string{"*", "thing-?", "thing-*", "x${iot:Connection.Thing.ThingName}"} {
			d := x.raw(cert, mqtt.V5)
			d.connect(id)
			if a := await[*mqtt.Connack](d); a.Code != mqtt.NotAuthorized {
				t.Errorf("%q: %v", id, a.Code)
			}
		}
	})
}
