package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/slipway-iot/slipway/sim/traffic"
)

// brokerCmd holds the gateway against mosquitto: the same load in turns, each
// broker with mutual TLS and rights to check, both in one run.
type brokerCmd struct {
	Time      time.Duration `help:"How long each run publishes." default:"600ms"`
	Rounds    int           `help:"Runs of each kind on each broker; medians count." default:"3"`
	Mosquitto string        `help:"The program to compare with, Debian's as a rule." default:"mosquitto" placeholder:"PROGRAM"`
	JSON      bool          `name:"json" help:"Print one JSON object."`
}

// brokerReport is what --json prints. Ratios of rates are Slipway's divided by
// mosquitto's, ratios of times the other way round: more than 1 is better than
// mosquitto.
type brokerReport struct {
	Worst     float64         `json:"worst"` // of the rates with clean sessions
	Lost      int             `json:"lost"`  // messages that did not arrive, at Slipway
	Rates     []brokerRate    `json:"rates"`
	Latencies []brokerLatency `json:"latencies"`
	Pinned    bool            `json:"pinned"` // for rates: servers on one core, load on the others
	Mosquitto string          `json:"mosquitto"`
	Machine   string          `json:"machine"`
}

// A brokerRate is one kind of load on both.
type brokerRate struct {
	Load      string     `json:"load"`
	QoS       byte       `json:"qos"`
	Session   string     `json:"session"` // of the subscribers: clean or persistent
	Slipway   brokerCost `json:"slipway"`
	Mosquitto brokerCost `json:"mosquitto"`
	Ratio     float64    `json:"ratio"`    // of the rates, the median of the rounds
	CPURatio  float64    `json:"cpuRatio"` // of CPU for a message
}

type brokerCost struct {
	PerSecond float64 `json:"perSecond"` // messages delivered
	CPUMicros float64 `json:"cpuMicros"` // of the server for one
	Lost      int     `json:"lost"`
}

type brokerLatency struct {
	QoS       byte      `json:"qos"`
	Session   string    `json:"session"`
	Slipway   quantiles `json:"slipway"` // milliseconds
	Mosquitto quantiles `json:"mosquitto"`
	P50Ratio  float64   `json:"p50Ratio"`
	P99Ratio  float64   `json:"p99Ratio"`
}

// A load is how many speak to how many.
type load struct {
	name        string
	publishers  int
	subscribers int
	qos         byte
	persistent  bool
}

var loads = []load{
	{"1 to 1", 1, 1, 0, false}, {"10 to 1", 10, 1, 0, false}, {"1 to 10", 1, 10, 0, false},
	{"1 to 1", 1, 1, 1, false}, {"10 to 1", 10, 1, 1, false}, {"1 to 10", 1, 10, 1, false},
	{"1 to 1", 1, 1, 1, true}, {"10 to 1", 10, 1, 1, true}, {"1 to 10", 1, 10, 1, true},
}

// brokerCrowd is how many devices the largest load needs.
const brokerCrowd = 20

func sessionWord(persistent bool) string {
	if persistent {
		return "persistent"
	}
	return "clean"
}

// Run is the benchmark.
func (c *brokerCmd) Run(ctx context.Context, s streams) error {
	if c.Time < 50*time.Millisecond || c.Rounds < 1 {
		return usageError{errors.New("expected --time of at least 50ms and --rounds of at least 1")}
	}
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &brokerBench{cmd: c, s: s}
	defer b.stop()
	if err := b.start(ctx, dir); err != nil {
		return err
	}
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, report)
	}
	return report.print(s)
}

// A brokerBench is the two brokers and the devices that both know.
type brokerBench struct {
	cmd   *brokerCmd
	s     streams
	crowd *crowd
	child *child
	peer  *mosquitto
	cores division
	runs  int
}

// A side is one of the two.
type side struct {
	traffic.Broker
	cpu func() (time.Duration, error)
}

