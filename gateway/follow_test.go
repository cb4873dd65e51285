package gateway

import (
	"context"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/mqtt"
)

// A changed policy is judged at the next action; the connection lives on until
// then, and on MQTT 5 beyond it.
func TestAChangedPolicyCutsNobody(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			cert, id := x.device("", onlyConnect, onlyOwn)
			d := x.online(cert, x.name(), v)
			d.send(publish("dt/own/a", nil))
			if a := await[*mqtt.Puback](d); a.Code != mqtt.Success {
				t.Fatalf("before: %v", a.Code)
			}
			x.changes(x.sessionOf(id), detach(onlyOwn, id))
			if !d.alive() {
				t.Fatal("the change cut it")
			}
			d.send(publish("dt/own/a", nil))
			want := map[mqtt.Version]string{mqtt.V311: "socket closed", mqtt.V5: "PUBACK 0x87"}[v]
			if saw := d.saw(); !strings.HasPrefix(saw, want) || v == mqtt.V5 && !strings.HasSuffix(saw, "the connection stays") {
				t.Errorf("at the next action the device saw %s", saw)
			}
		})
	}
	t.Run("nor does one that takes iot:Connect away", func(t *testing.T) {
		x.within(t)
		cert, id := x.device("", onlyConnect, onlyOwn)
		d := x.online(cert, x.name(), mqtt.V311)
		x.changes(x.sessionOf(id), detach(onlyConnect, id))
		d.send(publish("dt/own/a", nil))
		await[*mqtt.Puback](d)
		if !d.alive() {
			t.Error("it was cut")
		}
	})
}

// Nobody of an account that was switched off can listen any more, but its rules
// can.
func TestAnAccountThatIsSwitchedOffIsCutWithAReason(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Wanted = func(_ arn.Tenant, topic string) bool { return strings.HasPrefix(topic, onDisconnected) }
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	d := x.online(x.cert, "pump", mqtt.V5)
	x.gateway.Follow(event.Event{Kind: event.TenantChanged, Tenant: arn.Default, ID: arn.Default.Account, Detail: "disabled"})
	if saw := d.end(); !strings.HasPrefix(saw, "DISCONNECT 0x98") {
		t.Errorf("the device saw %s", saw)
	}
	if m := <-heard; m.Topic != onDisconnected+"pump" || !strings.Contains(string(m.Payload), `"disconnectReason":"SERVER_INITIATED_DISCONNECT"`) {
		t.Errorf("heard %s %s", m.Topic, m.Payload)
	}
}
