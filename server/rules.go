package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	httpfn "github.com/slipway-iot/slipway/functions/http"
)

// dispatcher makes what runs topic rules. What they republish goes the way of
// the server's own messages.
func (s *Server) dispatcher() *dispatch.Dispatcher {
	return dispatch.New(dispatch.Config{
		DB: s.bare, Functions: s.functions, Post: s.post, Tenants: s.hosts.Tenants, Journal: s.journal,
		Publish: func(m dispatch.Message, qos byte) { s.gateway.Announce(m, qos) }, // which is made after it
		Now:     s.cfg.Now, Rand: s.cfg.Rand, Log: s.cfg.Log, Metrics: s.metrics,
	})
}

// hear lets the rules hear what passed through the gateway, while it closes
// too: what is kept then is carried out by the next run.
func (s *Server) hear(ctx context.Context, m dispatch.Message) {
	s.dispatch.Hear(context.WithoutCancel(ctx), m)
}

// wanted says whether a rule hears a topic.
func (s *Server) wanted(t arn.Tenant, topic string) bool {
	return s.dispatch.Wants(context.Background(), t, topic)
}

// postTime is how long an endpoint of a rule may take.
const postTime = 5 * time.Second

// post calls the endpoint of an HTTP action under the guard that http
// functions have.
func (s *Server) post(ctx context.Context, _ arn.Tenant, url string, header http.Header, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	if !strings.HasPrefix(url, "https://") {
		return fault.New(fault.InvalidRequest, "The URL of an http action: expected https.")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "The URL of an http action is not valid.")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.callers[s.private(req.URL.Hostname())].Do(req)
	if err != nil {
		return httpfn.Unreachable("The endpoint", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection serves the next one
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fault.New(fault.Unavailable, "%s", fmt.Sprintf("The endpoint answered with status %d; 2xx is expected.", resp.StatusCode))
	}
	return nil
}