// start runs both servers on one core and keeps the others for the load, where
// that can be done.
func (b *brokerBench) start(ctx context.Context, dir string) (err error) {
	program, err := findMosquitto(b.cmd.Mosquitto)
	if err != nil {
		return err
	}
	if b.crowd, err = newCrowd(brokerCrowd); err != nil {
		return err
	}
	b.cores = divide()
	b.child = &child{data: filepath.Join(dir, "data"), store: "sqlite", cores: b.cores.servers}
	if err = b.crowd.serve(ctx, b.s, b.child); err != nil {
		return err
	}
	if b.peer, err = startMosquitto(ctx, program, dir, b.cores.servers, b.crowd); err != nil {
		return err
	}
	return bind(b.cores.load, os.Getpid())
}

func (b *brokerBench) stop() {
	b.child.stop()
	b.peer.stop()
}

func (b *brokerBench) note(format string, args ...any) {
	if !b.cmd.JSON {
		fmt.Fprintf(b.s.out, format+"\n", args...)
	}
}

func (b *brokerBench) sides() ([2]side, error) {
	roots, err := rootsOf(b.child)
	return [2]side{
		{traffic.Broker{Address: b.child.e.MQTT, ServerName: b.child.e.Host, Roots: roots}, b.child.cpu},
		{b.peer.Broker, b.peer.cpu},
	}, err
}

func (b *brokerBench) measure(ctx context.Context) (*brokerReport, error) {
	sides, err := b.sides()
	if err != nil {
		return nil, err
	}
	r := &brokerReport{Pinned: b.cores.servers != "", Mosquitto: b.peer.version, Machine: machine()}
	for _, l := range loads {
		rate, err := b.rate(ctx, sides, l)
		if err != nil {
			return nil, err
		}
		r.Rates = append(r.Rates, *rate)
		r.Lost += rate.Slipway.Lost
		if !l.persistent && (r.Worst == 0 || rate.Ratio < r.Worst) {
			r.Worst = rate.Ratio
		}
		b.note("%-8s QoS %d, %s: %.2f × mosquitto", l.name, l.qos, rate.Session, rate.Ratio)
	}
	if err := b.unbind(ctx); err != nil {
		return nil, err
	}
	for qos := range byte(2) {
		latency, err := b.latency(ctx, sides, load{"1 to 1", 1, 1, qos, false})
		if err != nil {
			return nil, err
		}
		r.Latencies = append(r.Latencies, *latency)
	}
	return r, nil
}

// shape is the load with devices of the crowd: subscribers first. Each run has
// topics of its own.
func (b *brokerBench) shape(l load) traffic.Shape {
	b.runs++
	client := func(i int) traffic.Client { return traffic.Client{ID: b.crowd.name(i), Cert: b.crowd.devices[i]} }
	s := traffic.Shape{Topic: fmt.Sprintf("bench/run-%03d", b.runs), QoS: l.qos, Payload: 128, Burst: 16, Ahead: 2000, Window: 32, Persistent: l.persistent}
	for i := range l.subscribers {
		s.Subscribers = append(s.Subscribers, client(i))
	}
	for i := range l.publishers {
		s.Publishers = append(s.Publishers, client(l.subscribers+i))
	}
	return s
}

// rate runs a load on both, in turns, after a short one to warm up.
func (b *brokerBench) rate(ctx context.Context, sides [2]side, l load) (*brokerRate, error) {
	out := &brokerRate{Load: l.name, QoS: l.qos, Session: sessionWord(l.persistent)}
	costs := [2]*brokerCost{&out.Slipway, &out.Mosquitto}
	var rates, cpus [2][]float64
	for round := range b.cmd.Rounds + 1 {
		for turn := range 2 {
			i := (round + turn) % 2 // neither is always the first
			d := b.cmd.Time
			if round == 0 {
				d /= 4
			}
			rate, cpu, lost, err := b.once(ctx, sides[i], l, d)
			if err != nil {
				return nil, err
			}
			costs[i].Lost += lost
			if round > 0 {
				rates[i], cpus[i] = append(rates[i], rate), append(cpus[i], cpu)
			}
		}
	}
	var ratios, cpuRatios []float64
	for i := range rates[0] {
		ratios = append(ratios, rates[0][i]/rates[1][i])
		cpuRatios = append(cpuRatios, over(cpus[1][i], cpus[0][i]))
	}
	for i, c := range costs {
		c.PerSecond, c.CPUMicros = middle(rates[i]), middle(cpus[i])
	}
	out.Ratio, out.CPURatio = middle(ratios), middle(cpuRatios)
	return out, nil
}

