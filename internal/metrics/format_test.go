package metrics_test

import (
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/slipway-iot/slipway/internal/metrics"
)

// read has Prometheus's own parser read the page.
func read(t testing.TB, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page(m)))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, page(m))
	}
	return families
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func TestPrometheusReadsThePage(t *testing.T) {
	m := metrics.New()
	m.Attempt("claim", "refused")
	m.Attempt("claim", "refused")
	m.Attempt("jitp", "provisioned")
	for _, d := range []time.Duration{0, 500 * time.Microsecond, 500*time.Microsecond + 1, time.Second, 11 * time.Second} {
		m.Stage("register", d)
	}
	m.Gauge("slipway_backslash", "A \\ and\na new line.", func() float64 { return math.Inf(1) })
	m.Gauge("slipway_nothing", "Not a number.", math.NaN)
	m.Gauge("slipway_tiny", "Small.", func() float64 { return -1e-9 })

	families := read(t, m)
	attempts := families["slipway_attempts_total"]
	if attempts.GetType() != dto.MetricType_COUNTER || len(attempts.GetMetric()) != 2 {
		t.Fatalf("attempts are %v", attempts)
	}
	for _, a := range attempts.GetMetric() {
		want := map[string]float64{"refused": 2, "provisioned": 1}[label(a, "outcome")]
		if a.GetCounter().GetValue() != want {
			t.Errorf("%v, want %v", a, want)
		}
	}

	h := families["slipway_stage_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 5 || math.Abs(h.GetSampleSum()-12.001000001) > 1e-12 {
		t.Errorf("%d of %v seconds in all", h.GetSampleCount(), h.GetSampleSum())
	}
	counts := map[float64]uint64{}
	for _, b := range h.GetBucket() {
		counts[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	for bound, want := range map[float64]uint64{.0005: 2, .001: 3, .5: 3, 1: 4, 10: 4, math.Inf(1): 5} {
		if counts[bound] != want {
			t.Errorf("%d took at most %v, want %d", counts[bound], bound, want)
		}
	}

	if got := families["slipway_backslash"]; got.GetHelp() != "A \\ and\na new line." || !math.IsInf(got.GetMetric()[0].GetGauge().GetValue(), 1) {
		t.Errorf("got %v", got)
	}
	if got := families["slipway_nothing"].GetMetric()[0].GetGauge().GetValue(); !math.IsNaN(got) {
		t.Errorf("got %v", got)
	}
	if got := families["slipway_tiny"].GetMetric()[0].GetGauge().GetValue(); got != -1e-9 {
		t.Errorf("got %v", got)
	}
}

// Prometheus's linter knows the conventions of names and units.
func TestThePageKeepsTheConventions(t *testing.T) {
	m := metrics.New()
	m.Attempt("claim", "provisioned")
	m.Stage("register", time.Second)
	m.Refusal("sni")
	m.Message("in", 1)
	m.Request("iot:CreateThing", "200")
	m.Function("allowed", time.Second)
	m.Dropped("attempt")
	m.Action("republish", "done")
	problems, err := promlint.New(strings.NewReader(page(m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What the process is told of lies between bounds that every process keeps.
func TestTheProcessIsToldOf(t *testing.T) {
	runtime.GC()
	families := read(t, metrics.New())
	now := float64(time.Now().Unix())
	for name, within := range map[string][2]float64{
		"go_goroutines":                    {1, 1e4},
		"go_threads":                       {1, 1e4},
		"go_sched_gomaxprocs_threads":      {1, 1e4},
		"go_memstats_alloc_bytes":          {1e4, 1e10},
		"go_memstats_last_gc_time_seconds": {now - 60, now + 5},
		"go_memstats_heap_inuse_bytes":     {1e4, 1e10},
		"go_memstats_sys_bytes":            {1e5, 1e11},
		"go_memstats_mallocs_total":        {100, 1e12},
		"process_cpu_seconds_total":        {1e-6, 1e5},
		"process_resident_memory_bytes":    {1e6, 1e11},
		"process_virtual_memory_bytes":     {1e6, 1e15},
		"process_open_fds":                 {3, 1e4},
		"process_max_fds":                  {10, 1e19},
		"process_start_time_seconds":       {now - 86400, now + 5},
	} {
		f := families[name]
		if f == nil && runtime.GOOS != "linux" && strings.HasPrefix(name, "process_") {
			continue
		}
		if f == nil {
			t.Errorf("%s is not there", name)
			continue
		}
		got := f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		if got < within[0] || got > within[1] {
			t.Errorf("%s is %v", name, got)
		}
	}
	if s := families["go_gc_duration_seconds"].GetMetric()[0].GetSummary(); s.GetSampleCount() < 1 || s.GetSampleSum() <= 0 || len(s.GetQuantile()) != 5 {
		t.Errorf("of garbage collections: %v", s)
	}
	if v := label(families["go_info"].GetMetric()[0], "version"); !strings.HasPrefix(v, "go1.") && !strings.HasPrefix(v, "devel") {
		t.Errorf("the version of Go is %q", v)
	}
}

func TestPagesAreWrittenWhileThingsHappen(t *testing.T) {
	const times = 200
	m := metrics.New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range times {
				m.Stage([]string{"connect", "register"}[i%2], time.Duration(i)*time.Millisecond)
				m.Message("in", 2)
				m.Connection(1)
			}
		})
		wg.Go(func() {
			for range times / 10 {
				for _, h := range read(t, m)["slipway_stage_seconds"].GetMetric() {
					buckets := h.GetHistogram().GetBucket()
					if last := buckets[len(buckets)-1]; last.GetCumulativeCount() != h.GetHistogram().GetSampleCount() {
						t.Errorf("%d in all, %d in the last bucket", h.GetHistogram().GetSampleCount(), last.GetCumulativeCount())
					}
				}
			}
		})
	}
	wg.Wait()
	families := read(t, m)
	if got := families["slipway_messages_total"].GetMetric()[0].GetCounter().GetValue(); got != 4*times*2 {
		t.Errorf("%v messages", got)
	}
	if got := families["slipway_connections"].GetMetric()[0].GetGauge().GetValue(); got != 4*times {
		t.Errorf("%v connections", got)
	}
}

func TestTwoOfOneNameAreRefused(t *testing.T) {
	m := metrics.New()
	m.Gauge("slipway_depth", "Depth.", func() float64 { return 0 })
	defer func() {
		if recover() == nil {
			t.Error("both are on the page")
		}
	}()
	m.Counter("slipway_depth", "Depth.", func() float64 { return 0 })
}

// FuzzLabels looks for a label that breaks the page, or comes back as another.
func FuzzLabels(f *testing.F) {
	for _, s := range []string{"claim", "", `a"b`, `a\`, "a\nb", `\n`, "\xff", "é{}#", "a\rb", "\x00"} {
		f.Add(s, "x")
	}
	f.Fuzz(func(t *testing.T, door, outcome string) {
		m := metrics.New()
		m.Attempt(door, outcome)
		got := read(t, m)["slipway_attempts_total"].GetMetric()
		if len(got) != 1 {
			t.Fatalf("%d series of one attempt", len(got))
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		if a, b := label(got[0], "door"), label(got[0], "outcome"); a != valid(door) || b != valid(outcome) {
			t.Errorf("%q, %q came back as %q, %q", door, outcome, a, b)
		}
	})
}
