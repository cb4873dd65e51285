package gateway

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// TestADeviceThatReadsLateGetsAllInOrder publishes one message at a time to a
// device that does not read for a while: the publisher is answered meanwhile,
// and the device gets every message, whole and in order, although its socket
// took some only in part.
func TestADeviceThatReadsLateGetsAllInOrder(t *testing.T) {
	x := newScene(t, Limits{Queue: 8 << 20})
	late := x.online(x.cert, x.name(), mqtt.V5)
	must(t, late.tcp.(*net.TCPConn).SetReadBuffer(128<<10))
	late.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "late"}}})
	await[*mqtt.Suback](late)
	from := x.online(x.cert, x.name(), mqtt.V5)
	const many = 120
	for i := range uint32(many) {
		from.send(publish("late", binary.BigEndian.AppendUint32(bytes.Repeat([]byte{byte(i)}, 60_000), i)))
		await[*mqtt.Puback](from)
	}
	for i := range uint32(many) {
		p := await[*mqtt.Publish](late).Payload
		if n := len(p) - 4; n != 60_000 || binary.BigEndian.Uint32(p[n:]) != i || bytes.Count(p[:n], []byte{byte(i)}) != n {
			t.Fatalf("message %d is not what was sent: %d bytes", i, len(p))
		}
	}
	from.send(publish("late", []byte("now")))
	if got := await[*mqtt.Publish](late); string(got.Payload) != "now" {
		t.Errorf("got %d bytes", len(got.Payload))
	}
}

// TestADeviceThatIsCutDuringConnectIsToldWhy holds that the CONNACK which refuses
// goes out although the connection was ended before.
func TestADeviceThatIsCutDuringConnectIsToldWhy(t *testing.T) {
	x := newScene(t, Limits{})
	ours, theirs := net.Pipe()
	must(t, ours.SetDeadline(time.Now().Add(patience)))
	if !x.gateway.begin() {
		t.Fatal("the gateway is closed")
	}
	defer x.gateway.sessions.Done()
	from := netip.MustParseAddr("192.0.2.1")
	s := x.gateway.session(identity{}, pipe{theirs}, theirs, from, "localhost", x.gateway.open(theirs, from))
	s.version, s.reasons = mqtt.V5, true
	s.end(mqtt.AdministrativeAction, "It is cut.")
	s.noConnack(mqtt.NotAuthorized, "certificate", "It became INACTIVE.")
	p, err := mqtt.NewReader(ours, 1<<10).Next(mqtt.V5)
	if a, ok := p.(*mqtt.Connack); !ok || a.Code != mqtt.NotAuthorized || a.Properties.ReasonString.Or("") != "It became INACTIVE." {
		t.Errorf("it was told %+v, %v", p, err)
	}
}
