package clients

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// A link is a connection packet by packet, for what a client library hides.
type link struct {
	t    *testing.T
	conn *tls.Conn
	r    *mqtt.Reader
	v    mqtt.Version
	ack  *mqtt.Connack
	id   uint16
}

// config trusts the site and shows the identity.
func (s *site) config(identity tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: s.e.Host, Certificates: []tls.Certificate{identity}, MinVersion: tls.VersionTLS12}
}

// dial opens a connection and reads CONNACK, whatever it says.
func (s *site) dial(t *testing.T, config *tls.Config, p *mqtt.Connect) *link {
	t.Helper()
	l := &link{t: t, v: p.Version, conn: must(tls.Dial("tcp", s.e.MQTT, config))(t)}
	t.Cleanup(func() { l.conn.Close() })
	l.r = mqtt.NewReader(l.conn, 1<<20)
	l.send(p)
	l.ack = await[*mqtt.Connack](l)
	return l
}

// enter is dial for a client that has to be let in.
func (s *site) enter(t *testing.T, config *tls.Config, p *mqtt.Connect) *link {
	t.Helper()
	l := s.dial(t, config, p)
	if l.ack.Code != mqtt.Success {
		t.Fatalf("CONNACK: %s %s", l.ack.Code, l.ack.Properties.ReasonString.Or(""))
	}
	return l
}

func (l *link) send(p mqtt.Packet) {
	l.t.Helper()
	b := must(mqtt.Append(nil, p, l.v))(l.t)
	must(l.conn.Write(b))(l.t)
}

func (l *link) next() mqtt.Packet {
	l.t.Helper()
	_ = l.conn.SetReadDeadline(time.Now().Add(hang))
	return must(l.r.Next(l.v))(l.t)
}

// await gives the next packet, which has to be a P.
func await[P mqtt.Packet](l *link) P {
	l.t.Helper()
	got := l.next()
	p, ok := got.(P)
	if !ok {
		l.t.Fatalf("%s came: %+v", got.Type(), got)
	}
	return p
}

func (l *link) subscribe(filters ...string) {
	l.t.Helper()
	for _, f := range filters {
		l.id++
		l.send(&mqtt.Subscribe{PacketID: l.id, Filters: []mqtt.Subscription{{Filter: f, QoS: 1}}})
		if ack := await[*mqtt.Suback](l); ack.Codes[0] != 1 {
			l.t.Fatalf("SUBACK for %s: %s %s", f, ack.Codes[0], ack.Properties.ReasonString.Or(""))
		}
	}
}

// publish sends at QoS 1 and waits for PUBACK.
func (l *link) publish(p *mqtt.Publish) {
	l.t.Helper()
	l.id++
	p.QoS, p.PacketID = 1, l.id
	l.send(p)
	if ack := await[*mqtt.Puback](l); ack.Code.Failed() {
		l.t.Fatalf("PUBACK on %s: %s %s", p.Topic, ack.Code, ack.Properties.ReasonString.Or(""))
	}
}

// ask publishes to a reserved topic, and gives the answer.
func (l *link) ask(topic, payload string) *mqtt.Publish {
	l.t.Helper()
	l.publish(&mqtt.Publish{Topic: topic, Payload: []byte(payload)})
	return l.took(await[*mqtt.Publish](l))
}

func (l *link) took(m *mqtt.Publish) *mqtt.Publish {
	l.t.Helper()
	if m.QoS == 1 {
		l.send(&mqtt.Puback{PacketID: m.PacketID})
	}
	return m
}

// hearsNothing asserts that nothing was sent to the client that it does not
// know of.
func (l *link) hearsNothing() {
	l.t.Helper()
	l.send(&mqtt.Pingreq{})
	await[*mqtt.Pingresp](l)
}
