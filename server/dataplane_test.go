package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/tenants"
)

// publishes calls the data plane's Publish.
func publishes(c *api.Client, topic, query, payload string, header ...string) error {
	values, _ := url.ParseQuery(query)
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return c.Do(context.Background(), "POST", api.Path("topics", topic), values, h, []byte(payload), nil)
}

// sends calls the data plane's SendDirectMessage.
func sends(c *api.Client, clientID, query, payload string) (answer struct{ Message, TraceID string }, err error) {
	values, _ := url.ParseQuery(query)
	err = c.Do(context.Background(), "POST", api.Path("connections", clientID, "messages"), values, nil, []byte(payload), &answer)
	return answer, err
}

type retainedAnswer struct {
	Topic, NextToken string
	Payload          []byte
	QoS              int
	LastModifiedTime int64
	UserProperties   []byte
	RetainedTopics   []struct {
		Topic            string
		PayloadSize, QoS int
		LastModifiedTime int64
	}
}

func TestTheDataPlanePublishes(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	d := s.watch("dt/#", "open/#")
	props := base64.StdEncoding.EncodeToString([]byte(`[{"b":"2"},{"a":"1"}]`))
	must(t, publishes(admin, "dt/é/1", "qos=1&retain=true&contentType=text/plain&responseTopic=dt/back&messageExpiry=60", "hello",
		"x-amz-mqtt5-user-properties: "+props, "x-amz-mqtt5-payload-format-indicator: UTF8_DATA", "x-amz-mqtt5-correlation-data: Yw=="))
	m, err := d.Receive()
	must(t, err)
	pr := m.Properties
	if m.Topic != "dt/é/1" || string(m.Payload) != "hello" || m.QoS != 1 || m.Retain || pr.ContentType.Or("") != "text/plain" ||
		pr.ResponseTopic.Or("") != "dt/back" || pr.MessageExpiry.Or(0) > 60 || string(pr.CorrelationData) != "c" || pr.PayloadFormat.Or(0) != 1 ||
		!slices.Equal(pr.User, []mqtt.UserProperty{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}}) {
		t.Errorf("got %+v", m)
	}

	t.Run("what it retains is shown", func(t *testing.T) {
		text, err := call(admin, "GET", api.Path("retainedMessage", "dt/é/1"), "")
		must(t, err)
		got := read[retainedAnswer](t, text)
		if got.Topic != "dt/é/1" || string(got.Payload) != "hello" || got.QoS != 1 || got.LastModifiedTime < 1e12 || string(got.UserProperties) != `[{"b":"2"},{"a":"1"}]` {
			t.Errorf("got %s", text)
		}
		_, err = call(s.as("111122223333", tenants.Admin), "GET", api.Path("retainedMessage", "dt/é/1"), "")
		if err == nil {
			t.Error("another account sees it")
		}
	})
	t.Run("page by page", func(t *testing.T) {
		for i := range 4 {
			must(t, publishes(admin, fmt.Sprintf("open/%d", i), "retain=true", strings.Repeat("x", i+1)))
		}
		var topics []string
		for token := ""; ; {
			var page retainedAnswer
			must(t, admin.Do(context.Background(), "GET", "/retainedMessage", url.Values{"maxResults": {"2"}, "nextToken": {token}}, nil, nil, &page))
			for _, m := range page.RetainedTopics {
				topics = append(topics, fmt.Sprintf("%s %d %d", m.Topic, m.PayloadSize, m.QoS))
			}
			if token = page.NextToken; token == "" {
				break
			}
		}
		if want := []string{"dt/é/1 5 1", "open/0 1 0", "open/1 2 0", "open/2 3 0", "open/3 4 0"}; !slices.Equal(topics, want) {
			t.Errorf("got %q", topics)
		}
	})
	t.Run("an empty one deletes", func(t *testing.T) {
		must(t, publishes(admin, "open/0", "retain=true", ""))
		_, err := call(admin, "GET", "/retainedMessage/open%2F0", "")
		wantRefusal(t, err, "ResourceNotFoundException", `Topic "open/0" retains no message.`)
	})
	t.Run("a topic may be written with its slashes", func(t *testing.T) {
		text, err := call(admin, "GET", "/retainedMessage/open/1", "")
		must(t, err)
		if got := read[retainedAnswer](t, text); got.Topic != "open/1" {
			t.Errorf("got %s", text)
		}
	})
}

