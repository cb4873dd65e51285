package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// whole waits for the last state of the connection's attempt.
func (x *scene) whole(d *raw) *attempts.Attempt {
	x.t.Helper()
	return x.journal.await(x.t, "that ended", func(a *attempts.Attempt) bool {
		return a.Remote == d.local() && len(a.Steps) > 0 && a.Steps[len(a.Steps)-1].Name == "end"
	})
}

func idOf(cert []byte) string {
	sum := sha256.Sum256(cert)
	return hex.EncodeToString(sum[:])
}

func TestAnOrdinaryReconnectLeavesNoAttempt(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		d := x.connected(x.cert, v)
		d.send(subscribe("dt/a"), publish("dt/a", nil), &mqtt.Disconnect{})
		d.end() // its attempt would be journalled by now
		if a := x.journal.of(d.local()); a != nil {
			t.Errorf("on %s it left %+v", v, a)
		}
	}
}

func TestAProvisionedDeviceIsFoundByWhateverOneKnows(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.online(x.claim, "boot-77", mqtt.V311)
	d.send(publish(csrJSON, csrOf("p256.pem")(x)))
	a, err := wire.DecodeCreateAnswer(wire.JSON, d.answer(csrJSON))
	must(t, err)
	req := wire.RegisterRequest{Token: a.Token, Parameters: map[string]string{"SerialNumber": "SN-77", "Batch": "B\x1b[2J"}}
	d.send(publish(registerAt("fleet"), req.Encode(wire.JSON)))
	d.answer(registerAt("fleet"))
	if !d.alive() {
		t.Fatal("the connection did not live")
	}
	if now := x.journal.of(d.local()); now == nil || now.Outcome != attempts.Provisioned {
		t.Errorf("while the device is connected the journal has %+v", now)
	}
	d.send(&mqtt.Disconnect{})
	got := x.whole(d)
	if got.Outcome != attempts.Provisioned || got.Thing != "lock-SN-77" || got.Template != "fleet" || got.Door != "claim" ||
		got.ClientID != "boot-77" || string(got.NewCert) != a.CertificateID || got.Tenant != arn.Default || got.Count != 1 {
		t.Errorf("got %+v", got)
	}
	for _, key := range []string{"SN-77", "B\x1b[2J", "lock-SN-77", "boot-77", a.CertificateID, idOf(x.claim.Certificate[0]), "127.0.0.1"} {
		if !slices.Contains(got.Keys, key) {
			t.Errorf("it is not found by %q: %q", key, got.Keys)
		}
	}
	var names []string
	for i, s := range got.Steps {
		names = append(names, s.Name)
		if strings.ContainsFunc(s.Text, func(r rune) bool { return r < ' ' }) || i > 0 && s.After < got.Steps[i-1].After {
			t.Errorf("step %+v", s)
		}
	}
	for _, want := range []string{"tls", "connect", "create", "apply", "answer", "end"} {
		if !slices.Contains(names, want) {
			t.Errorf("no step %q in %v", want, names)
		}
	}
}

// TestWhatIsKeptOfAnAttempt tells the four ends apart.
func TestWhatIsKeptOfAnAttempt(t *testing.T) {
	x := newScene(t, Limits{})
	t.Run("refused: the rule is in the reason", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.claim, mqtt.V5)
		d.send(publish(registerAt("fleet"), registers(nil)(x)), &mqtt.Disconnect{})
		if a := x.whole(d); a.Outcome != attempts.Refused || !strings.Contains(a.Reason, "SerialNumber") || a.Door != "claim" {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("failed: it asked for a certificate and went away", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.claim, mqtt.V5)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		d.answer(csrJSON)
		d.tcp.Close()
		a := x.whole(d)
		if a.Outcome != attempts.Failed || !strings.Contains(a.Reason, "No thing came of it. The device closed the connection without DISCONNECT.") {
			t.Errorf("got %+v", a)
		}
		if !slices.ContainsFunc(a.Steps, func(s attempts.Step) bool {
			return s.Name == "answer" && strings.Contains(s.Text, "which the device has not subscribed to")
		}) {
			t.Errorf("nothing says that the device did not listen: %+v", a.Steps)
		}
	})
	t.Run("failed: the server did", func(t *testing.T) {
		x.within(t)
		d := x.connected(x.claim, mqtt.V5)
		x.store.broken.Store(true)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		saw := d.saw()
		x.store.broken.Store(false)
		d.tcp.Close()
		if a := x.whole(d); a.Outcome != attempts.Failed || !strings.Contains(saw, "rejected 500 InternalFailure") || strings.Contains(saw, "disk") {
			t.Errorf("got %+v; the device saw %s", a, saw)
		}
	})
	t.Run("provisioned: also when something is refused afterwards", func(t *testing.T) {
		x.within(t)
		cert, _ := x.rig.claim("fleet", 0)
		d := x.connected(cert, mqtt.V5)
		d.send(publish(registerAt("fleet"), registers(serial("K1"))(x)))
		d.answer(registerAt("fleet"))
		d.send(publish("dt/forbidden", nil), &mqtt.Disconnect{})
		if a := x.whole(d); a.Outcome != attempts.Provisioned || a.Thing != "lock-K1" {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("rotation: a device that asks under its own identity", func(t *testing.T) {
		x.within(t)
		own, _ := x.device("rotor", allowAll)
		d := x.online(own, "rotor", mqtt.V5)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		d.answer(csrJSON)
		d.send(&mqtt.Disconnect{})
		if a := x.whole(d); a.Door != "rotation" {
			t.Errorf("got %+v", a)
		}
	})
}

// TestRefusedCONNECTsFold: strangers by address and cause, in the default
// tenant; a known certificate by itself and the sentence, in its own.
func TestRefusedCONNECTsFold(t *testing.T) {
	x := newScene(t, Limits{})
	unknown := foreign(x)
	revoked, id := x.device("", allowAll)
	x.setStatus(id, certs.Revoked)
	abroad, abroadID := x.foreigner()
	for range 3 {
		for _, v := range bothVersions {
			d := x.raw(unknown, v, sni("other.localhost"))
			d.connect("stranger")
			d.end()
			if a := x.journal.of(d.local()); a.Tenant != arn.Default || a.CertID == "" {
				t.Errorf("a stranger's attempt is %+v", a)
			}
			for _, name := range []string{"revoked-1", "revoked-2"} {
				r := x.raw(revoked, v)
				r.connect(name)
				r.end()
			}
			f := x.raw(abroad, v, sni("other.localhost"))
			f.connect("$not")
			f.end()
		}
	}
	rows := x.journal.rows()
	want := map[string]int{
		"127.0.0.1/32 certificate": 6,
		string(id) + " Certificate " + string(id) + " is REVOKED; the device needs a new certificate. revoked-1 127.0.0.1/32": 6,
		string(id) + " Certificate " + string(id) + " is REVOKED; the device needs a new certificate. revoked-2 127.0.0.1/32": 6,
		"127.0.0.1/32 client-id": 6,
	}
	for k, n := range want {
		if rows[k] != n {
			t.Errorf("%s: %d, want %d", k, rows[k], n)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("got %v (%s)", rows, abroadID)
	}
}

// Whoever has one IPv6 address has 2^64 of them.
func TestAddressesCountByNetwork(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"192.0.2.7", "192.0.2.7/32"}, {"2001:db8::7", "2001:db8::/64"}, {"2001:db8::ffff:7", "2001:db8::/64"}, {"fe80::1%eth0", "fe80::/64"},
	} {
		if got := placeOf(netip.MustParseAddr(c.address)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.address, got, c.want)
		}
	}
}
