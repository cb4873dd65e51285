package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// registryCmd holds a registry of many things against one of a thousand: the
// same calls over HTTP, one after the other, in turns.
type registryCmd struct {
	Things int    `help:"Things in the large registry, a multiple of 1000; each has three certificates." default:"1000000"`
	Calls  int    `help:"Calls of each kind to each registry." default:"2000"`
	Store  string `help:"sqlite; postgres for a server of its own while it runs; or the postgres:// URL of one whose user may make databases." default:"sqlite"`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// The figures that the product answers for (DESIGN.md, section 8).
const (
	ratioBudget = 1.5
	startBudget = 150 * time.Millisecond
)

// baseline is how many things the small registry has.
const baseline = 1000

// registryReport is what --json prints. Times of calls are microseconds.
type registryReport struct {
	Ratio        float64      `json:"ratio"`    // the worst of the medians, large against small
	CPURatio     float64      `json:"cpuRatio"` // the same of the server's CPU time
	Store        string       `json:"store"`
	Things       int          `json:"things"`
	Certificates int          `json:"certificates"`
	Baseline     int          `json:"baseline"`
	Calls        []callReport `json:"calls"`
	StartMillis  float64      `json:"startMillis"` // median, to the line that says it serves
	StartSmall   float64      `json:"startMillisBaseline"`
	ThingBytes   float64      `json:"bytesPerThing"`       // on disk, indices included
	CertBytes    float64      `json:"bytesPerCertificate"` // with its attachments
	TotalBytes   int64        `json:"bytes"`
	LoadSeconds  float64      `json:"loadSeconds"`
	Machine      string       `json:"machine"`
}

// A callReport holds one kind of call against itself.
type callReport struct {
	Call     string  `json:"call"`
	Small    cost    `json:"small"`
	Large    cost    `json:"large"`
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpuRatio"`
}

type cost struct {
	P50 float64 `json:"p50"`
	CPU float64 `json:"cpu"` // of the server, and of PostgreSQL where it runs here
}

// Run is the benchmark.
func (c *registryCmd) Run(ctx context.Context, s streams) error {
	if c.Things < baseline || c.Things%baseline != 0 || c.Calls < 1 {
		return usageError{errors.New("expected --things of a multiple of 1000 and --calls of at least 1")}
	}
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bases, err := newBases(c.Store)
	if err != nil {
		return err
	}
	defer bases.stop()
	b := &registryBench{cmd: c, s: s}
	defer b.stop()
	for _, n := range []int{baseline, c.Things} {
		if err := b.add(ctx, bases, dir, n); err != nil {
			return err
		}
	}
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return report.print(s, c.JSON)
}

// A registryBench holds the small registry and the large one.
type registryBench struct {
	cmd          *registryCmd
	s            streams
	small, large *subject
}

func (b *registryBench) note(format string, args ...any) {
	if !b.cmd.JSON {
		fmt.Fprintf(b.s.out, format+"\n", args...)
	}
}

func (b *registryBench) stop() {
	for _, r := range []*subject{b.small, b.large} {
		if r != nil {
			r.child.stop()
		}
	}
}

// add makes and loads one registry, the small one first.
func (b *registryBench) add(ctx context.Context, bases *bases, dir string, things int) error {
	r, err := newSubject(bases, fmt.Sprintf("%s/%d-%t", dir, things, b.small == nil), things)
	if err != nil {
		return err
	}
	if b.small == nil {
		b.small = r
	} else {
		b.large = r
	}
	began := time.Now()
	if err := r.load(ctx, b.s); err != nil {
		return err
	}
	r.loaded = time.Since(began)
	b.note("loaded     %d things and %d certificates in %.0f s", r.things, r.certificates(), r.loaded.Seconds())
	return nil
}

func (b *registryBench) measure(ctx context.Context) (*registryReport, error) {
	r := &registryReport{
		Store: kindOf(b.cmd.Store), Things: b.large.things, Certificates: b.large.certificates(), Baseline: baseline,
		LoadSeconds: b.large.loaded.Seconds(), TotalBytes: b.large.bytes, Machine: machine(),
		ThingBytes: float64(b.large.thingBytes) / float64(b.large.things),
		CertBytes:  float64(b.large.bytes-b.large.thingBytes) / float64(b.large.certificates()),
	}
	if err := b.starts(ctx, r); err != nil {
		return nil, err
	}
	for _, s := range []*subject{b.small, b.large} {
		if err := s.walk(ctx); err != nil {
			return nil, err
		}
	}
	for _, p := range probes {
		call, err := b.compare(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		r.Calls = append(r.Calls, *call)
		r.Ratio, r.CPURatio = max(r.Ratio, call.Ratio), max(r.CPURatio, call.CPURatio)
	}
	return r, nil
}

// starts measures starts in turns, and leaves both servers running.
func (b *registryBench) starts(ctx context.Context, r *registryReport) error {
	const times = 5
	took := map[*subject][]time.Duration{}
	for range times {
		for _, s := range []*subject{b.small, b.large} {
			s.child.stop()
			if err := s.child.start(ctx, b.s); err != nil {
				return err
			}
			took[s] = append(took[s], s.child.took)
		}
	}
	r.StartSmall, r.StartMillis = millis(median(took[b.small])), millis(median(took[b.large]))
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// turn is how many calls one registry gets before it is the other's turn, so
// that what else the machine does meets both alike.
const turn = 20

// compare makes the same calls to both registries.
func (b *registryBench) compare(ctx context.Context, p probe) (*callReport, error) {
	pair := []*subject{b.small, b.large}
	for _, s := range pair { // to warm up
		if err := s.calls(ctx, p, turn); err != nil {
			return nil, err
		}
		s.took = nil
		if err := s.mark(); err != nil {
			return nil, err
		}
	}
	for done := 0; done < b.cmd.Calls; done += turn {
		for _, s := range pair {
			if err := s.calls(ctx, p, min(turn, b.cmd.Calls-done)); err != nil {
				return nil, err
			}
		}
		pair[0], pair[1] = pair[1], pair[0]
	}
	small, err := b.small.cost()
	if err != nil {
		return nil, err
	}
	large, err := b.large.cost()
	if err != nil {
		return nil, err
	}
	return &callReport{Call: p.name, Small: small, Large: large, Ratio: large.P50 / small.P50, CPURatio: over(large.CPU, small.CPU)}, nil
}

// over is the ratio of two times that a coarse clock may not have seen.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (r *registryReport) print(s streams, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(s.out, "\n%s; %s; %d things and %d certificates against %d and %d\n\n", r.Machine, r.Store, r.Things, r.Certificates, r.Baseline, 3*r.Baseline)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "p50 µs\tsmall\tlarge\tratio\tCPU µs\tsmall\tlarge\tratio\t ")
	for _, c := range r.Calls {
		fmt.Fprintf(w, "\t%.0f\t%.0f\t%.2f\t\t%.0f\t%.0f\t%.2f\t %s\n", c.Small.P50, c.Large.P50, c.Ratio, c.Small.CPU, c.Large.CPU, c.CPURatio, c.Call)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nworst      %.2f of the medians, %.2f of CPU (budget %.1f)\n", r.Ratio, r.CPURatio, ratioBudget)
	fmt.Fprintf(s.out, "start      %.0f ms, %.0f with the small one (budget %d)\n", r.StartMillis, r.StartSmall, startBudget.Milliseconds())
	fmt.Fprintf(s.out, "on disk    %.1f GB: %.0f bytes a thing, %.0f a certificate with its attachments\n", float64(r.TotalBytes)/1e9, r.ThingBytes, r.CertBytes)
	return nil
}

func kindOf(store string) string {
	if strings.HasPrefix(store, "postgres") {
		return "PostgreSQL"
	}
	return "SQLite"
}
