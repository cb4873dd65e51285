// Package metrics counts what Slipway does, for Prometheus. It is the one
// package that knows the Prometheus client; the others call methods named
// after what happened. Every method but Handler works on a nil *Metrics and
// then does nothing, so tests need none.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds the counters of one server.
type Metrics struct {
	registry    *prometheus.Registry
	attempts    *prometheus.CounterVec
	stages      *prometheus.HistogramVec
	connections prometheus.Gauge
	refusals    *prometheus.CounterVec
	messages    *prometheus.CounterVec
	requests    *prometheus.CounterVec
	functions   *prometheus.HistogramVec
	dropped     *prometheus.CounterVec
	actions     *prometheus.CounterVec
}

var latency = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New makes the metrics of one server, with Go's own beside them.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_attempts_total",
			Help: "Attempts by door and outcome."}, []string{"door", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_stage_seconds",
			Help: "Duration of each stage of the claim flow on the server.", Buckets: latency}, []string{"stage"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "slipway_connections",
			Help: "Open MQTT connections that passed CONNECT."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_refusals_total",
			Help: "Refusals by cause."}, []string{"cause"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_messages_total",
			Help: "Application messages by direction."}, []string{"direction"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_control_requests_total",
			Help: "Control plane requests by operation and HTTP status."}, []string{"operation", "status"}),
		functions: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "slipway_function_seconds",
			Help: "Duration of function calls by verdict.", Buckets: latency}, []string{"verdict"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_dropped_total",
			Help: "What was dropped because a bound was reached."}, []string{"what"}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_rule_actions_total",
			Help: "Actions of topic rules by kind and outcome, each try."}, []string{"kind", "outcome"}),
	}
	m.registry.MustRegister(m.attempts, m.stages, m.connections, m.refusals, m.messages, m.requests, m.functions, m.dropped, m.actions,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Gauge shows a value that is read when Prometheus asks.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	if m != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
}

// Counter shows a growing value that is read when Prometheus asks.
func (m *Metrics) Counter(name, help string, read func() float64) {
	if m != nil {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
	}
}

// Labelled shows one value per label, read when Prometheus asks.
func (m *Metrics) Labelled(name, help, label string, values []string, read func() []float64) {
	if m == nil {
		return
	}
	m.registry.MustRegister(&labelled{
		desc: prometheus.NewDesc(name, help, []string{label}, nil), values: values, read: read,
	})
}

type labelled struct {
	desc   *prometheus.Desc
	values []string
	read   func() []float64
}

func (l *labelled) Describe(ch chan<- *prometheus.Desc) { ch <- l.desc }

func (l *labelled) Collect(ch chan<- prometheus.Metric) {
	for i, v := range l.read() {
		ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, v, l.values[i])
	}
}

// Attempt counts a finished attempt.
func (m *Metrics) Attempt(door, outcome string) {
	if m != nil {
		m.attempts.WithLabelValues(door, outcome).Inc()
	}
}

// Stage records how long a stage took.
func (m *Metrics) Stage(name string, d time.Duration) {
	if m != nil {
		m.stages.WithLabelValues(name).Observe(d.Seconds())
	}
}

// Connection counts connections up or down.
func (m *Metrics) Connection(delta int) {
	if m != nil {
		m.connections.Add(float64(delta))
	}
}

// Refusal counts a refusal by its cause, a short fixed word.
func (m *Metrics) Refusal(cause string) {
	if m != nil {
		m.refusals.WithLabelValues(cause).Inc()
	}
}

// Message counts n application messages, direction "in" or "out".
func (m *Metrics) Message(direction string, n int) {
	if m != nil {
		m.messages.WithLabelValues(direction).Add(float64(n))
	}
}

// Request counts a control plane request.
func (m *Metrics) Request(operation, status string) {
	if m != nil {
		m.requests.WithLabelValues(operation, status).Inc()
	}
}

// Function records a function call and its verdict.
func (m *Metrics) Function(verdict string, d time.Duration) {
	if m != nil {
		m.functions.WithLabelValues(verdict).Observe(d.Seconds())
	}
}

// Dropped counts what a bound made us drop.
func (m *Metrics) Dropped(what string) {
	if m != nil {
		m.dropped.WithLabelValues(what).Inc()
	}
}

// Action counts a try of a topic rule's action.
func (m *Metrics) Action(kind, outcome string) {
	if m != nil {
		m.actions.WithLabelValues(kind, outcome).Inc()
	}
}
