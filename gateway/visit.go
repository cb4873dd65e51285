package gateway

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/fault"
)

// session is who asks, with the attempt of the request. It has no connection of
// its own.
func (v *visit) session(g *Gateway, r *http.Request) *session {
	s := &session{g: g, identity: v.identity, from: v.from, remote: v.raw.RemoteAddr().String(), serverName: v.state.ServerName, ctx: r.Context(), domain: v.domain}
	s.rec = v.attempt(g, r)
	return s
}

// unfit says why the domain configuration of the server name does not serve a
// request.
func (v *visit) unfit(r *http.Request, path string) error {
	d := v.domain
	if d == nil || d.Authentication == access.ByDefault {
		return nil
	}
	switch socket := path == "/mqtt"; {
	case socket != (d.Protocol == access.WebSocket):
		return fault.New(fault.Refused, "Domain configuration %s serves %s alone.", d.Name, d.Protocol)
	case signedRequest(r) && d.Authentication != access.SigV4:
		return fault.New(fault.Refused, "Domain configuration %s authenticates by %s, and the request is signed with an access key.", d.Name, d.Authentication)
	}
	return nil
}

// attempt opens the attempt of one request.
func (v *visit) attempt(g *Gateway, r *http.Request) *attempts.Recorder {
	rec := g.open(v.raw, v.from)
	rec.Step("tls", greeting(v.state, v.certID))
	rec.Step("http", arn.Clip(r.Method+" "+r.URL.EscapedPath(), 300))
	return rec
}

// A refusal is an error of the data plane (device-gateway.md, section 6).
type refusal struct {
	status    int
	exception string
	text      string
}

func (r refusal) Error() string { return r.text }

// refusalOf gives an error its face in the data plane, which is that of the
// control plane but for a few.
func refusalOf(err error) refusal {
	var own refusal
	if errors.As(err, &own) {
		return own
	}
	face, text := fault.Show(err)
	r := refusal{face.REST, face.Exception, text}
	switch {
	case fault.Is(err, fault.Throttled):
		r.status = http.StatusTooManyRequests
	case face.REST == http.StatusForbidden:
		r.exception = "ForbiddenException:" // the colon as observed on AWS
	}
	return r
}

// answerHTTPS writes the data plane's answer. The trace id names it.
func answerHTTPS(w http.ResponseWriter, status int, exception, message string) {
	h := w.Header()
	id := uuid.NewString()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("x-amzn-RequestId", id)
	if exception != "" {
		h.Set("x-amzn-ErrorType", exception)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Message string `json:"message"`
		TraceID string `json:"traceId"`
	}{message, id}) // a device that is gone hears nothing
}

// refuseHTTPS answers a request with an error, and leaves its attempt. What is
// no rule is the server's own failure, and does not count against the address.
func (s *session) refuseHTTPS(w http.ResponseWriter, cause string, err error) {
	no := refusalOf(err)
	if no.status >= http.StatusInternalServerError && !fault.Is(err, fault.Unconfirmed) {
		s.g.Log.ErrorContext(s.ctx, "https", slog.String("principal", s.name()), slog.Any("err", err))
		s.rec.Fail("http", no.text)
	} else {
		s.rec.Refuse("http", no.text)
	}
	if no.status == http.StatusForbidden {
		s.g.door.failed(s.from)
	}
	face, _ := fault.Show(err)
	s.cause = cause + " " + face.Exception // what differs is not folded together
	s.g.Metrics.Refusal(cause)
	s.who()
	s.journal("")
	answerHTTPS(w, no.status, no.exception, no.text)
}
