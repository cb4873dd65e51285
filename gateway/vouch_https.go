package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/authorize"
)

// shownBy is what an authorizer sees of a request.
func shownBy(r *http.Request) *authorize.HTTP {
	headers := make(map[string]string, len(r.Header)+1)
	for name, values := range r.Header {
		headers[name] = strings.Join(values, ", ")
	}
	headers["host"] = r.Host
	return authorize.NewHTTP(headers, r.URL.RawQuery)
}

// A keptVerdict is what an authorizer said of requests alike on one connection.
type keptVerdict struct {
	of      [sha256.Size]byte
	verdict *authorize.Verdict
	until   time.Time
}

// mark tells requests apart that an authorizer might judge differently: by all
// that they show but the length of what they carry.
func mark(h *authorize.HTTP) [sha256.Size]byte {
	shown := *h
	shown.Headers = make(map[string]string, len(h.Headers))
	for name, value := range h.Headers {
		if name != "content-length" {
			shown.Headers[name] = value
		}
	}
	text, _ := json.Marshal(shown) // of texts alone: it cannot fail
	return sha256.Sum256(text)
}

// introduceHTTPS lets an authorizer judge a request. With enableCachingForHttp
// it is not asked about the next ones on the connection that show the same,
// until its policies' time is over.
func (s *session) introduceHTTPS(r *http.Request, v *visit) error {
	h := shownBy(r)
	m := mark(h)
	if k := v.kept; k.verdict != nil && k.of == m && time.Now().Before(k.until) { // a wait, not a value: the real clock
		s.trust(k.verdict)
		return nil
	}
	v.kept = keptVerdict{}
	said, err := s.vouch(&authorize.Request{Connection: s.rec.ID(), HTTP: h})
	if err != nil {
		return err
	}
	if said.Caching {
		v.kept = keptVerdict{of: m, verdict: said, until: time.Now().Add(said.Refresh)}
	}
	s.trust(said)
	return nil
}

// mayAsk says whether an authorizer is asked about a request without a
// signature: always where a domain configuration says so, else if the tenant
// has one.
func (g *Gateway) mayAsk(ctx context.Context, v *visit) (bool, error) {
	switch {
	case !v.asks:
		return false, nil
	case v.domain != nil && v.domain.Authentication != access.ByDefault:
		return true, nil
	case g.Authorizers == nil:
		return false, nil
	}
	t, known := g.Names.Tenant(v.state.ServerName)
	if !known {
		return false, nil
	}
	return g.Authorizers.Any(ctx, t)
}
