// Package metrics counts what Slipway does, for Prometheus: it writes the text
// format that Prometheus and its kin read. The others call methods named after
// what happened. Every method but Handler works on a nil *Metrics and then does
// nothing, so tests need none.
package metrics

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics holds the counters of one server.
type Metrics struct {
	attempts    *counters
	stages      *histograms
	connections atomic.Int64
	refusals    *counters
	messages    *counters
	requests    *counters
	functions   *histograms
	dropped     *counters
	actions     *counters

	mu       sync.Mutex
	families []family // by name
}

// New makes the metrics of one server, with those of the process beside them.
func New() *Metrics {
	m := &Metrics{}
	m.attempts = m.counters("slipway_attempts_total", "Attempts by door and outcome.", "door", "outcome")
	m.stages = m.histograms("slipway_stage_seconds", "Duration of each stage of the claim flow on the server.", "stage")
	m.Gauge("slipway_connections", "Open MQTT connections that passed CONNECT.", func() float64 { return float64(m.connections.Load()) })
	m.refusals = m.counters("slipway_refusals_total", "Refusals by cause.", "cause")
	m.messages = m.counters("slipway_messages_total", "Application messages by direction.", "direction")
	m.requests = m.counters("slipway_control_requests_total", "Control plane requests by operation and HTTP status.", "operation", "status")
	m.functions = m.histograms("slipway_function_seconds", "Duration of function calls by verdict.", "verdict")
	m.dropped = m.counters("slipway_dropped_total", "What was dropped because a bound was reached.", "what")
	m.actions = m.counters("slipway_rule_actions_total", "Actions of topic rules by kind and outcome, each try.", "kind", "outcome")
	m.process()
	return m
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(m.page())
	})
}

func (m *Metrics) page() []byte {
	m.mu.Lock()
	families := slices.Clone(m.families)
	m.mu.Unlock()
	var p page
	for _, f := range families {
		p.family(f)
	}
	return p.text
}

// add puts a family in its place. Two of one name are a mistake of the program.
func (m *Metrics) add(f family) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, there := slices.BinarySearchFunc(m.families, f.name, func(f family, name string) int { return strings.Compare(f.name, name) })
	if there {
		panic("metrics: " + f.name + " is there twice")
	}
	m.families = slices.Insert(m.families, at, f)
}

func (m *Metrics) counters(name, help string, labels ...string) *counters {
	c := &counters{newSeries[atomic.Uint64](labels)}
	m.add(family{name, help, "counter", c.write})
	return c
}

func (m *Metrics) histograms(name, help, label string) *histograms {
	h := &histograms{newSeries[histogram]([]string{label})}
	m.add(family{name, help, "histogram", h.write})
	return h
}

// Gauge shows a value that is read when Prometheus asks.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	if m != nil {
		m.add(family{name, help, "gauge", func(p *page, name string) { p.sample(name, read()) }})
	}
}

// Counter shows a growing value that is read when Prometheus asks.
func (m *Metrics) Counter(name, help string, read func() float64) {
	if m != nil {
		m.add(family{name, help, "counter", func(p *page, name string) { p.sample(name, read()) }})
	}
}

// Labelled shows one value per label, read when Prometheus asks; it reads none
// where the values are not known.
func (m *Metrics) Labelled(name, help, label string, values []string, read func() []float64) {
	if m == nil {
		return
	}
	m.add(family{name, help, "gauge", func(p *page, name string) {
		for i, v := range read() {
			p.sample(name, v, label, values[i])
		}
	}})
}

// Attempt counts a finished attempt.
func (m *Metrics) Attempt(door, outcome string) {
	if m != nil {
		m.attempts.add(1, door, outcome)
	}
}

// Stage records how long a stage took.
func (m *Metrics) Stage(name string, d time.Duration) {
	if m != nil {
		m.stages.observe(name, d)
	}
}

// Connection counts connections up or down.
func (m *Metrics) Connection(delta int) {
	if m != nil {
		m.connections.Add(int64(delta))
	}
}

// Refusal counts a refusal by its cause, a short fixed word.
func (m *Metrics) Refusal(cause string) {
	if m != nil {
		m.refusals.add(1, cause, "")
	}
}

// Message counts n application messages, direction "in" or "out".
func (m *Metrics) Message(direction string, n int) {
	if m != nil {
		m.messages.add(n, direction, "")
	}
}

// Request counts a control plane request.
func (m *Metrics) Request(operation, status string) {
	if m != nil {
		m.requests.add(1, operation, status)
	}
}

// Function records a function call and its verdict.
func (m *Metrics) Function(verdict string, d time.Duration) {
	if m != nil {
		m.functions.observe(verdict, d)
	}
}

// Dropped counts what a bound made us drop.
func (m *Metrics) Dropped(what string) {
	if m != nil {
		m.dropped.add(1, what, "")
	}
}

// Action counts a try of a topic rule's action.
func (m *Metrics) Action(kind, outcome string) {
	if m != nil {
		m.actions.add(1, kind, outcome)
	}
}
