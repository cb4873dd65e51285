package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// takeTurns lets two certificates evict each other until that is remarkable.
// It gives the address of the last one that was evicted, and what it saw.
func (x *scene) takeTurns(a, b tls.Certificate, clientID string, v mqtt.Version) (string, string) {
	x.t.Helper()
	holder := x.online(a, clientID, v)
	for i := range manyTurns + 1 {
		next := x.online([]tls.Certificate{b, a}[i%2], clientID, v)
		if saw := holder.end(); i == manyTurns {
			return holder.local(), saw
		}
		holder.tcp.Close()
		holder = next
	}
	return "", ""
}

// bind attaches a certificate to a new thing exclusively.
func (x *scene) bind(id arn.CertID, thing string) {
	x.t.Helper()
	x.update(func(ctx context.Context, tx store.Tx) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: thing, ID: "id-" + thing, Version: 1, Created: x.now()}); err != nil {
			return err
		}
		return things.AttachPrincipal(ctx, tx, arn.Default, thing, arn.Default.Cert(id), things.Exclusive, x.now())
	})
}

func (x *scene) unbind(id arn.CertID, thing string) {
	x.t.Helper()
	x.update(func(ctx context.Context, tx store.Tx) error {
		return things.DetachPrincipal(ctx, tx, arn.Default, thing, arn.Default.Cert(id), x.now())
	})
}

func TestADetachedCertificateIsCutIfItWasTheThingsAlone(t *testing.T) {
	x := newScene(t, Limits{})
	watcher := x.online(x.cert, "watcher", mqtt.V5)
	watcher.send(subscribe("$aws/events/presence/disconnected/+"))
	await[*mqtt.Suback](watcher)
	cert, id := x.device("", allowAll)
	x.bind(id, "turbine")
	named, unnamed := x.online(cert, "turbine", mqtt.V5), x.online(cert, "any id", mqtt.V311)
	x.unbind(id, "turbine")
	if saw := named.end(); !strings.HasPrefix(saw, "DISCONNECT 0x98") {
		t.Errorf("a device of MQTT 5 saw %s", saw)
	}
	if saw := unnamed.end(); saw != "socket closed" {
		t.Errorf("a device of MQTT 3.1.1 saw %s", saw)
	}
	for range 2 {
		if e := told(watcher); !strings.Contains(e, `"thingName":"turbine"`) || !strings.Contains(e, `"disconnectReason":"SERVER_INITIATED_DISCONNECT"`) {
			t.Errorf("the event is %s", e)
		}
	}
	t.Run("and lives on if it was one of many", func(t *testing.T) {
		x.within(t)
		cert, id := x.device("shared", allowAll)
		d := x.online(cert, "shared", mqtt.V5)
		x.changes(x.sessionOf(id), func(ctx context.Context, tx store.Tx) error {
			return things.DetachPrincipal(ctx, tx, arn.Default, "shared", arn.Default.Cert(id), x.now())
		})
		if !d.alive() {
			t.Error("it was cut")
		}
	})
}

func TestATakeoverNamesTheOtherHolder(t *testing.T) {
	x := newScene(t, Limits{})
	mine, _ := x.device("", allowAll)
	other, otherID := x.device("", allowAll)
	old := x.online(mine, "pump", mqtt.V5)
	next := x.online(other, "pump", mqtt.V5)
	if saw := old.end(); strings.Contains(saw, string(otherID)) || strings.Contains(saw, "127.0.0.1") {
		t.Errorf("the device learns who the other is: %s", saw)
	}
	a := x.journal.await(t, "of the one that was evicted", func(a *attempts.Attempt) bool { return a.Remote == old.local() })
	if !strings.Contains(a.Reason, string(otherID)) || !strings.Contains(a.Reason, next.local()) {
		t.Errorf("its attempt says %s", a.Reason)
	}
	t.Run("but a device that comes again leaves no attempt", func(t *testing.T) {
		x.within(t)
		x.online(other, "pump", mqtt.V5)
		next.end()
		if a := x.journal.of(next.local()); a != nil {
			t.Errorf("there is one: %s", a.Reason)
		}
	})
}

func TestWhoTakesTurnsIsACloneSuspect(t *testing.T) {
	x := newScene(t, Limits{})
	a, _ := x.device("", allowAll)
	b, _ := x.device("", allowAll)
	address, _ := x.takeTurns(a, b, "twins", mqtt.V5)
	last := x.journal.await(t, "of the last that was evicted", func(a *attempts.Attempt) bool { return a.Remote == address })
	if !strings.Contains(last.Reason, "clone suspected") {
		t.Errorf("its attempt says %s", last.Reason)
	}
	for row, n := range x.journal.rows() {
		if strings.HasSuffix(row, " clone twins") && n == 1 {
			return
		}
	}
	t.Errorf("the evictions are not folded: %v", x.journal.rows())
}

func TestWhatIsAStoryOfTurns(t *testing.T) {
	k, now := clientKey{arn.Default, "id"}, time.Unix(1e9, 0)
	from := func(n int) holder { return holder{"cert", netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})} }
	for _, c := range []struct {
		name  string
		who   []int // one after the other
		pause time.Duration
		want  int
	}{
		{"one device that reconnects", []int{1, 1, 1, 1, 1}, time.Second, 0},
		{"one device that gets a new address each time", []int{1, 2, 3, 4, 5, 6, 7}, time.Second, 0},
		{"a device that changes its network and comes back", []int{1, 2, 1}, time.Second, 1},
		{"two at a time", []int{1, 2, 1, 2, 1}, time.Second, manyTurns},
		{"three at a time", []int{1, 2, 3, 1, 2, 3}, time.Second, manyTurns},
		{"a device that commutes", []int{1, 2, 1, 2, 1, 2}, turnsFor + time.Second, 0},
	} {
		var all turns
		got := 0
		for i := 1; i < len(c.who); i++ {
			now = now.Add(c.pause)
			got, _ = all.note(k, from(c.who[i-1]), from(c.who[i]), now)
		}
		if got != c.want {
			t.Errorf("%s: %d returns, want %d", c.name, got, c.want)
		}
	}
	t.Run("and few are kept", func(t *testing.T) {
		var all turns
		for i := range 2 * maxTurns {
			all.note(clientKey{arn.Default, fmt.Sprint(i)}, from(1), from(2), now)
		}
		if len(all.of) > maxTurns {
			t.Errorf("%d are kept", len(all.of))
		}
	})
}