func TestErrorsOfTheDataPlane(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	one := `{"limits":{"retained-messages":1}}`
	_, err := call(admin, "PATCH", "/slipway/accounts/000000000000/us-east-1", one)
	must(t, err)
	must(t, publishes(admin, "a", "retain=true", "x"))
	admin.Pause = func(context.Context, time.Duration) error { return nil }
	for _, c := range []struct {
		method, path, query, body string
		status                    int
		exception, text           string
	}{
		{"POST", "/topics/a%2F%23", "", "x", 400, "InvalidRequestException", "contains a wildcard"},
		{"POST", "/topics/" + strings.Repeat("a", 257), "", "x", 400, "InvalidRequestException", "is too long"},
		{"POST", "/topics/a", "qos=2", "x", 400, "InvalidRequestException", "qos"},
		{"POST", "/topics/a", "retain=yes", "x", 400, "InvalidRequestException", "retain"},
		{"POST", "/topics/a", "", strings.Repeat("x", 131_073), 413, "RequestEntityTooLargeException", "131073 bytes; at most 131072"},
		{"POST", "/topics/%24aws%2Fevents%2Fx", "", "x", 400, "InvalidRequestException", "reserved"},
		{"POST", "/topics/%24aws%2Fthings%2Ft%2Fshadow%2Fupdate", "", "x", 400, "InvalidRequestException", "reserved"},
		{"POST", "/topics/b", "retain=true", "x", 429, "ThrottlingException", "retains messages on 1 topics"},
		{"GET", "/retainedMessage/none", "", "", 404, "ResourceNotFoundException", `"none"`},
		{"GET", "/retainedMessage", "maxResults=201", "", 400, "InvalidRequestException", "between 1 and 200"},
		{"GET", "/retainedMessage", "nextToken=x", "", 400, "InvalidRequestException", "nextToken"},
		{"GET", "/connections/none", "", "", 404, "ResourceNotFoundException", `"none"`},
		{"GET", "/connections/none/subscriptions", "", "", 404, "ResourceNotFoundException", `"none"`},
		{"DELETE", "/connections/none", "", "", 404, "ResourceNotFoundException", `"none"`},
		{"DELETE", "/connections/none", "cleanSession=1", "", 400, "InvalidRequestException", "cleanSession"},
		{"GET", "/things/t/shadow", "", "", 501, "NotImplementedException", "GetThingShadow"},
		{"POST", "/things/t/shadow", "", "{}", 501, "NotImplementedException", "UpdateThingShadow"},
		{"PUT", "/things/t/jobs/$next", "", "{}", 501, "NotImplementedException", "StartNextPendingJobExecution"},
		{"POST", "/connections/none/messages", "topic=a", "x", 404, "ResourceNotFoundException", `"none"`},
		{"POST", "/connections/none/messages", "", "x", 400, "InvalidRequestException", "topic is missing"},
		{"POST", "/connections/none/messages", "topic=a%2F%2B", "x", 400, "InvalidRequestException", "contains a wildcard"},
		{"POST", "/connections/none/messages", "topic=%24aws%2Frules%2Fr%2Ft", "x", 400, "InvalidRequestException", "reserved"},
		{"POST", "/connections/none/messages", "topic=a&confirmation=1", "x", 400, "InvalidRequestException", "expected true or false"},
		{"POST", "/connections/none/messages", "topic=a&confirmation=true&timeout=0", "x", 400, "InvalidRequestException", "between 1 and 15"},
		{"POST", "/connections/none/messages", "topic=a&contentType=%FF", "x", 400, "InvalidRequestException", "UTF-8"},
		{"POST", "/connections/none/messages", "topic=a", strings.Repeat("x", 131_073), 413, "RequestEntityTooLargeException", "131073 bytes; at most 131072"},
		{"POST", "/connections/%24GEN%2Fx/messages", "topic=a", "x", 400, "InvalidRequestException", "does not begin with $"},
		{"POST", "/topics/a", "contentType=%00", "x", 400, "InvalidRequestException", "U+0000"},
	} {
		t.Run(c.method+" "+arn.Clip(c.path, 60)+"?"+c.query, func(t *testing.T) {
			values, _ := url.ParseQuery(c.query)
			err := admin.Do(context.Background(), c.method, c.path, values, nil, []byte(c.body), nil)
			wantRefusal(t, err, c.exception, c.text)
			if !isStatus(err, c.status) {
				t.Errorf("got %v, want status %d", err, c.status)
			}
		})
	}
	t.Run("they carry a trace id, and no colon", func(t *testing.T) {
		answer, err := http.Get(s.Endpoints().Control + "/retainedMessage/a") // not signed
		must(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		got := read[map[string]string](t, string(body))
		if answer.StatusCode != 403 || answer.Header.Get("x-amzn-ErrorType") != "ForbiddenException" || got["traceId"] != answer.Header.Get("x-amzn-RequestId") || got["message"] == "" {
			t.Errorf("got %d %v: %s", answer.StatusCode, answer.Header, body)
		}
	})
}

func TestConnectionsByTheDataPlane(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	watch := s.watch("$aws/events/presence/disconnected/lamp-1")
	r, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	conn.Close()
	_, err = watch.Receive()
	must(t, err)
	d, err := client.Dial(context.Background(), s.options(r.Cert, "lamp-1"))
	must(t, err)
	defer d.Close()
	must(t, d.Subscribe("dt/a", "dt/b", "dt/c"))
	about := func(query string) map[string]any {
		t.Helper()
		values, _ := url.ParseQuery(query)
		var out map[string]any
		must(t, admin.Do(context.Background(), "GET", "/connections/lamp-1", values, nil, nil, &out))
		return out
	}
	if got := about("includeSocketInformation=true"); got["connected"] != true || got["clientId"] != "lamp-1" || got["thingName"] != "lamp-1" ||
		got["sourceIp"] != "127.0.0.1" || got["targetPort"] == nil || got["disconnectReason"] != nil || got["connectedSince"].(float64) < 1e12 {
		t.Errorf("got %v", got)
	}
	if got := about(""); got["sourceIp"] != nil {
		t.Errorf("the address was not asked for: %v", got)
	}
	t.Run("its subscriptions, page by page", func(t *testing.T) {
		var filters []string
		for token := ""; ; {
			var page struct {
				Subscriptions []struct{ TopicFilter string }
				NextToken     string
			}
			must(t, admin.Do(context.Background(), "GET", "/connections/lamp-1/subscriptions", url.Values{"maxResults": {"2"}, "nextToken": {token}}, nil, nil, &page))
			for _, f := range page.Subscriptions {
				filters = append(filters, f.TopicFilter)
			}
			if token = page.NextToken; token == "" {
				break
			}
		}
		if !slices.Equal(filters, []string{"dt/a", "dt/b", "dt/c"}) {
			t.Errorf("got %q", filters)
		}
	})
	t.Run("it is deleted, and remembered for a while", func(t *testing.T) {
		_, err := call(admin, "DELETE", "/connections/lamp-1", "")
		must(t, err)
		if err := d.Wait(); err == nil || !strings.Contains(err.Error(), "DeleteConnection") {
			t.Errorf("the device sees %v", err)
		}
		m, err := watch.Receive()
		must(t, err)
		if !strings.Contains(string(m.Payload), `"clientInitiatedDisconnect":false,"disconnectReason":"API_INITIATED_DISCONNECT"`) {
			t.Errorf("the event says %s", m.Payload)
		}
		if got := about(""); got["connected"] != false || got["disconnectReason"] != "API_INITIATED_DISCONNECT" || got["disconnectedSince"] == nil {
			t.Errorf("got %v", got)
		}
		_, err = call(admin, "DELETE", "/connections/lamp-1", "")
		wantRefusal(t, err, "ResourceNotFoundException", "lamp-1")
	})
}

func TestDirectMessagesByTheDataPlane(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	d := s.watch("own/#")
	a, err := sends(admin, "lamp-watcher", "topic=dt/lamp&contentType=text/plain", "on")
	must(t, err)
	if a.Message != "OK" || a.TraceID == "" {
		t.Errorf("answered %+v", a)
	}
	m, err := d.Receive()
	must(t, err)
	if m.Topic != "dt/lamp" || string(m.Payload) != "on" || m.QoS != 0 || m.Properties.ContentType.Or("") != "text/plain" {
		t.Errorf("got %+v", m)
	}
	_, err = sends(admin, "lamp-watcher", "topic=dt/lamp&confirmation=true&timeout=1", "unread") // nobody reads, and acknowledges
	if wantRefusal(t, err, "GatewayTimeoutException", "did not acknowledge the message within 1s"); !isStatus(err, 504) {
		t.Errorf("got %v", err)
	}
	heard := make(chan error, 1)
	go func() {
		_, err := d.Receive()
		if err == nil {
			_, err = d.Receive()
		}
		heard <- err
	}()
	_, err = sends(admin, "lamp-watcher", "topic=dt/lamp&confirmation=true&timeout=15", "confidential")
	must(t, err)
	must(t, <-heard)
	_, err = sends(s.as("111122223333", tenants.Admin), "lamp-watcher", "topic=dt/lamp", "x")
	wantRefusal(t, err, "ResourceNotFoundException", "lamp-watcher")

	all, _ := auditOf(t, admin, nil)
	var said []string
	for _, r := range all[len(all)-3:] {
		said = append(said, r.Action+" "+r.Changes[0].Kind+" "+r.Changes[0].Name+" "+string(r.Changes[0].After))
	}
	const to = "iot:SendDirectMessage connection lamp-watcher "
	if want := []string{
		to + `{"confirmation":false,"confirmed":false,"payloadSize":2,"topic":"dt/lamp"}`,
		to + `{"confirmation":true,"confirmed":false,"payloadSize":6,"topic":"dt/lamp"}`,
		to + `{"confirmation":true,"confirmed":true,"payloadSize":12,"topic":"dt/lamp"}`,
	}; !slices.Equal(said, want) {
		t.Errorf("the trail says %q", said)
	}
}

func TestWhoMayUseTheDataPlane(t *testing.T) {
	s := start(t, t.TempDir())
	must(t, publishes(s.admin(), "a", "retain=true", "x"))
	reads := []tenants.Role{tenants.Operator, tenants.Auditor}
	writes := []tenants.Role{tenants.Operator}
	for _, r := range []tenants.Role{tenants.Operator, tenants.Installer, tenants.Auditor, tenants.Function} {
		c := s.as(arn.Default.Account, r)
		for _, op := range []struct {
			method, path string
			may          []tenants.Role
		}{
			{"POST", "/topics/a", writes}, {"DELETE", "/connections/c", writes}, {"POST", "/connections/c/messages", writes},
			{"GET", "/retainedMessage/a", reads}, {"GET", "/retainedMessage", reads}, {"GET", "/connections/c", reads}, {"GET", "/connections/c/subscriptions", reads},
		} {
			_, err := call(c, op.method, op.path, "")
			if denied := isStatus(err, 403); denied == slices.Contains(op.may, r) {
				t.Errorf("%s %s as %s: %v", op.method, op.path, r, err)
			} else if denied {
				wantRefusal(t, err, "ForbiddenException", "is not authorized to perform: iot:")
			}
		}
	}
}

// What changes something stands in the trail; the payload does not.
func TestTheDataPlaneIsInTheTrail(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	s.furnish()
	r, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	conn.Close()
	d, err := client.Dial(context.Background(), s.options(r.Cert, "lamp-1"))
	must(t, err)
	defer d.Close()
	must(t, admin.Do(context.Background(), "DELETE", "/connections/lamp-1", url.Values{"preventWillMessage": {"true"}}, nil, nil, nil))
	must(t, publishes(admin, "dt/a", "retain=true", "confidential"))
	if err := publishes(admin, "dt/+", "", "x"); err == nil {
		t.Error("a wildcard was published")
	}
	all, _ := auditOf(t, admin, nil)
	last := all[len(all)-2:]
	for i, want := range []string{"iot:DeleteConnection connection lamp-1", "iot:Publish topic dt/a"} {
		if r := last[i]; r.Action+" "+r.Changes[0].Kind+" "+r.Changes[0].Name != want || r.Who.Key != admin.AccessKeyID {
			t.Errorf("got %+v, want %s", r, want)
		}
	}
	if said := string(last[1].Changes[0].After); strings.Contains(said, "confidential") || !strings.Contains(said, `"payloadSize":12`) {
		t.Errorf("the trail says %s", said)
	}
}

// Who signs may come to the devices' port too, as to AWS's 443; the rest of the
// control plane is not there.
func TestTheDataPlaneAtTheDevicesPort(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.HTTPS, c.ALPN = "127.0.0.1:0", "127.0.0.1:0" })
	other := s.as("111122223333", tenants.Admin)
	for _, port := range []string{s.Endpoints().HTTPS, s.Endpoints().ALPN} {
		admin := s.admin()
		admin.Endpoint = "https://" + port
		must(t, publishes(admin, "dt/kept", "retain=true", "of "+port))
		text, err := call(admin, "GET", api.Path("retainedMessage", "dt/kept"), "")
		must(t, err)
		if got := read[retainedAnswer](t, text); string(got.Payload) != "of "+port {
			t.Errorf("got %s", text)
		}
		_, err = sends(admin, "nobody", "topic=a", "x")
		wantRefusal(t, err, "ResourceNotFoundException", "nobody")
		if _, err := call(admin, "GET", "/things", ""); err == nil {
			t.Error("the control plane is there as well")
		}
		forged := s.with(other.AccessKeyID, "another secret altogether")
		forged.Endpoint = admin.Endpoint
		wantRefusal(t, publishes(forged, "dt/kept", "", "x"), "ForbiddenException", "The signature does not match")
	}
}
