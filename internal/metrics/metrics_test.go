package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/internal/metrics"
)

func page(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestWhatHappenedIsCounted(t *testing.T) {
	m := metrics.New()
	m.Attempt("claim", "provisioned")
	m.Stage("register", 30*time.Millisecond)
	m.Connection(2)
	m.Connection(-1)
	m.Refusal("sni")
	m.Message("in", 3)
	m.Request("CreateThing", "200")
	m.Function("allowed", time.Millisecond)
	m.Dropped("attempt")
	m.Gauge("slipway_depth", "Depth.", func() float64 { return 7 })
	m.Counter("slipway_done_total", "Done.", func() float64 { return 8 })
	m.Labelled("slipway_by_day", "By day.", "days", []string{"1", "7"}, func() []float64 { return []float64{3, 4} })
	m.Labelled("slipway_unknown", "Not known now.", "days", []string{"1"}, func() []float64 { return nil })
	got := page(m)
	for _, want := range []string{
		`slipway_attempts_total{door="claim",outcome="provisioned"} 1`, `slipway_stage_seconds_bucket{stage="register",le="0.05"} 1`,
		"slipway_connections 1", `slipway_refusals_total{cause="sni"} 1`, `slipway_messages_total{direction="in"} 3`,
		`slipway_control_requests_total{operation="CreateThing",status="200"} 1`, `slipway_function_seconds_count{verdict="allowed"} 1`,
		`slipway_dropped_total{what="attempt"} 1`, "slipway_depth 7", "slipway_done_total 8", `slipway_by_day{days="7"} 4`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the page misses %s", want)
		}
	}
	if strings.Contains(got, "slipway_unknown{") {
		t.Error("a number was made of nothing")
	}
}

func TestTwoServersCountApart(t *testing.T) {
	one, two := metrics.New(), metrics.New()
	one.Connection(1)
	if !strings.Contains(page(two), "slipway_connections 0\n") {
		t.Error("one server's connection is the other's")
	}
}

func TestNoMetricsAreNeeded(t *testing.T) {
	var m *metrics.Metrics
	m.Attempt("", "")
	m.Stage("", 0)
	m.Connection(1)
	m.Refusal("")
	m.Message("", 1)
	m.Request("", "")
	m.Function("", 0)
	m.Dropped("")
	m.Gauge("", "", nil)
	m.Counter("", "", nil)
	m.Labelled("", "", "", nil, nil)
}
