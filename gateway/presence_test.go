package gateway

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/mqtt"
)

var (
	anySession = regexp.MustCompile(`"sessionIdentifier":"[0-9a-f]{32}"`)
	anyMoment  = regexp.MustCompile(`"timestamp":1[0-9]{12}`)
)

// told is the next lifecycle event, with moments and session ids masked.
func told(d *raw) string {
	m := await[*mqtt.Publish](d)
	text := strings.TrimPrefix(m.Topic, "$aws/events/") + " " + string(m.Payload)
	return anySession.ReplaceAllString(anyMoment.ReplaceAllString(text, `"timestamp":T`), `"sessionIdentifier":"S"`)
}

// The payloads are those of hooks-and-events.md, section 5.
func TestLifecycleEvents(t *testing.T) {
	x := newScene(t, Limits{})
	watcher := x.online(x.cert, "watcher", mqtt.V5)
	watcher.send(subscribe("$aws/events/presence/+/pump", "$aws/events/subscriptions/+/pump"))
	await[*mqtt.Suback](watcher)
	cert, id := x.device("", `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
	 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/pumps/*"}]}`)
	event := func(topic, kind, members, more string) string {
		return topic + "/pump {" + `"clientId":"pump","timestamp":T,"eventType":"` + kind + `",` + members +
			`"sessionIdentifier":"S","principalIdentifier":"` + string(id) + `"` + more + "}"
	}
	want := func(want string) {
		t.Helper()
		if got := told(watcher); got != want {
			t.Errorf(" got %s\nwant %s", got, want)
		}
	}
	connected := func(number string) string {
		return event("presence/connected", "connected", "", `,"ipAddress":"127.0.0.1","versionNumber":`+number)
	}
	disconnected := func(by, reason, number string) string {
		return event("presence/disconnected", "disconnected", `"clientInitiatedDisconnect":`+by+`,"disconnectReason":"`+reason+`",`, `,"versionNumber":`+number)
	}

	pump := x.online(cert, "pump", mqtt.V5)
	want(connected("0"))
	pump.send(subscribe("pumps/a", "forbidden"))
	want(event("subscriptions/subscribed", "subscribed", "", `,"topics":["pumps/a"]`))
	pump.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"pumps/a", "never"}})
	want(event("subscriptions/unsubscribed", "unsubscribed", "", `,"topics":["pumps/a"]`))
	pump.send(&mqtt.Disconnect{})
	want(disconnected("true", "CLIENT_INITIATED_DISCONNECT", "0"))

	pump = x.online(cert, "pump", mqtt.V5)
	want(connected("1"))
	pump.tcp.Close()
	want(disconnected("false", "CONNECTION_LOST", "1"))

	x.online(cert, "pump", mqtt.V311).send(subscribe("forbidden"))
	want(connected("2"))
	want(disconnected("false", "AUTH_ERROR", "2"))

	x.online(cert, "pump", mqtt.V5).send(&mqtt.Connect{Version: mqtt.V5, ClientID: "pump", CleanStart: true})
	want(connected("3"))
	want(disconnected("false", "CLIENT_ERROR", "3"))

	x.online(cert, "pump", mqtt.V5)
	want(connected("4"))
	x.setStatus(id, certs.Inactive)
	want(disconnected("false", "SERVER_INITIATED_DISCONNECT", "4"))
	x.raw(cert, mqtt.V5).connect("pump")
	want(event("presence/connect_failed", "connect_failed", `"connectFailureReason":"AUTHORIZATION_FAILED",`, `,"ipAddress":"127.0.0.1"`))
}

// Who takes a client id over has the next number, in whatever order the two
// events come.
func TestATakeoverIsTold(t *testing.T) {
	x := newScene(t, Limits{})
	watcher := x.online(x.cert, "watcher", mqtt.V5)
	watcher.send(subscribe("$aws/events/presence/+/pump"))
	await[*mqtt.Suback](watcher)
	x.online(x.cert, "pump", mqtt.V5)
	told(watcher)
	x.online(x.cert, "pump", mqtt.V5)
	both := told(watcher) + "\n" + told(watcher)
	for _, want := range []string{`"disconnectReason":"DUPLICATE_CLIENTID"`, `"versionNumber":0`, `"versionNumber":1`} {
		if !strings.Contains(both, want) {
			t.Errorf("no %s in\n%s", want, both)
		}
	}
}

// What the server does to a connection has a reason of its own.
func TestEndsAreToldApart(t *testing.T) {
	x := newScene(t, Limits{KeepAlive: time.Second})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	x.gateway.Wanted = func(_ arn.Tenant, topic string) bool { return topic == onDisconnected+"pump" }
	for _, c := range []struct {
		reason    string
		keepAlive uint16
		end       func()
	}{
		{"MQTT_KEEP_ALIVE_TIMEOUT", 1, func() {}},
		{"SERVER_INITIATED_DISCONNECT", 60, x.gateway.Close},
	} {
		x.online(x.cert, "pump", mqtt.V311, func(p *mqtt.Connect) { p.KeepAlive = c.keepAlive })
		c.end()
		if m := <-heard; !strings.Contains(string(m.Payload), `"clientInitiatedDisconnect":false,"disconnectReason":"`+c.reason+`"`) {
			t.Errorf("heard %s, want %s", m.Payload, c.reason)
		}
	}
}

// Rules are asked before an event is made, and get it if they want it.
func TestLifecycleEventsForRulesAlone(t *testing.T) {
	x := newScene(t, Limits{})
	heard := make(chan dispatch.Message, 10)
	x.gateway.Listener = func(_ context.Context, m dispatch.Message) { heard <- m }
	x.gateway.Wanted = func(tenant arn.Tenant, topic string) bool {
		return tenant == arn.Default && (topic == "$aws/events/presence/disconnected/pump" || strings.HasSuffix(topic, "+"))
	}
	x.online(x.cert, "+", mqtt.V5).send(&mqtt.Disconnect{}) // no topic can name it
	x.online(x.cert, "pump", mqtt.V5).send(&mqtt.Disconnect{})
	m := <-heard
	if m.Topic != "$aws/events/presence/disconnected/pump" || m.ClientID != "" || !strings.Contains(string(m.Payload), `"versionNumber":0`) {
		t.Errorf("heard %s %s of client %q", m.Topic, m.Payload, m.ClientID)
	}
}

func TestConnectionsOfAClientIDAreCounted(t *testing.T) {
	var l lives
	k, now := clientKey{arn.Default, "pump"}, time.Unix(1e9, 0)
	for i, step := range []struct {
		away time.Duration // before it connects again; 0: it did not leave
		want int
	}{{0, 0}, {time.Minute, 1}, {0, 2}, {livesHour, 0}, {livesHour - 1, 1}} {
		if step.away > 0 {
			l.left(k, now)
			now = now.Add(step.away)
		}
		if got := l.next(k, now); got != step.want {
			t.Errorf("connection %d has number %d, want %d", i, got, step.want)
		}
	}
	l.left(k, now)
	for i := range fewLives {
		l.next(clientKey{arn.Default, string(rune('一' + i))}, now.Add(livesHour))
	}
	if _, there := l.of[k]; there || len(l.of) != fewLives {
		t.Errorf("%d client ids are held, the one that is long gone: %v", len(l.of), there)
	}
}