func middle(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}

// once is one run on one broker: messages a second, CPU of one, and how many
// were lost.
func (b *brokerBench) once(ctx context.Context, s side, l load, d time.Duration) (rate, cpu float64, lost int, err error) {
	before, err := s.cpu()
	if err != nil {
		return 0, 0, 0, err
	}
	r, err := traffic.Run(ctx, s.Broker, b.shape(l), d)
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := s.cpu()
	if err == nil && r.Received == 0 {
		err = errors.New("no message arrived at all")
	}
	if err != nil {
		return 0, 0, 0, err
	}
	return float64(r.Received) / r.Took.Seconds(), micros(after-before) / float64(r.Received), r.Lost(), nil
}

// unbind gives every process all cores: one message at a time keeps none busy,
// and no server is meant to live on one. A Go program looks at its cores once a
// second.
func (b *brokerBench) unbind(ctx context.Context) error {
	if b.cores.all == "" {
		return nil
	}
	if err := bind(b.cores.all, os.Getpid(), b.child.pid(), b.peer.cmd.Process.Pid); err != nil {
		return err
	}
	return wait(ctx, 2*time.Second)
}

// latencyTurn is how many messages are timed on one broker before it is the
// other's turn.
const latencyTurn = 500

func (b *brokerBench) latency(ctx context.Context, sides [2]side, l load) (*brokerLatency, error) {
	out := &brokerLatency{QoS: l.qos, Session: sessionWord(l.persistent)}
	var all [2][]time.Duration
	for round := range b.cmd.Rounds + 1 {
		for i := range sides {
			took, err := traffic.Latencies(ctx, sides[i].Broker, b.shape(l), latencyTurn)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[i] = append(all[i], took...)
			}
		}
	}
	for i, q := range []*quantiles{&out.Slipway, &out.Mosquitto} {
		slices.Sort(all[i])
		q.P50, q.P99 = millis(all[i][len(all[i])/2]), millis(all[i][len(all[i])*99/100])
	}
	out.P50Ratio, out.P99Ratio = over(out.Mosquitto.P50, out.Slipway.P50), over(out.Mosquitto.P99, out.Slipway.P99)
	return out, nil
}

func (r *brokerReport) print(s streams) error {
	where := "servers and load share all cores"
	if r.Pinned {
		where = "servers on one core and load on the others, but for latencies"
	}
	fmt.Fprintf(s.out, "\n%s; %s; %s\n128 bytes, mutual TLS 1.3; × is how much better than mosquitto\n\n", r.Machine, r.Mosquitto, where)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\tQoS\tsession\tmessages/s\tmosquitto\t×\tCPU µs\tmosquitto\t×\tlost\tmosquitto\t")
	for _, x := range r.Rates {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%.2f\t%d\t%d\t\n", x.Load, x.QoS, x.Session, x.Slipway.PerSecond, x.Mosquitto.PerSecond, x.Ratio,
			x.Slipway.CPUMicros, x.Mosquitto.CPUMicros, x.CPURatio, x.Slipway.Lost, x.Mosquitto.Lost)
	}
	fmt.Fprintln(w, "\nlatency\tQoS\tsession\tp50 ms\tmosquitto\t×\tp99 ms\tmosquitto\t×\t")
	for _, x := range r.Latencies {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.3f\t%.3f\t%.2f\t%.3f\t%.3f\t%.2f\t\n", "1 to 1", x.QoS, x.Session, x.Slipway.P50, x.Mosquitto.P50, x.P50Ratio, x.Slipway.P99, x.Mosquitto.P99, x.P99Ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nworst      %7.2f × mosquitto with clean sessions (goal 1.00); %d messages lost\n", r.Worst, r.Lost)
	return nil
}
