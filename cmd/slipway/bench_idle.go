package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/internal/floor"
)

// idleCmd measures what a connection costs that is open and says nothing, and
// what it costs to open one.
type idleCmd struct {
	Connections []int         `help:"How many connections stay open, in steps." default:"1000,5000,15000"`
	Connects    int           `help:"Connections that are opened and closed again, for the cost of one." default:"2000"`
	Clients     int           `help:"Devices that connect at once." default:"8"`
	Rest        time.Duration `help:"How long the server is left alone before its memory is read again." default:"8s"`
	JSON        bool          `name:"json" help:"Print one JSON object."`
}

// idleBudget is what an idle connection may cost at idleAt of them, in KiB.
const (
	idleBudget = 28.0
	idleAt     = 5000
)

// idleReport is what --json prints. Times of CPU are microseconds.
type idleReport struct {
	KiB               float64     `json:"kibPerConnection"` // resident, at 5,000, after the rest; 0: not measured
	Ratio             float64     `json:"ratio"`            // server CPU for one connect / handshake floor
	FloorMicros       float64     `json:"floorMicros"`
	ConnectMicros     float64     `json:"connectMicros"` // TLS, CONNECT, DISCONNECT
	ConnectsPerSecond float64     `json:"connectsPerSecond"`
	Connects          int         `json:"connects"`
	Clients           int         `json:"clients"`
	BaseMiB           float64     `json:"baseMiB"` // resident, with no connection
	Levels            []idleLevel `json:"levels"`
	NotMeasured       string      `json:"notMeasured,omitempty"`
	IdlePercent       float64     `json:"idlePercent"` // of one core, with the most connections
	Machine           string      `json:"machine"`
}

// An idleLevel is the server with so many connections.
type idleLevel struct {
	Connections       int     `json:"connections"`
	AtOnceKiB         float64 `json:"atOnceKiB"` // for one, garbage included
	KiB               float64 `json:"kib"`       // for one, after the rest
	ConnectMicros     float64 `json:"connectMicros"`
	ConnectsPerSecond float64 `json:"connectsPerSecond"`
}

// Run is the benchmark.
func (c *idleCmd) Run(ctx context.Context, s streams) error {
	if len(c.Connections) == 0 || slices.Min(c.Connections) < 1 || !slices.IsSorted(c.Connections) || c.Connects < 1 || c.Clients < 1 {
		return usageError{errors.New("expected --connections in rising order, and --connects and --clients of at least 1")}
	}
	levels, left, err := c.fitting()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &idleBench{cmd: c, s: s, child: &child{data: filepath.Join(dir, "data"), store: "sqlite"}}
	defer b.stop()
	report, err := b.measure(ctx, levels)
	if err != nil {
		return err
	}
	if report.NotMeasured = left; c.JSON {
		return writeJSON(s.out, report)
	}
	return report.print(s)
}

// spareFiles are those that either process needs beside its connections.
const spareFiles = 200

// fitting gives the steps for which there are file descriptors, and says what
// is left out.
func (c *idleCmd) fitting() (levels []int, left string, err error) {
	limit, err := openFiles()
	if err != nil {
		return nil, "", err
	}
	for i, n := range c.Connections {
		if n+spareFiles <= limit {
			levels = append(levels, n)
			continue
		}
		left = fmt.Sprintf("%s connections: server and devices need %d open files each, and ulimit -Hn allows %d",
			strings.Trim(fmt.Sprint(c.Connections[i:]), "[]"), n+spareFiles, limit)
		break
	}
	if len(levels) == 0 {
		return nil, "", fmt.Errorf("nothing can be measured with %s; raise it, or ask for fewer --connections", left)
	}
	return levels, left, nil
}

// An idleBench is one server and the devices that are connected to it.
type idleBench struct {
	cmd   *idleCmd
	s     streams
	child *child
	crowd *crowd
	roots *x509.CertPool
	open  []*client.Device
}

// stop ends the devices first: the server then has none to wait for.
func (b *idleBench) stop() {
	b.leave()
	b.child.stop()
}

func (b *idleBench) note(format string, args ...any) {
	if !b.cmd.JSON {
		fmt.Fprintf(b.s.out, format+"\n", args...)
	}
}

func (b *idleBench) measure(ctx context.Context, levels []int) (r *idleReport, err error) {
	before, err := floor.Measure(x25519, 3, 200)
	if err != nil {
		return nil, err
	}
	most := slices.Max(levels)
	if b.crowd, err = newCrowd(most); err != nil {
		return nil, err
	}
	if err = b.crowd.serve(ctx, b.s, b.child); err != nil {
		return nil, err
	}
	if b.roots, err = rootsOf(b.child); err != nil {
		return nil, err
	}
	r = &idleReport{Connects: b.cmd.Connects, Clients: b.cmd.Clients, Machine: machine()}
	if r.BaseMiB, err = b.rest(ctx); err != nil {
		return nil, err
	}
	for _, n := range levels {
		level, err := b.level(ctx, n, r.BaseMiB)
		if err != nil {
			return nil, err
		}
		if r.Levels = append(r.Levels, *level); n == idleAt {
			r.KiB = level.KiB
		}
	}
	if r.IdlePercent, err = b.idle(ctx); err != nil {
		return nil, err
	}
	b.leave()
	if err = b.connects(ctx, r); err != nil {
		return nil, err
	}
	after, err := floor.Measure(x25519, 3, 200)
	r.FloorMicros = micros(mean(before, after).Handshake)
	r.Ratio = r.ConnectMicros / r.FloorMicros
	return r, err
}

