package gateway

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// The table of device-gateway.md, section 1, row by row, over real TLS: which
// certificate is asked for, which protocol is selected, and who answers.
func TestPortAndALPNPickProtocolAndAuthentication(t *testing.T) {
	x := newScene(t, Limits{})
	x.signers.add(Caller{Tenant: arn.Default, KeyID: "AKIAONE", Role: tenants.Admin})
	none := tls.Certificate{}
	speaksMQTT := func(d *raw, _ func(string, string, string, ...string) *reply) string {
		d.version = mqtt.V311
		d.connect(x.name())
		if !d.accepted() {
			return "refused"
		}
		return "MQTT"
	}
	publishes := func(d *raw, ask func(string, string, string, ...string) *reply) string {
		return ask("POST", "/topics/a", "{}").String()
	}
	upgrades := func(d *raw, ask func(string, string, string, ...string) *reply) string {
		return ask("GET", "/mqtt", "", handshakeHeaders("Authorization: AWS4-TEST AKIAONE")...).String()
	}
	const ok, upgraded, nobody = "200  OK", "101  ", "403 ForbiddenException: Missing Authentication Token"
	for _, c := range []struct {
		row      string
		address  string
		offers   []string
		cert     tls.Certificate
		asks     func(*raw, func(string, string, string, ...string) *reply) string
		selected string
		asked    bool // for a certificate
		want     string
	}{
		{"MQTT, X.509, 8883", x.plain, nil, x.cert, speaksMQTT, "", true, "MQTT"},
		{"MQTT, X.509, 443 by x-amzn-mqtt-ca", x.alpn, []string{alpnMQTT}, x.cert, speaksMQTT, alpnMQTT, true, "MQTT"},
		{"MQTT, custom authorizer, 443 by mqtt: no certificate is asked for", x.alpn, []string{alpnCustom}, x.cert, func(*raw, func(string, string, string, ...string) *reply) string { return "" }, alpnCustom, false, ""},
		{"WebSocket, SigV4, 443", x.alpn, nil, none, upgrades, "", false, upgraded},
		{"WebSocket, SigV4, 443 by http/1.1", x.alpn, []string{"http/1.1"}, none, upgrades, "http/1.1", false, upgraded},
		{"HTTPS, X.509, 8443", x.https, nil, x.cert, publishes, "", true, ok},
		{"HTTPS, X.509, 8443, as browsers and curl offer", x.https, []string{"h2", "http/1.1"}, x.cert, publishes, "http/1.1", true, ok},
		{"HTTPS, X.509, 8443 by x-amzn-http-ca", x.https, []string{alpnHTTPS}, x.cert, publishes, alpnHTTPS, true, ok},
		{"HTTPS, X.509, 443 by x-amzn-http-ca", x.alpn, []string{alpnHTTPS}, x.cert, publishes, alpnHTTPS, true, ok},
		{"HTTPS, SigV4, 443: a certificate is not asked for", x.alpn, []string{"h2", "http/1.1"}, x.cert, publishes, "http/1.1", false, nobody},
		{"HTTPS, SigV4, 443 without ALPN", x.alpn, nil, x.cert, publishes, "", false, nobody},
		{"HTTPS without a certificate, 8443", x.https, nil, none, publishes, "", true, nobody},
		{"WebSocket, SigV4, 8443, whatever certificate there is", x.https, nil, x.cert, upgrades, "", true, upgraded},
	} {
		t.Run(c.row, func(t *testing.T) {
			x.within(t)
			asked := false
			d, err := x.handshakeAt(c.address, none, alpn(c.offers...), func(config *tls.Config) {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked = true
					return &c.cert, nil
				}
			})
			must(t, err)
			if got := d.conn.ConnectionState().NegotiatedProtocol; got != c.selected || asked != c.asked {
				t.Errorf("protocol %q was selected, want %q; asked for a certificate: %v, want %v", got, c.selected, asked, c.asked)
			}
			if got := c.asks(d, x.over(d)); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Over HTTPS nothing of a message is lost, on either port.
func TestAMessageOverHTTPSArrivesWhole(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	cert, id := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Publish","iot:RetainPublish"],"Resource":["arn:aws:iot:*:*:topic/dt/*","arn:aws:iot:*:*:topic/$aws/rules/*"]}]}`)
	d := x.online(x.cert, "listener", mqtt.V5)
	d.send(subscribe("dt/#"))
	await[*mqtt.Suback](d)
	ask := x.visit(x.https, cert)

	p := ask("POST", "/topics/dt%2Fpump/%C3%BC?qos=1&contentType=application%2Fjson&responseTopic=dt%2Fanswers&messageExpiry=60&x-other=1", `{"a":1}`,
		"x-amz-mqtt5-user-properties: "+"W3siYiI6IjIifSx7ImEiOiIxIn0seyJiIjoiMyJ9XQ==", // [{"b":"2"},{"a":"1"},{"b":"3"}]
		"x-amz-mqtt5-payload-format-indicator: UTF8_DATA", "x-amz-mqtt5-correlation-data: AAEC")
	if p.String() != "200  OK" || p.traceID == "" || p.header.Get("x-amzn-RequestId") == "" || p.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s, trace id %q, headers %v", p, p.traceID, p.header)
	}
	m := await[*mqtt.Publish](d)
	pr := &m.Properties
	if m.Topic != "dt/pump/ü" || string(m.Payload) != `{"a":1}` || pr.ContentType.Or("") != "application/json" || pr.ResponseTopic.Or("") != "dt/answers" ||
		pr.MessageExpiry.Or(0) == 0 || pr.PayloadFormat.Or(0) != 1 || string(pr.CorrelationData) != "\x00\x01\x02" {
		t.Errorf("%s %q arrived with %+v", m.Topic, m.Payload, m.Properties)
	}
	if want := []mqtt.UserProperty{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}, {Key: "b", Value: "3"}}; len(pr.User) != 3 || pr.User[0] != want[0] || pr.User[1] != want[1] || pr.User[2] != want[2] {
		t.Errorf("the user properties are %v", pr.User)
	}
	if m := <-heard; m.Topic != "dt/pump/ü" || m.Principal != string(id) || m.ClientID != "" {
		t.Errorf("the rules heard %+v", m)
	}

	if p := ask("POST", "/topics/$aws/rules/meter/a/b", "1"); p.status != 200 {
		t.Errorf("Basic Ingest: %s", p)
	}
	if m := <-heard; m.Topic != "$aws/rules/meter/a/b" {
		t.Errorf("the rules heard %+v", m)
	}
	if p := ask("POST", "/topics/dt/kept?retain=true", "last"); p.status != 200 {
		t.Errorf("a retained message: %s", p)
	}
	late := x.online(x.cert, "late", mqtt.V5)
	late.send(subscribe("dt/kept"))
	await[*mqtt.Suback](late)
	if m := await[*mqtt.Publish](late); string(m.Payload) != "last" || !m.Retain {
		t.Errorf("retained: %+v", m)
	}
	if p := ask("POST", "/topics/dt/last", strings.Repeat("x", 131_072)); p.status != 200 || !p.keepsOpen {
		t.Errorf("128 KB on a connection that served others: %s, stays open: %v", p, p.keepsOpen)
	}
}

// A session in a WebSocket is one like any other.
func TestMQTTInAWebSocket(t *testing.T) {
	x := newScene(t, Limits{})
	operator := Caller{Tenant: arn.Default, KeyID: "AKIAOPERATOR", Role: tenants.Operator}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			watcher := x.online(x.cert, "watcher", mqtt.V5)
			watcher.send(subscribe("$aws/events/presence/+/ws"))
			await[*mqtt.Suback](watcher)
			d := x.webSocket(x.alpn, v, operator)
			d.connect("ws")
			if !d.accepted() {
				t.Fatal("CONNECT was not accepted")
			}
			if got := told(watcher); !strings.Contains(got, `"principalIdentifier":"AKIAOPERATOR"`) {
				t.Errorf("told %s", got)
			}
			d.send(subscribe("any/topic"))
			await[*mqtt.Suback](d)
			x.online(x.cert, x.name(), mqtt.V311).send(&mqtt.Publish{Topic: "any/topic", QoS: 1, PacketID: 1, Payload: []byte("to the web")})
			if m := await[*mqtt.Publish](d); string(m.Payload) != "to the web" {
				t.Errorf("got %q", m.Payload)
			}
			_, err := d.conn.Write(clientFrame(0x89, []byte("ping")))
			must(t, err)
			d.bytes([]byte{0xc0}) // a PINGREQ in two messages
			d.bytes([]byte{0})
			if _, ok := d.packet().(*mqtt.Pingresp); !ok {
				t.Error("no PINGRESP")
			}
			_, err = d.conn.Write(clientFrame(0x88, []byte{0x03, 0xe8}))
			must(t, err)
			if saw := d.end(); !strings.Contains(saw, "pong ping") || !strings.Contains(saw, "close frame 1000") {
				t.Errorf("the device saw %s", saw)
			}
			if got := told(watcher); !strings.Contains(got, `"clientInitiatedDisconnect":true,"disconnectReason":"CLIENT_INITIATED_DISCONNECT"`) {
				t.Errorf("told %s", got)
			}
		})
	}
}

func TestAWebSocketsTimeIsLimited(t *testing.T) {
	end := func(t *testing.T, l Limits, c Caller) {
		x := newScene(t, l)
		watcher := x.online(x.cert, "watcher", mqtt.V5)
		watcher.send(subscribe("$aws/events/presence/disconnected/ws"))
		await[*mqtt.Suback](watcher)
		d := x.webSocket(x.https, mqtt.V5, c)
		d.connect("ws")
		if saw := d.end(); !strings.Contains(saw, "DISCONNECT 0x98") || !strings.Contains(saw, "The connection's time is over") {
			t.Errorf("the device saw %s", saw)
		}
		if got := told(watcher); !strings.Contains(got, `"disconnectReason":"WEBSOCKET_TTL_EXPIRATION"`) {
			t.Errorf("told %s", got)
		}
	}
	t.Run("by what the server allows, AWS's 24 hours", func(t *testing.T) {
		if (Limits{}).withDefaults().WebSocket != 24*time.Hour {
			t.Error("the default is another")
		}
		end(t, Limits{WebSocket: 100 * time.Millisecond}, Caller{Tenant: arn.Default, KeyID: "AKIAONE", Role: tenants.Admin})
	})
	t.Run("by the credential", func(t *testing.T) {
		end(t, Limits{}, Caller{Tenant: arn.Default, KeyID: "ASIAONE", Role: tenants.Admin, Until: time.Now().Add(100 * time.Millisecond)})
	})
}

func TestAWebSocketIsCutWithItsKey(t *testing.T) {
	x := newScene(t, Limits{})
	key := &tenants.AccessKey{ID: "AKIAREVOKED0", Account: arn.Default.Account, Role: tenants.Operator, Created: x.now(), Sealed: []byte("x")}
	x.update(func(ctx context.Context, tx store.Tx) error { return tx.InsertAccessKey(ctx, key) })
	caller := Caller{Tenant: arn.Default, KeyID: key.ID, Role: key.Role, Stored: true}
	revoke := func() {
		x.update(func(ctx context.Context, tx store.Tx) error {
			return tenants.DisableAccessKey(ctx, tx, key.ID, x.now())
		})
	}
	online, waiting := x.webSocket(x.https, mqtt.V5, caller), x.webSocket(x.https, mqtt.V5, caller)
	online.connect("ws")
	if !online.accepted() {
		t.Fatal("CONNECT was not accepted")
	}
	revoke()
	if saw := online.end(); !strings.Contains(saw, "DISCONNECT 0x98") || !strings.Contains(saw, "Access key AKIAREVOKED0 was revoked") {
		t.Errorf("who was connected saw %s", saw)
	}
	waiting.connect("ws")
	if saw := waiting.end(); !strings.Contains(saw, "CONNACK 0x87") || !strings.Contains(saw, "was revoked") {
		t.Errorf("whose CONNECT came late saw %s", saw)
	}
}

// What a claim is for needs a certificate.
func TestAWebSocketGetsNoCertificates(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.webSocket(x.https, mqtt.V5, Caller{Tenant: arn.Default, KeyID: "AKIAONE", Role: tenants.Admin})
	d.connect("ws")
	if !d.accepted() {
		t.Fatal("CONNECT was not accepted")
	}
	d.send(&mqtt.Publish{Topic: "$aws/certificates/create/json", QoS: 1, PacketID: 1})
	if a := await[*mqtt.Puback](d); a.Code != mqtt.NotAuthorized {
		t.Errorf("got %v", a)
	}
}

// The door stands before HTTPS too.
func TestTheDoorOfHTTPS(t *testing.T) {
	t.Run("failures count against the address", func(t *testing.T) {
		x := newScene(t, Limits{Burst: 2, Failures: 0.001})
		for range 2 {
			if p := x.ask(x.https, tls.Certificate{}, "POST", "/topics/a", ""); p.status != 403 {
				t.Errorf("got %s", p)
			}
		}
		c, err := net.Dial("tcp", x.https)
		must(t, err)
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(patience)))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("the door stands open: %d bytes", n)
		}
	})
	t.Run("who shows a certificate that is in order is no stranger", func(t *testing.T) {
		x := newScene(t, Limits{Strangers: 2})
		ask := x.visit(x.https, x.cert)
		if p := ask("POST", "/topics/a", ""); p.status != 200 {
			t.Errorf("got %s", p)
		}
		for range 4 {
			x.visit(x.https, tls.Certificate{})
		}
		if p := ask("POST", "/topics/a", ""); p.status != 200 {
			t.Errorf("got %s", p)
		}
	})
	t.Run("everything is given back", func(t *testing.T) {
		x := newScene(t, Limits{})
		d := x.webSocket(x.https, mqtt.V5, Caller{Tenant: arn.Default, KeyID: "AKIAONE", Role: tenants.Admin})
		d.connect("ws")
		if !d.accepted() {
			t.Fatal("CONNECT was not accepted")
		}
		x.visit(x.alpn, tls.Certificate{})
		x.ask(x.https, x.cert, "POST", "/topics/a", "")
		x.gateway.Close()
		if x.gateway.door.total != 0 || len(x.gateway.hub.credentials) != 0 || len(x.gateway.door.places) != 0 {
			t.Errorf("%d connections are counted still", x.gateway.door.total)
		}
		if saw := d.end(); !strings.Contains(saw, "DISCONNECT 0x8B") {
			t.Errorf("the WebSocket saw %s", saw)
		}
	})
}

func FuzzParsePublish(f *testing.F) {
	f.Add("qos=1&retain=true&messageExpiry=60", `[{"a":"1"}]`)
	f.Add("qos=2", `[{"a":1},[]]`)
	f.Fuzz(func(t *testing.T, query, user string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		h := http.Header{}
		h.Set("x-amz-mqtt5-user-properties", base64.StdEncoding.EncodeToString([]byte(user)))
		p, err := ParsePublish("a", q, h, nil)
		if err != nil {
			if !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%v", err)
			}
			return
		}
		if p.QoS > 1 || len(p.Properties.User) > len(user) {
			t.Errorf("%q and %q became %+v", query, user, p)
		}
	})
}
