package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/floor"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// benchBulkCmd holds bulk registration against what a line cannot avoid: the
// check of a signing request, a signature, and a commit.
type benchBulkCmd struct {
	Lines int    `help:"Lines of the measured file, each with a request of its own; a quarter as many go before it." default:"20000"`
	Store string `help:"sqlite; postgres for a server of its own while it runs; or the postgres:// URL of one whose user may make databases." default:"sqlite"`
	JSON  bool   `name:"json" help:"Print one JSON object."`
}

// bulkBudget is how much of the floor's CPU time a line may take.
const bulkBudget = 2.0

// bulkReport is what --json prints. Times of CPU are microseconds for a line.
type bulkReport struct {
	Ratio          float64            `json:"ratio"` // server CPU for one line / floor
	FloorMicros    float64            `json:"floorMicros"`
	LineMicros     float64            `json:"lineMicros"`
	Floor          map[string]float64 `json:"floorParts"`
	BackendMicros  float64            `json:"backendMicros"` // of PostgreSQL, where it runs here
	LinesPerSecond float64            `json:"linesPerSecond"`
	Updates        float64            `json:"updatesPerLine"`
	Commits        float64            `json:"commitsPerLine"`
	Lines          int                `json:"lines"`
	PeakMiB        float64            `json:"peakMiB"`        // resident, with all lines
	PeakQuarterMiB float64            `json:"peakQuarterMiB"` // with a quarter of them
	Store          string             `json:"store"`
	Machine        string             `json:"machine"`
}

// Run is the benchmark.
func (c *benchBulkCmd) Run(ctx context.Context, s streams) error {
	if c.Lines < 400 {
		return usageError{errors.New("expected --lines of at least 400")}
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
	b := &bulkBench{cmd: c, dir: dir, bases: bases}
	report, err := b.measure(ctx, s)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, report)
	}
	report.print(s)
	return nil
}

// A bulkBench is one server and the files that it registers.
type bulkBench struct {
	cmd   *benchBulkCmd
	dir   string
	bases *bases
	base  *base
	child *child
	next  int // number of the next line's thing
}

// measure takes the floor before and after, since the machine may not be alike.
func (b *bulkBench) measure(ctx context.Context, s streams) (*bulkReport, error) {
	before, err := b.floor(ctx)
	if err != nil {
		return nil, err
	}
	b.child = &child{data: filepath.Join(b.dir, "data")}
	if b.base, err = b.bases.create(b.child.data); err != nil {
		return nil, err
	}
	b.child.store = b.base.store
	if err := b.child.start(ctx, s); err != nil {
		return nil, err
	}
	defer b.child.stop()
	for path, body := range map[string]any{"/thing-types/bench": map[string]any{}, "/policies/bench": map[string]any{"policyDocument": demoDocument}} {
		if err := b.child.api.Do(ctx, http.MethodPost, path, nil, nil, body, nil); err != nil {
			return nil, err
		}
	}
	quarter, err := b.file(ctx, b.cmd.Lines/4)
	if err != nil {
		return nil, err
	}
	all, err := b.file(ctx, b.cmd.Lines)
	if err != nil {
		return nil, err
	}
	after, err := b.floor(ctx)
	if err != nil {
		return nil, err
	}
	return b.report(before, after, quarter, all), nil
}

// A bulkFloor is what one line cannot avoid.
type bulkFloor struct{ csr, sign, commit time.Duration }

func (f bulkFloor) sum() time.Duration { return f.csr + f.sign + f.commit }

func (b *bulkBench) floor(ctx context.Context) (bulkFloor, error) {
	crypto, err := floor.Measure(x25519, 3, 200)
	if err != nil {
		return bulkFloor{}, err
	}
	commit, err := b.commits(ctx)
	return bulkFloor{crypto.CSR, crypto.Sign, commit}, err
}

// commits measures, in this process, the CPU time of a transaction that writes
// one document of a certificate's size, among as many at once as lines are.
func (b *bulkBench) commits(ctx context.Context) (time.Duration, error) {
	const operations, body = 4000, 1000
	data, err := os.MkdirTemp(b.dir, "floor-")
	if err != nil {
		return 0, err
	}
	base, err := b.bases.create(data)
	if err != nil {
		return 0, err
	}
	db, err := openBase(ctx, base, data)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	began, err := processTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range operations {
		group.Go(func() error {
			return db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
				return tx.PutDocument(ctx, arn.Default, "floor", fmt.Sprint(i), fmt.Appendf(nil, "%0*d", body, i))
			})
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	ended, err := processTime(os.Getpid())
	return (ended - began) / operations, err
}

func openBase(ctx context.Context, b *base, data string) (store.DB, error) {
	if b.store == "sqlite" {
		db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(data, "slipway.db")})
		if err != nil {
			return nil, err
		}
		return db, nil
	}
	db, err := postgres.Open(ctx, b.store, postgres.Options{})
	if err != nil {
		return nil, err
	}
	return db, nil
}

const bulkBenchTemplate = `{"Parameters":{"SerialNumber":{"Type":"String"},"CSR":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["bench",{"Ref":"SerialNumber"}]]},
  "ThingTypeName":"bench","AttributePayload":{"serial":{"Ref":"SerialNumber"}}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"bench"}}}}`

// A bulkRun is one file, for one line of it where that makes sense.
type bulkRun struct {
	cpu, backend, took time.Duration
	updates, commits   float64
	peak               float64 // MiB
}

