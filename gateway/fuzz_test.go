package gateway

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// A pipe is a connection without a network. It has no half that could be
// closed alone.
type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { return p.Close() }

// FuzzAConversation sends bytes into a live session: as its first packet, and
// behind a CONNECT of each version. The session ends when the bytes do, leaves
// nothing in the gateway's tables, and says nothing that is no MQTT, or that
// AWS would not say.
func FuzzAConversation(f *testing.F) {
	x := newScene(f, Limits{Queue: 64 << 10})
	cert, _ := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"},
	 {"Effect":"Deny","Action":"iot:Publish","Resource":["arn:aws:iot:*:*:topic/$aws/certificates/*","arn:aws:iot:*:*:topic/denied/*"]}]}`)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	must(f, err)
	for _, v := range bothVersions {
		for _, seed := range conversations() {
			var b []byte
			for _, p := range seed {
				if b, err = mqtt.Append(b, p, v); err != nil {
					break // not of this version
				}
			}
			f.Add(b)
		}
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []mqtt.Version{0, mqtt.V311, mqtt.V5} {
			x.converse(t, identity{leaf: leaf, certID: arn.IDOf(leaf.Raw)}, v, data)
		}
	})
}

// conversations are packets in an order that means something.
func conversations() [][]mqtt.Packet {
	return [][]mqtt.Packet{
		{subscribe("a/+", "#", "$share/g/a"), publish("a/b", []byte("x")), &mqtt.Puback{PacketID: 1}, &mqtt.Pingreq{}, &mqtt.Disconnect{}},
		{&mqtt.Publish{Topic: "r", Payload: []byte("x"), Retain: true}, subscribe("r"), &mqtt.Unsubscribe{PacketID: 2, Filters: []string{"r"}}},
		{aliased("a", 1), aliased("", 1), aliased("b", 1), aliased("", 9)},
		{publish("$aws/provisioning-templates/fleet/provision/json", []byte("{}")), publish("$aws/rules/r/t", nil), publish("denied/a", nil)},
		{qos2(publish("a", nil)), &mqtt.Pubrel{PacketID: 1}, &mqtt.Auth{}},
		{&mqtt.Connect{ClientID: "again", CleanStart: true, Will: &mqtt.Will{Topic: "w"}}},
	}
}

// converse speaks with the gateway over a pipe, to the end.
func (x *scene) converse(t *testing.T, who identity, v mqtt.Version, data []byte) {
	ours, theirs := net.Pipe()
	must(t, ours.SetDeadline(time.Now().Add(patience)))
	from := netip.MustParseAddr("192.0.2.1")
	if x.gateway.door.enter(theirs, from) != admitted || !x.gateway.begin() {
		t.Fatal("the door is shut")
	}
	s := x.gateway.session(who, pipe{theirs}, theirs, from, "localhost", x.gateway.open(theirs, from))
	go s.run(time.Now().Add(patience))
	heard := make(chan error, 1)
	go func() { heard <- listens(t, ours, v) }()
	if v != 0 {
		hello, err := mqtt.Append(nil, &mqtt.Connect{Version: v, ClientID: "fuzz", CleanStart: true, KeepAlive: 60}, v)
		must(t, err)
		data = append(hello, data...)
	}
	_, _ = ours.Write(data) // a server that has closed already has said why
	ours.Close()
	if err := <-heard; err != nil {
		t.Errorf("%v: the server sent %v", v, err)
	}
	for end := time.Now().Add(patience); x.gateway.door.held() != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%v: the session never ends", v)
		}
	}
	if h := x.gateway.hub; len(h.credentials) != 0 || len(h.clients) != 0 || len(h.entering) != 0 || len(h.bound) != 0 {
		t.Errorf("%v: the session is still in a table", v)
	}
}

// held counts the connections that are not closed.
func (d *door) held() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// listens reads what the server says until it closes.
func listens(t *testing.T, c net.Conn, v mqtt.Version) error {
	if v == 0 {
		v = mqtt.V311
	}
	r := mqtt.NewReader(c, 1<<20)
	for {
		p, err := r.Next(v)
		var bad *mqtt.Error
		if errors.As(err, &bad) && !strings.Contains(bad.Text, "CONNACK") { // of a version that only the bytes know
			return err
		}
		if err != nil {
			return nil
		}
		if d, ok := p.(*mqtt.Disconnect); ok && v == mqtt.V5 && !slices.Contains(documented[mqtt.DISCONNECT], d.Code) {
			t.Errorf("DISCONNECT carries %#x, which AWS never sends", byte(d.Code))
		}
	}
}
