package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/gateway"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/retained"
	"github.com/slipway-iot/slipway/store"
)

// dataPlane is AWS's data plane, at the control port: signed requests as the
// SDKs send them (device-gateway.md, section 6). What has no answer is refused
// by name.
func (s *Server) dataPlane() []extension {
	return []extension{
		{http.MethodPost, "/topics/{topic+}", "iot:Publish", s.publish},
		{http.MethodGet, "/retainedMessage/{topic+}", "iot:GetRetainedMessage", s.getRetained},
		{http.MethodGet, "/retainedMessage", "iot:ListRetainedMessages", s.listRetained},
		{http.MethodGet, "/connections/{clientId}", "iot:GetConnection", s.getConnection},
		{http.MethodDelete, "/connections/{clientId}", "iot:DeleteConnection", s.deleteConnection},
		{http.MethodGet, "/connections/{clientId}/subscriptions", "iot:ListSubscriptions", s.listSubscriptions},
		{http.MethodPost, "/connections/{clientId}/messages", "iot:SendDirectMessage", s.sendDirect},

		{http.MethodGet, "/things/{thingName}/shadow", "iot:GetThingShadow", nil},
		{http.MethodPost, "/things/{thingName}/shadow", "iot:UpdateThingShadow", nil},
		{http.MethodDelete, "/things/{thingName}/shadow", "iot:DeleteThingShadow", nil},
		{http.MethodGet, "/api/things/shadow/ListNamedShadowsForThing/{thingName}", "iot:ListNamedShadowsForThing", nil},
		{http.MethodPut, "/things/{thingName}/jobs/{jobId}", "iot:StartNextPendingJobExecution", nil},
		{http.MethodPost, "/things/{thingName}/jobs/{jobId}", "iot:UpdateJobExecution", nil},
	}
}

// publish: POST /topics/{topic}. The body is the payload.
func (s *Server) publish(ctx context.Context, c *control.Call) (any, error) {
	p, err := gateway.ParsePublish(c.Path["topic"], c.Query, c.Header, c.Body)
	if err != nil {
		return nil, err
	}
	if err := s.gateway.Publish(ctx, c.Tenant, c.Key.ID, p); err != nil {
		return nil, err
	}
	sent := map[string]any{"qos": p.QoS, "retain": p.Retain, "payloadSize": len(p.Payload)}
	if err := s.trail.Acted(ctx, "topic", p.Topic, nil, sent); err != nil {
		return nil, err
	}
	return map[string]string{"message": "OK", "traceId": c.RequestID}, nil
}

// getRetained: GET /retainedMessage/{topic}.
func (s *Server) getRetained(ctx context.Context, c *control.Call) (any, error) {
	var m *retained.Message
	err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		m, err = retained.At(ctx, tx, c.Tenant, c.Path["topic"], s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	user, err := userProperties(m.Publish.Properties.User)
	return struct {
		Topic    string `json:"topic"`
		Payload  []byte `json:"payload"`
		QoS      byte   `json:"qos"`
		Modified int64  `json:"lastModifiedTime"`
		User     []byte `json:"userProperties,omitempty"`
	}{m.Publish.Topic, slices.Concat([]byte{}, m.Publish.Payload), m.Publish.QoS, m.Modified.UnixMilli(), user}, err
}

// userProperties writes them as AWS does: a JSON array of objects with one
// member each, nothing if there are none.
func userProperties(all []mqtt.UserProperty) ([]byte, error) {
	if len(all) == 0 {
		return nil, nil
	}
	var out []map[string]string
	for _, u := range all {
		out = append(out, map[string]string{u.Key: u.Value})
	}
	return json.Marshal(out)
}

// dataPage reads maxResults, from 1 to 200, and nextToken.
func dataPage(q url.Values, usual int) (ref.Page, error) {
	p := ref.Page{After: q.Get("nextToken"), Limit: usual}
	if text := q.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 200 {
			return p, fault.New(fault.InvalidRequest, "maxResults %q: expected a number between 1 and 200.", text)
		}
		p.Limit = n
	}
	return p, nil
}

// listRetained: GET /retainedMessage?maxResults&nextToken.
func (s *Server) listRetained(ctx context.Context, c *control.Call) (any, error) {
	p, err := dataPage(c.Query, 25)
	if err != nil {
		return nil, err
	}
	type summary struct {
		Topic    string `json:"topic"`
		Size     int    `json:"payloadSize"`
		QoS      byte   `json:"qos"`
		Modified int64  `json:"lastModifiedTime"`
	}
	items := []summary{}
	var next string
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		some, after, err := retained.List(ctx, tx, c.Tenant, p, s.cfg.Now())
		for _, m := range some {
			items = append(items, summary{m.Topic, m.Size, m.QoS, m.Modified.UnixMilli()})
		}
		next = after
		return err
	})
	return struct {
		Topics []summary `json:"retainedTopics"`
		Next   string    `json:"nextToken,omitempty"`
	}{items, next}, err
}