// file registers the things of a file. Its CPU time runs until the server is
// idle again: reports are written and nothing is remembered then.
func (b *bulkBench) file(ctx context.Context, lines int) (*bulkRun, error) {
	key := fmt.Sprint("lines-", lines)
	if err := b.write(filepath.Join(b.child.data, "buckets", "bench"), key, lines); err != nil {
		return nil, err
	}
	clearPeak(b.child.cmd.Process.Pid)
	own := &bench{child: b.child}
	cpu, updates, commits, err := own.spent(ctx)
	if err != nil {
		return nil, err
	}
	backend, err := b.backend()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := b.register(ctx, key, lines); err != nil {
		return nil, err
	}
	run := &bulkRun{took: time.Since(start)}
	if err := b.settle(ctx); err != nil {
		return nil, err
	}
	cpuAfter, updatesAfter, commitsAfter, err := own.spent(ctx)
	if err != nil {
		return nil, err
	}
	backendAfter, err := b.backend()
	if err != nil {
		return nil, err
	}
	n := time.Duration(lines)
	run.cpu, run.backend = (cpuAfter-cpu)/n, (backendAfter-backend)/n
	run.updates, run.commits = (updatesAfter-updates)/float64(lines), (commitsAfter-commits)/float64(lines)
	run.peak, err = peakMemory(b.child.cmd.Process.Pid)
	return run, err
}

func (b *bulkBench) backend() (time.Duration, error) {
	if b.base.name == "" {
		return 0, nil
	}
	return backendTime(b.base.name)
}

// register starts the task and waits for its end.
func (b *bulkBench) register(ctx context.Context, key string, lines int) error {
	var made struct{ TaskID string }
	err := b.child.api.Do(ctx, http.MethodPost, tasksPath, nil, nil, map[string]string{"templateBody": bulkBenchTemplate,
		"inputFileBucket": "bench", "inputFileKey": key, "roleArn": "arn:aws:iam::000000000000:role/bench"}, &made)
	for err == nil {
		var k bulkTask
		err = b.child.api.Do(ctx, http.MethodGet, tasksPath+"/"+made.TaskID, nil, nil, nil, &k)
		if err == nil && k.ended() {
			if k.Status != "Completed" || k.Done != lines {
				return fmt.Errorf("of %d lines %d were registered and %d failed; the task is %s: %s", lines, k.Done, k.Refused, k.Status, k.Message)
			}
			return nil
		}
		time.Sleep(500 * time.Millisecond) // who waits for a task asks less often still
	}
	return err
}

// settle waits until the server has nothing left to do: for half a second it
// took next to no CPU time.
func (b *bulkBench) settle(ctx context.Context) error {
	for last := time.Duration(-1); ctx.Err() == nil; {
		now, err := b.child.cpu()
		if err != nil {
			return err
		}
		if last >= 0 && now-last <= 20*time.Millisecond {
			return nil
		}
		last = now
		time.Sleep(500 * time.Millisecond)
	}
	return ctx.Err()
}

// write makes the file: each line has a key, a request and a serial of its own.
func (b *bulkBench) write(folder, key string, lines int) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, key))
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(8)
	for i := range lines {
		group.Go(func() error {
			text, err := benchLine(b.next + i)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			_, err = out.Write(text)
			return err
		})
	}
	b.next += lines
	return errors.Join(group.Wait(), out.Flush())
}

func benchLine(number int) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := sim.CSR(key, "bench")
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(map[string]string{"SerialNumber": fmt.Sprint(number), "CSR": string(csr)})
	return append(line, '\n'), err
}

func (b *bulkBench) report(before, after bulkFloor, quarter, all *bulkRun) *bulkReport {
	f := bulkFloor{(before.csr + after.csr) / 2, (before.sign + after.sign) / 2, (before.commit + after.commit) / 2}
	return &bulkReport{
		Ratio: micros(all.cpu) / micros(f.sum()), FloorMicros: micros(f.sum()), LineMicros: micros(all.cpu), BackendMicros: micros(all.backend),
		Floor:          map[string]float64{"csr": micros(f.csr), "sign": micros(f.sign), "commit": micros(f.commit)},
		LinesPerSecond: float64(b.cmd.Lines) / all.took.Seconds(), Updates: all.updates, Commits: all.commits,
		Lines: b.cmd.Lines, PeakMiB: all.peak, PeakQuarterMiB: quarter.peak, Store: kindOf(b.cmd.Store), Machine: machine(),
	}
}

func (r *bulkReport) print(s streams) {
	fmt.Fprintf(s.out, "%s; %s; %d lines\n", r.Machine, r.Store, r.Lines)
	fmt.Fprintf(s.out, "floor      %7.0f µs  CSR check %.0f, signature %.0f, commit %.0f\n", r.FloorMicros, r.Floor["csr"], r.Floor["sign"], r.Floor["commit"])
	fmt.Fprintf(s.out, "line       %7.0f µs  of server CPU, durable, reports included: %.2f × the floor (budget %.1f)\n", r.LineMicros, r.Ratio, bulkBudget)
	if r.BackendMicros > 0 {
		fmt.Fprintf(s.out, "backend    %7.0f µs  of PostgreSQL's CPU beside it\n", r.BackendMicros)
	}
	fmt.Fprintf(s.out, "rate       %7.0f lines/s; %.2f transactions and %.2f commits a line\n", r.LinesPerSecond, r.Updates, r.Commits)
	fmt.Fprintf(s.out, "memory     %7.0f MiB resident at most; %.0f with a quarter of the lines\n", r.PeakMiB, r.PeakQuarterMiB)
}
