package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// observe shows what is read when Prometheus asks.
func (s *Server) observe() {
	m := s.metrics
	m.Gauge("slipway_key_pool_depth", "RSA-2048 keys made ahead.", func() float64 { return float64(s.keys.Depth()) })
	m.Counter("slipway_key_pool_misses_total", "RSA-2048 keys made while a device waited.", func() float64 { return float64(s.keys.Misses()) })
	m.Counter("slipway_store_commits_total", "Commits on disk.", func() float64 { return float64(s.db.Stats().Commits) })
	m.Counter("slipway_store_updates_total", "Transactions committed; divided by commits: the batch size.", func() float64 { return float64(s.db.Stats().Updates) })
	m.Counter("slipway_store_retries_total", "Transactions run again after a conflict.", func() float64 { return float64(s.db.Stats().Retries) })
	m.Gauge("slipway_stored_sessions", "MQTT sessions that outlive their connections.", func() float64 { return float64(s.gateway.Sessions()) })
	m.Gauge("slipway_follow_lag_seconds", "Seconds since this node last knew all that happened in the registry; at five it admits nobody.", func() float64 { return s.pulse.since().Seconds() })
	m.Gauge("slipway_ca_expiry_seconds", "Seconds until the first CA certificate expires.", func() float64 { return s.ca.ExpiresAt().Sub(s.cfg.Now()).Seconds() })
	m.Labelled("slipway_certificates_expiring", "ACTIVE certificates that expire within so many days.", "days",
		[]string{"0", "1", "7", "30", "90"}, s.expiring())
}

// census is how long a count of certificates serves those who ask: counting
// three millions takes a second, and their days pass slowly.
const census = time.Minute

// expiring gives the last count, or a new one when that is too old.
func (s *Server) expiring() func() []float64 {
	var (
		mu     sync.Mutex
		at     time.Time
		counts []float64
	)
	return func() []float64 {
		mu.Lock()
		defer mu.Unlock()
		now := s.cfg.Now()
		if counts == nil || now.Sub(at) >= census {
			at, counts = now, s.count(now)
		}
		return counts
	}
}

// count gives nil when the store gives no answer.
func (s *Server) count(now time.Time) []float64 {
	day := 24 * time.Hour
	before := []time.Time{now, now.Add(day), now.Add(7 * day), now.Add(30 * day), now.Add(90 * day)}
	var counts []int64
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // a scrape has no context to give
	defer cancel()
	err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		counts, err = tx.ExpiringCertificates(ctx, before)
		return err
	})
	if err != nil {
		return nil
	}
	out := make([]float64, len(counts))
	for i, n := range counts {
		out[i] = float64(n)
	}
	return out
}

// controlHandler serves metrics and health beside the control API.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.named(s.metrics.Handler()))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	links := s.named(http.HandlerFunc(s.serveLink))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if linked(r) {
			links.ServeHTTP(w, r)
			return
		}
		switch r.URL.Path {
		case "/metrics", "/healthz", "/readyz":
			mux.ServeHTTP(w, r)
		default: // never through ServeMux, which redirects // and ..
			s.control.ServeHTTP(w, r)
		}
	})
}

// named refuses a page that a stranger's name leads to us for, as the control
// API does (DESIGN.md, decision 11).
func (s *Server) named(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = canonical(strings.Trim(host, "[]"))
		if !loopbackAddress(net.JoinHostPort(host, "0")) && !slices.Contains(s.hosts.Machine(), host) {
			http.Error(w, "The request is for a host that is no name of this server.", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.db.Ping(r.Context()); err != nil {
		http.Error(w, "the store cannot be reached", http.StatusServiceUnavailable)
		return
	}
	if err := s.fresh(); err != nil {
		_, text := fault.Show(err)
		http.Error(w, text, http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}