// leave ends every device that is connected.
func (b *idleBench) leave() {
	for _, d := range b.open {
		d.Abort()
	}
	b.open = nil
}

// connects opens and closes connections, a few at once, after some to warm up.
func (b *idleBench) connects(ctx context.Context, r *idleReport) error {
	if _, _, err := b.wave(ctx, 0, min(200, len(b.crowd.devices)), false); err != nil {
		return err
	}
	var cpu, took time.Duration
	for done := 0; done < b.cmd.Connects; {
		n := min(b.cmd.Connects-done, len(b.crowd.devices))
		c, t, err := b.wave(ctx, 0, n, false)
		if err != nil {
			return err
		}
		cpu, took, done = cpu+c, took+t, done+n
	}
	r.ConnectMicros = micros(cpu) / float64(b.cmd.Connects)
	r.ConnectsPerSecond = float64(b.cmd.Connects) / took.Seconds()
	return nil
}

// wave connects the devices from number from to before number to, and gives the
// CPU time of the server and what passed. Those that stay subscribe twice.
func (b *idleBench) wave(ctx context.Context, from, to int, stay bool) (cpu, took time.Duration, err error) {
	before, err := b.child.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	var mu sync.Mutex
	var wave errgroup.Group
	wave.SetLimit(b.cmd.Clients)
	for i := from; i < to; i++ {
		wave.Go(func() error {
			d, err := client.Dial(ctx, client.Options{
				Address: b.child.e.MQTT, ServerName: b.child.e.Host, Roots: b.roots, Cert: b.crowd.devices[i],
				ClientID: b.crowd.name(i), KeepAlive: longest, Curves: x25519, Timeout: time.Minute,
			})
			if err != nil {
				return err
			}
			if !stay {
				d.Close()
				return nil
			}
			mu.Lock()
			b.open = append(b.open, d)
			mu.Unlock()
			return d.Subscribe("bench/"+b.crowd.name(i)+"/commands", "bench/"+b.crowd.name(i)+"/settings")
		})
	}
	if err := wave.Wait(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := b.child.cpu()
	return after - before, took, err
}

// longest is the longest keep-alive that is granted, in seconds: no device has
// to say anything while it is measured.
const longest = 1200

// level adds devices until n are connected, and reads what they cost.
func (b *idleBench) level(ctx context.Context, n int, base float64) (*idleLevel, error) {
	added := n - len(b.open)
	cpu, took, err := b.wave(ctx, len(b.open), n, true)
	if err != nil {
		return nil, err
	}
	atOnce, err := residentMemory(b.child.pid())
	if err != nil {
		return nil, err
	}
	rested, err := b.rest(ctx)
	if err != nil {
		return nil, err
	}
	each := func(mib float64) float64 { return (mib - base) * 1024 / float64(n) }
	l := &idleLevel{
		Connections: n, AtOnceKiB: each(atOnce), KiB: each(rested),
		ConnectMicros: micros(cpu) / float64(added), ConnectsPerSecond: float64(added) / took.Seconds(),
	}
	b.note("%6d connections: %.1f KiB each at once, %.1f after %v", n, l.AtOnceKiB, l.KiB, b.cmd.Rest)
	return l, nil
}

// rest leaves the server alone, and gives what it has resident then, in MiB.
func (b *idleBench) rest(ctx context.Context) (float64, error) {
	if err := wait(ctx, b.cmd.Rest); err != nil {
		return 0, err
	}
	return residentMemory(b.child.pid())
}

// idle is how much of a core the connections take that say nothing.
func (b *idleBench) idle(ctx context.Context) (percent float64, err error) {
	const watched = 3 * time.Second
	before, err := b.child.cpu()
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, watched); err != nil {
		return 0, err
	}
	after, err := b.child.cpu()
	return 100 * (after - before).Seconds() / watched.Seconds(), err
}

// wait lets time pass, but not beyond the end of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *idleReport) print(s streams) error {
	fmt.Fprintf(s.out, "\n%s; a certificate, a thing, a policy and two subscriptions each\n\n", r.Machine)
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "connections\tKiB at once\tKiB rested\tconnects/s\tCPU µs\t")
	for _, l := range r.Levels {
		fmt.Fprintf(w, "%d\t%.1f\t%.1f\t%.0f\t%.0f\t\n", l.Connections, l.AtOnceKiB, l.KiB, l.ConnectsPerSecond, l.ConnectMicros)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.NotMeasured != "" {
		fmt.Fprintf(s.out, "not measured: %s\n", r.NotMeasured)
	}
	fmt.Fprintf(s.out, "\nfloor      %7.0f µs  one mutual TLS handshake, X25519\n", r.FloorMicros)
	fmt.Fprintf(s.out, "connect    %7.0f µs  of server CPU for TLS, CONNECT and DISCONNECT: %.2f × the floor\n", r.ConnectMicros, r.Ratio)
	fmt.Fprintf(s.out, "rate       %7.0f connects/s, %d at once, load included\n", r.ConnectsPerSecond, r.Clients)
	if r.KiB > 0 {
		fmt.Fprintf(s.out, "memory     %7.1f KiB  resident for one of %d (budget %.0f); %.0f MiB with none\n", r.KiB, idleAt, idleBudget, r.BaseMiB)
	}
	fmt.Fprintf(s.out, "idle       %7.1f %%   of one core\n", r.IdlePercent)
	return nil
}
