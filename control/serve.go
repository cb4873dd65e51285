package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
)

// maxBody bounds a request's body. The largest that AWS's model allows is a
// policy document, and those are refused far below.
const maxBody = 1 << 20

// ServeHTTP answers one request and logs it in one line.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.cfg.Now()
	c := &Call{Header: r.Header, RequestID: s.requestID()}
	answer, err := s.serve(r, c)
	if err == nil {
		answer, err = render(answer)
	}
	s.denied(r, c, err)
	status := s.reply(w, r, c, answer, err)
	s.cfg.Metrics.Request(c.Action, strconv.Itoa(status))
	s.note(r, c, status, s.cfg.Now().Sub(began), err)
}

// serve takes a request through the steps that all of them share.
func (s *Server) serve(r *http.Request, c *Call) (any, error) {
	if err := s.guard(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidPayload, err, "The request body ended too early.")
	}
	if len(body) > maxBody {
		return nil, fault.New(fault.InvalidRequest, "The request body is larger than %d bytes.", maxBody)
	}
	c.Body = body
	rt, names, unrouted := s.routes.find(r.Method, r.URL.EscapedPath())
	if rt != nil {
		c.Path, c.Action, c.data = names, rt.action, rt.data
	}
	if err := s.authenticate(r.Context(), r, c); err != nil {
		return nil, err
	}
	c.admitted = true
	if unrouted != nil {
		return nil, unrouted
	}
	if err := allow(c); err != nil {
		return nil, err
	}
	if c.profile == tenants.AWS {
		if err := s.quotas.spend(c.Tenant, c.Action, s.cfg.Now()); err != nil {
			return nil, err
		}
	}
	if rt.handle == nil {
		_, name, _ := strings.Cut(c.Action, ":")
		return nil, fault.New(fault.NotImplemented, "%s is not implemented by Slipway yet.", name)
	}
	if c.Query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, fault.New(fault.InvalidRequest, "The query is not percent-encoded as it should be.")
	}
	return rt.handle(trail.With(r.Context(), cause(r, c)), c)
}

func (s *Server) requestID() string {
	id, err := uuid.NewRandomFromReader(s.cfg.Rand)
	if err != nil {
		return uuid.Nil.String()
	}
	return id.String()
}

// render makes bytes of an answer, so that one that cannot be is an error
// before anything was sent.
func render(answer any) (Raw, error) {
	switch a := answer.(type) {
	case Raw:
		return a, nil
	case nil:
		return Raw{"application/json", []byte("{}")}, nil
	}
	body, err := json.Marshal(answer)
	return Raw{"application/json", body}, err
}

// reply writes the answer, or the error in the envelope that AWS's tools read
// (rest-api.md, section 3.1), and gives the status.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, c *Call, answer any, err error) int {
	h := w.Header()
	h.Set("x-amzn-RequestId", c.RequestID)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	status := http.StatusOK
	raw, _ := answer.(Raw)
	if err != nil {
		face, text := fault.Show(err)
		if c.data {
			face = dataFace(face)
		}
		status = face.REST
		h.Set("x-amzn-ErrorType", face.Exception)
		raw = envelope(c, face, text, err)
	}
	h.Set("Content-Type", raw.ContentType)
	w.WriteHeader(status)
	if _, err := w.Write(raw.Body); err != nil {
		s.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "control: answer not taken", slog.String("requestId", c.RequestID))
	}
	return status
}

func envelope(c *Call, face fault.Face, text string, err error) Raw {
	if c.Action == getCallerIdentity {
		return stsError(face, text, c.RequestID)
	}
	body := struct {
		Message     string `json:"message"`
		TraceID     string `json:"traceId,omitempty"`
		ResourceID  string `json:"resourceId,omitempty"`
		ResourceARN string `json:"resourceArn,omitempty"`
	}{Message: text}
	var e *fault.Error
	if errors.As(err, &e) {
		body.ResourceID, body.ResourceARN = e.ResourceID, e.ResourceARN
	}
	if c.data {
		body.TraceID = c.RequestID
	}
	out, _ := json.Marshal(body) // strings only: it cannot fail
	return Raw{"application/json", out}
}

// note writes the one log line of a request. It holds names, never bodies,
// headers or queries.
func (s *Server) note(r *http.Request, c *Call, status int, took time.Duration, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("action", c.Action), slog.Int("status", status), slog.Duration("took", took),
		slog.String("requestId", c.RequestID), slog.String("remote", r.RemoteAddr),
	}
	if c.Key != nil {
		attrs = append(attrs, slog.String("tenant", c.Tenant.String()), slog.String("key", c.Key.ID))
	}
	if err != nil {
		face, _ := fault.Show(err)
		level = face.Level
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			level = slog.LevelInfo // the caller went away
		}
		attrs = append(attrs, slog.String("error", face.Exception), slog.String("cause", arn.Clip(err.Error(), 1000)))
	}
	s.cfg.Log.LogAttrs(r.Context(), level, "control", attrs...)
}