type connectionAnswer struct {
	Connected  bool   `json:"connected"`
	ClientID   string `json:"clientId"`
	Clean      bool   `json:"cleanSession"`
	Since      int64  `json:"connectedSince"`
	Ended      int64  `json:"disconnectedSince,omitempty"`
	Thing      string `json:"thingName,omitempty"`
	Reason     string `json:"disconnectReason,omitempty"`
	KeepAlive  int64  `json:"keepAliveDuration"`
	Expiry     int64  `json:"sessionExpiry"`
	SourceIP   string `json:"sourceIp,omitempty"`
	SourcePort int    `json:"sourcePort,omitempty"`
	TargetIP   string `json:"targetIp,omitempty"`
	TargetPort int    `json:"targetPort,omitempty"`
}

// getConnection: GET /connections/{clientId}?includeSocketInformation.
func (s *Server) getConnection(_ context.Context, c *control.Call) (any, error) {
	sockets, err := flagOf(c.Query, "includeSocketInformation")
	if err != nil {
		return nil, err
	}
	found, err := s.gateway.Connection(c.Tenant, c.Path["clientId"])
	if err != nil {
		return nil, err
	}
	a := connectionAnswer{
		Connected: found.Connected, ClientID: found.ClientID, Clean: found.Clean, Since: found.Since.UnixMilli(), Thing: found.Thing,
		Reason: found.Reason, KeepAlive: int64(found.KeepAlive.Seconds()), Expiry: int64(found.Expiry.Seconds()),
	}
	if !found.Ended.IsZero() {
		a.Ended = found.Ended.UnixMilli()
	}
	if sockets {
		a.SourceIP, a.SourcePort = socket(found.Source)
		a.TargetIP, a.TargetPort = socket(found.Target)
	}
	return a, nil
}

func socket(address string) (ip string, port int) {
	ip, text, err := net.SplitHostPort(address)
	if err == nil {
		port, _ = strconv.Atoi(text)
	}
	return ip, port
}

// deleteConnection: DELETE /connections/{clientId}?cleanSession&preventWillMessage.
func (s *Server) deleteConnection(ctx context.Context, c *control.Call) (any, error) {
	clean, err := flagOf(c.Query, "cleanSession")
	if err != nil {
		return nil, err
	}
	silent, err := flagOf(c.Query, "preventWillMessage")
	if err != nil {
		return nil, err
	}
	if err := s.gateway.Disconnect(ctx, c.Tenant, c.Path["clientId"], clean, silent); err != nil {
		return nil, err
	}
	return nil, s.trail.Acted(ctx, "connection", c.Path["clientId"], map[string]any{"connected": true},
		map[string]any{"connected": false, "cleanSession": clean, "preventWillMessage": silent})
}

// sendDirect: POST /connections/{clientId}/messages?topic&confirmation&timeout.
// The body is the payload. What was sent stands in the trail, confirmed or not.
func (s *Server) sendDirect(ctx context.Context, c *control.Call) (any, error) {
	d, err := gateway.ParseDirect(c.Path["clientId"], c.Query, c.Header, c.Body)
	if err != nil {
		return nil, err
	}
	err = s.gateway.SendDirect(ctx, c.Tenant, d)
	if err != nil && !fault.Is(err, fault.Unconfirmed) {
		return nil, err
	}
	asked := d.Message.QoS > 0
	sent := map[string]any{"topic": d.Message.Topic, "confirmation": asked, "confirmed": asked && err == nil, "payloadSize": len(d.Message.Payload)}
	if failed := s.trail.Acted(ctx, "connection", d.ClientID, nil, sent); failed != nil {
		return nil, failed
	}
	return map[string]string{"message": "OK", "traceId": c.RequestID}, err
}

// flagOf reads a parameter that is true or false; one that is left out is false.
func flagOf(q url.Values, name string) (bool, error) {
	switch text := q.Get(name); text {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, fault.New(fault.InvalidRequest, "%s %q: expected true or false.", name, text)
	}
}

// listSubscriptions: GET /connections/{clientId}/subscriptions?maxResults&nextToken.
// The token is the last filter of the page before.
func (s *Server) listSubscriptions(_ context.Context, c *control.Call) (any, error) {
	p, err := dataPage(c.Query, 20)
	if err != nil {
		return nil, err
	}
	all, err := s.gateway.Subscriptions(c.Tenant, c.Path["clientId"])
	if err != nil {
		return nil, err
	}
	type item struct {
		Filter string `json:"topicFilter"`
		QoS    byte   `json:"qos"`
	}
	out := struct {
		Subscriptions []item `json:"subscriptions"`
		Next          string `json:"nextToken,omitempty"`
	}{Subscriptions: []item{}}
	for _, f := range all {
		if f.Filter <= p.After {
			continue
		}
		if len(out.Subscriptions) == p.Limit {
			out.Next = out.Subscriptions[p.Limit-1].Filter
			break
		}
		out.Subscriptions = append(out.Subscriptions, item{f.Filter, f.QoS})
	}
	return out, nil
}
