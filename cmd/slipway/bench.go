package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/internal/floor"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

// benchCmd measures the whole durable claim flow against the cryptography that
// it cannot avoid, both in the same run, server and load in processes of their
// own.
type benchCmd struct {
	Devices int    `help:"Devices in each of the measured runs." default:"2000"`
	Clients int    `help:"Devices at once." default:"16"`
	Rounds  int    `help:"Measured runs with X25519; the median counts." default:"3"`
	Store   string `help:"sqlite, or a postgres:// URL of an empty database." default:"sqlite"`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// benchReport is what --json prints. Times of CPU are microseconds, latencies
// milliseconds.
type benchReport struct {
	Ratio            float64              `json:"ratio"` // server CPU for one device / floor, X25519
	FloorMicros      float64              `json:"floorMicros"`
	DeviceMicros     float64              `json:"deviceMicros"`
	DevicesPerSecond float64              `json:"devicesPerSecond"`
	UpdatesPerDevice float64              `json:"updatesPerDevice"` // transactions
	CommitsPerDevice float64              `json:"commitsPerDevice"` // fsyncs: transactions share them
	Devices          int                  `json:"devices"`
	Clients          int                  `json:"clients"`
	Stages           map[string]quantiles `json:"stages"`
	Hybrid           *benchHybrid         `json:"hybrid"` // Go's default key exchange on both sides
	Floor            map[string]float64   `json:"floorParts"`
	Machine          string               `json:"machine"`
	runs             []benchRun
}

type benchHybrid struct {
	Ratio        float64 `json:"ratio"`
	FloorMicros  float64 `json:"floorMicros"`
	DeviceMicros float64 `json:"deviceMicros"`
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// A benchRun is one wave of devices, or several.
type benchRun struct {
	cpu              time.Duration // of the server, for one device
	took             time.Duration
	updates, commits float64
	stages           map[string][]time.Duration
	floor            floor.Floor // around it: what a core does in a second changes by the minute
}

func (r *benchRun) ratio() float64 { return over(micros(r.cpu), micros(r.floor.Device())) }

var x25519 = []tls.CurveID{tls.X25519}

// Run is the benchmark.
func (c *benchCmd) Run(ctx context.Context, s streams) error {
	if c.Devices < 50 || c.Clients < 1 || c.Rounds < 1 {
		return usageError{errors.New("expected --devices of at least 50, --clients and --rounds of at least 1")}
	}
	b := &bench{cmd: c, s: s}
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.stop()
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	hybridFloor, err := floor.Measure(nil, 3, 200)
	if err != nil {
		return err
	}
	report.hold(hybridFloor)
	return report.print(s, c.JSON)
}

// mean is the floor as it was on the whole.
func mean(all ...floor.Floor) (m floor.Floor) {
	n := time.Duration(len(all))
	for _, f := range all {
		m.Handshake, m.Chain, m.CSR, m.Sign = m.Handshake+f.Handshake/n, m.Chain+f.Chain/n, m.CSR+f.CSR/n, m.Sign+f.Sign/n
	}
	return m
}

// A bench is one server process and what is needed to load it.
type bench struct {
	cmd *benchCmd
	s   streams
	dir string
	*child
	roots *x509.CertPool
	claim tls.Certificate
	next  atomic.Int64
}

func (b *bench) note(format string, args ...any) {
	if !b.cmd.JSON {
		fmt.Fprintf(b.s.out, format+"\n", args...)
	}
}

// start runs a server as a process of its own and sets up a fleet.
func (b *bench) start(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "slipway-bench-"); err != nil {
		return err
	}
	b.child = &child{data: filepath.Join(b.dir, "data"), store: b.cmd.Store}
	if err = b.child.start(ctx, b.s); err == nil {
		err = b.setUp(ctx)
	}
	if err != nil {
		b.stop()
	}
	return err
}

func (b *bench) stop() {
	b.child.stop()
	_ = os.RemoveAll(b.dir)
}

const benchTemplate = `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["bench",{"Ref":"SerialNumber"}]]},
  "ThingTypeName":"bench","AttributePayload":{"serial":{"Ref":"SerialNumber"}}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"bench"}}}}`

func (b *bench) setUp(ctx context.Context) error {
	root, err := os.ReadFile(b.e.RootCA)
	if err != nil {
		return err
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(root)
	for _, r := range []struct {
		path string
		body map[string]any
	}{
		{"/thing-types/bench", map[string]any{}},
		{"/policies/bench", map[string]any{"policyDocument": demoDocument}},
		{"/provisioning-templates", map[string]any{"templateName": "bench", "enabled": true, "templateBody": benchTemplate,
			"provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning"}},
	} {
		if err := b.api.Do(ctx, http.MethodPost, r.path, nil, nil, r.body, nil); err != nil {
			return err
		}
	}
	var claim struct{ CertificatePEM, PrivateKey string }
	if err := b.api.Do(ctx, http.MethodPost, "/slipway/claims", nil, nil, map[string]any{"templateName": "bench"}, &claim); err != nil {
		return err
	}
	b.claim, err = tls.X509KeyPair([]byte(claim.CertificatePEM), []byte(claim.PrivateKey))
	return err
}

// measure runs a short wave to warm up, the counted runs, and one with Go's
// default key exchange.
func (b *bench) measure(ctx context.Context) (*benchReport, error) {
	if _, err := b.wave(ctx, b.cmd.Devices/4, x25519); err != nil {
		return nil, err
	}
	r := &benchReport{Devices: b.cmd.Devices, Clients: b.cmd.Clients}
	for i := range b.cmd.Rounds {
		run, err := b.run(ctx)
		if err != nil {
			return nil, err
		}
		b.note("run %d      %.0f devices/s, %.0f µs of server CPU each, %.2f × the floor of %.0f", i+1,
			float64(b.cmd.Devices)/run.took.Seconds(), micros(run.cpu), run.ratio(), micros(run.floor.Device()))
		r.runs = append(r.runs, *run)
	}
	hybrid, err := b.wave(ctx, b.cmd.Devices/2, nil)
	if err != nil {
		return nil, err
	}
	r.Hybrid = &benchHybrid{DeviceMicros: micros(hybrid.cpu)}
	return r, nil
}

// parts is how many waves make a run. The floor is taken around each of them:
// how fast a core is changes within seconds where others use the machine too.
const parts = 4

func (b *bench) run(ctx context.Context) (*benchRun, error) {
	run := &benchRun{stages: map[string][]time.Duration{}}
	var floors []floor.Floor
	sent := 0
	for i := 0; ; i++ {
		f, err := floor.Measure(x25519, 1, 100)
		if err != nil {
			return nil, err
		}
		if floors = append(floors, f); i == parts {
			break
		}
		n := (b.cmd.Devices - sent) / (parts - i)
		sent += n
		w, err := b.wave(ctx, n, x25519)
		if err != nil {
			return nil, err
		}
		share := float64(n) / float64(b.cmd.Devices)
		run.cpu += time.Duration(float64(w.cpu) * share)
		run.took += w.took
		run.updates, run.commits = run.updates+w.updates*share, run.commits+w.commits*share
		for name, all := range w.stages {
			run.stages[name] = append(run.stages[name], all...)
		}
	}
	run.floor = mean(floors...)
	return run, nil
}

// wave sends n devices through the flow and reads what it cost the server.
func (b *bench) wave(ctx context.Context, n int, curves []tls.CurveID) (*benchRun, error) {
	run := &benchRun{stages: map[string][]time.Duration{}}
	cpu, updates, commits, err := b.spent(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	var mu sync.Mutex
	var wave errgroup.Group
	wave.SetLimit(b.cmd.Clients)
	for range n {
		wave.Go(func() error {
			result, err := b.device(ctx, curves)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range result.Stages {
				run.stages[s.Name] = append(run.stages[s.Name], s.Took)
			}
			return nil
		})
	}
	if err := wave.Wait(); err != nil {
		return nil, err
	}
	run.took = time.Since(start)
	cpuAfter, updatesAfter, commitsAfter, err := b.spent(ctx)
	run.cpu = (cpuAfter - cpu) / time.Duration(n)
	run.updates, run.commits = (updatesAfter-updates)/float64(n), (commitsAfter-commits)/float64(n)
	return run, err
}

func (b *bench) device(ctx context.Context, curves []tls.CurveID) (*sim.Result, error) {
	serial := strconv.FormatInt(b.next.Add(1), 10)
	d := &sim.Device{
		Connect: client.Options{Address: b.e.MQTT, ServerName: b.e.Host, Roots: b.roots, Cert: b.claim,
			ClientID: "boot-" + serial, Curves: curves, Timeout: 20 * time.Second},
		Template: "bench", Parameters: map[string]string{"SerialNumber": serial}, Format: wire.CBOR,
	}
	result, conn, err := d.Provision(ctx)
	if conn != nil {
		conn.Close()
	}
	return result, err
}

// spent reads the server's CPU time, transactions and commits so far.
func (b *bench) spent(ctx context.Context) (cpu time.Duration, updates, commits float64, err error) {
	if cpu, err = b.child.cpu(); err != nil {
		return 0, 0, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.e.Control+"/metrics", nil)
	if err != nil {
		return 0, 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "slipway_store_updates_total":
			updates, _ = strconv.ParseFloat(value, 64)
		case "slipway_store_commits_total":
			commits, _ = strconv.ParseFloat(value, 64)
		}
	}
	return cpu, updates, commits, lines.Err()
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// hold reports the run whose ratio to its floor is the median.
func (r *benchReport) hold(hybrid floor.Floor) {
	slices.SortFunc(r.runs, func(a, b benchRun) int { return cmp.Compare(a.ratio(), b.ratio()) })
	m := r.runs[len(r.runs)/2]
	f := m.floor
	r.FloorMicros, r.DeviceMicros, r.Ratio = micros(f.Device()), micros(m.cpu), m.ratio()
	r.DevicesPerSecond = float64(r.Devices) / m.took.Seconds()
	r.UpdatesPerDevice, r.CommitsPerDevice = m.updates, m.commits
	r.Floor = map[string]float64{"handshake": micros(f.Handshake), "chain": micros(f.Chain), "csr": micros(f.CSR), "sign": micros(f.Sign)}
	r.Hybrid.FloorMicros = micros(hybrid.Device())
	r.Hybrid.Ratio = r.Hybrid.DeviceMicros / r.Hybrid.FloorMicros
	r.Machine = machine()
	r.Stages = map[string]quantiles{}
	for name, all := range m.stages {
		slices.Sort(all)
		r.Stages[name] = quantiles{millis(all[len(all)/2]), millis(all[len(all)*99/100])}
	}
}

func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r *benchReport) print(s streams, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	w := s.out
	fmt.Fprintf(w, "\n%s; %d devices at %d at once, X25519, median run\n", r.Machine, r.Devices, r.Clients)
	fmt.Fprintf(w, "floor      %7.0f µs  two handshakes of %.0f, CSR check %.0f, signature %.0f\n", r.FloorMicros, r.Floor["handshake"], r.Floor["csr"], r.Floor["sign"])
	fmt.Fprintf(w, "                       in each handshake %.0f for the chain of the device's certificate\n", r.Floor["chain"])
	fmt.Fprintf(w, "device     %7.0f µs  of server CPU, durable: %.2f × the floor (budget 1.80)\n", r.DeviceMicros, r.Ratio)
	fmt.Fprintf(w, "rate       %7.0f devices/s, load included; %.2f transactions and %.2f commits a device\n", r.DevicesPerSecond, r.UpdatesPerDevice, r.CommitsPerDevice)
	fmt.Fprintf(w, "hybrid     %7.0f µs  with Go's default key exchange: %.2f × its floor of %.0f\n\n", r.Hybrid.DeviceMicros, r.Hybrid.Ratio, r.Hybrid.FloorMicros)
	fmt.Fprintf(w, "%-14s %8s %8s  ms, as the device sees it\n", "stage", "p50", "p99")
	for _, name := range sim.Stages {
		q := r.Stages[name]
		fmt.Fprintf(w, "%-14s %8.1f %8.1f\n", name, q.P50, q.P99)
	}
	return nil
}
