package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// What is allowed.
const (
	slower    = 3.0 // × the p99 of honest devices in the quiet
	maxMemory = 512 // MiB, at any moment
	maxExtra  = 64  // MiB more memory afterwards than before
	maxDisk   = 128 // MiB that the data folder grows, at any moment: the log of SQLite is among it
)

// A kind of attack, from so many addresses.
type kind struct {
	name  string
	words string
	from  int
	count int // of each
}

var (
	halfOpen = kind{"half-open", "10,000 half-open TLS connections", 3, 3334}
	slow     = kind{"slow", "10,000 slow CONNECTs", 3, 3334}
	wrong    = kind{"wrong", "a flood of wrong certificates", 3, 64}
	publish  = kind{"publish", "a client that publishes at full speed", 1, 1}
	deaf     = kind{"deaf", "subscribers to it that never read", 1, 2}
)

// A phase is a time in which honest devices are measured.
type phase struct {
	words   string
	attacks []kind
	beyond  bool // more than honest devices are protected from; memory and disk are judged all the same
}

var phases = []phase{
	{words: "quiet"},
	{words: halfOpen.words, attacks: []kind{halfOpen}},
	{words: slow.words, attacks: []kind{slow}},
	{words: wrong.words, attacks: []kind{wrong}},
	{words: publish.words, attacks: []kind{publish}},
	{words: "the same, and " + deaf.words, attacks: []kind{publish, deaf}},
	{words: "all of them together", attacks: []kind{halfOpen, slow, wrong, publish, deaf}, beyond: true},
	{words: "quiet again"},
}

// A row is what came of a phase.
type row struct {
	phase
	noticed
	memory, disk float64 // MiB, at most
	after        float64 // MiB of memory, once it was over
	stolen       float64 // ms of a moment of 200 ms, at most, in which the server's core was another machine's
	did          []string
}

// A bench is the server under attack.
type bench struct {
	work, spaces string
	devices      int // honest ones in a phase
	server       *exec.Cmd
	disk         float64 // MiB of the data folder before anything
}

func judge(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("judge", flag.ExitOnError)
	b := &bench{}
	f.StringVar(&b.work, "work", "", "folder of the run, with the programs")
	f.StringVar(&b.spaces, "spaces", "", "what the names of the namespaces begin with")
	only := f.String("only", "", "numbers of the phases to run, from 0; all if empty")
	f.IntVar(&b.devices, "devices", 600, "honest devices in each phase")
	write := f.Bool("write", false, "put the table into docs/reliability.md")
	_ = f.Parse(args)
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.stop()
	var rows []row
	for i, p := range phases {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), strconv.Itoa(i)) {
			continue
		}
		r, err := b.endure(ctx, i, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.words, err)
		}
		fmt.Fprintf(os.Stderr, "%-60s p50 %6.1f ms, p99 %6.1f ms, %d of %d failed, %.0f MiB, disk +%.0f MiB  %s\n",
			p.words, r.P50, r.P99, r.Failed, r.Flows, r.memory, r.disk, strings.Join(r.did, ", "))
		fmt.Fprintf(os.Stderr, "    slowest: %s; the core was another machine's for up to %.0f of 200 ms\n", r.Worst, r.stolen)
		if r.Error != "" {
			fmt.Fprintln(os.Stderr, "   ", r.Error)
		}
		rows = append(rows, *r)
	}
	text := table(rows)
	fmt.Print(text)
	if *write {
		if err := insert("docs/reliability.md", text); err != nil {
			return err
		}
	}
	return verdict(rows)
}

const keyID, secret = "AKIAHOSTILETEST00000", "of-this-run-alone-and-of-no-use-anywhere"

func (b *bench) data() string { return filepath.Join(b.work, "data") }

// on is a command that runs on one core, where there are two.
func on(core int, command ...string) []string {
	if runtime.NumCPU() < 2 {
		return command
	}
	return append([]string{"taskset", "-c", fmt.Sprint(core)}, command...)
}

func run1(ctx context.Context, words []string) *exec.Cmd {
	return exec.CommandContext(ctx, words[0], words[1:]...)
}

// start runs the server on the first core, and furnishes it.
func (b *bench) start(ctx context.Context) error {
	b.server = run1(ctx, on(0, filepath.Join(b.work, "slipway"), "serve", "--data", b.data(), "--mqtt", "0.0.0.0:8883", "--https", "",
		"--control", "127.0.0.1:8080", "--pool", "1", "--log-level", "error", "--admin-key-id", keyID, "--admin-secret", secret))
	b.server.Stderr = os.Stderr
	out, err := b.server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.server.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ready.") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return b.furnish(ctx)
		}
	}
	return errors.New("the server ended before it was ready")
}

func (b *bench) stop() {
	_ = b.server.Process.Signal(os.Interrupt)
	_ = b.server.Wait()
}

const policy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/flood/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/flood/*"}]}`

const template = `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"SerialNumber"}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"hostile"}}}}`

func (b *bench) furnish(ctx context.Context) error {
	c := &api.Client{Endpoint: "http://127.0.0.1:8080", Region: "us-east-1", AccessKeyID: keyID, Secret: secret}
	for _, r := range []struct {
		path string
		body map[string]any
	}{
		{"/policies/hostile", map[string]any{"policyDocument": policy}},
		{"/provisioning-templates", map[string]any{"templateName": "hostile", "enabled": true, "templateBody": template,
			"provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning"}},
	} {
		if err := c.Do(ctx, http.MethodPost, r.path, nil, nil, r.body, nil); err != nil {
			return err
		}
	}
	var claim struct{ CertificatePEM, PrivateKey string }
	if err := c.Do(ctx, http.MethodPost, "/slipway/claims", nil, nil, map[string]any{"templateName": "hostile"}, &claim); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.work, "claim.pem"), []byte(claim.CertificatePEM), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.work, "claim.key"), []byte(claim.PrivateKey), 0o600); err != nil {
		return err
	}
	_, err := b.honest(ctx, "warm", 50)
	b.disk = b.diskNow()
	return err
}

// in is a command in a namespace. Attackers have the second core. Honest
// devices share the first with the server: on the other, it would be the
// attackers themselves that slow them down.
func (b *bench) in(ctx context.Context, space string, at int, words ...string) *exec.Cmd {
	core := 1
	if space == honestSpace {
		core = 0
	}
	words = append([]string{filepath.Join(b.work, "hostile")}, words...)
	words = on(core, append(words, "-work", b.work, "-address", fmt.Sprintf("198.18.%d.1:8883", at))...)
	c := run1(ctx, append([]string{"ip", "netns", "exec", b.spaces + "-" + space}, words...))
	c.Stderr = os.Stderr
	return c
}

const honestSpace = "h"

// honest runs the honest devices, from the first address.
func (b *bench) honest(ctx context.Context, name string, count int) (n noticed, err error) {
	out, err := b.in(ctx, honestSpace, 1, "honest", "-name", name, "-count", fmt.Sprint(count)).Output()
	if err != nil {
		return n, err
	}
	return n, json.Unmarshal(out, &n)
}

// calm is how long the server is left alone after a phase.
const calm = 6 * time.Second

// endure measures honest devices during the attacks of a phase.
func (b *bench) endure(ctx context.Context, number int, p phase) (*row, error) {
	r := &row{phase: p}
	var attackers []*attacking
	for _, k := range p.attacks {
		for i := range k.from {
			a, err := b.attack(ctx, k, i+1, number)
			if err != nil {
				return nil, err
			}
			attackers = append(attackers, a)
		}
	}
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); b.watch(watching, r) }()
	if len(attackers) > 0 {
		time.Sleep(2 * time.Second) // they are under way
	}
	var err error
	r.noticed, err = b.honest(ctx, fmt.Sprintf("phase-%d", number), b.devices)
	sum := map[string]int{}
	for _, a := range attackers {
		sum[a.kind] += a.end()
	}
	stopWatching()
	<-watched
	for _, k := range p.attacks {
		r.did = append(r.did, fmt.Sprintf("%s %d", k.name, sum[k.name]))
	}
	time.Sleep(calm)
	r.after = b.memoryNow()
	return r, err
}

// An attacking is a process of an attacker.
type attacking struct {
	kind  string
	cmd   *exec.Cmd
	stdin io.Closer
	out   bytes.Buffer
}

func (b *bench) attack(ctx context.Context, k kind, at, number int) (*attacking, error) {
	a := &attacking{kind: k.name}
	a.cmd = b.in(ctx, fmt.Sprintf("a%d", at), at+1, "attack", "-kind", k.name, "-name", fmt.Sprintf("attack-%d-%d", number, at), "-count", fmt.Sprint(k.count))
	a.cmd.Stdout = &a.out
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	a.stdin = in
	return a, a.cmd.Start()
}

// end ends the attacker, and gives how often it did what it does.
func (a *attacking) end() (did int) {
	_ = a.stdin.Close()
	_ = a.cmd.Wait()
	_, _ = fmt.Sscan(a.out.String(), &did)
	return did
}

// stolen is how long the first core has been another virtual machine's, in ms.
func stolen() float64 {
	text, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 8 && f[0] == "cpu0" {
			ticks, _ := strconv.ParseFloat(f[8], 64)
			return ticks * 10 // of 10 ms
		}
	}
	return 0
}

// watch keeps the most that the server occupied.
func (b *bench) watch(ctx context.Context, r *row) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	before := stolen()
	for {
		now := stolen()
		r.stolen, before = max(r.stolen, now-before), now
		r.memory, r.disk = max(r.memory, b.memoryNow()), max(r.disk, b.diskNow()-b.disk)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *bench) memoryNow() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.Process.Pid))
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}

func (b *bench) diskNow() (mib float64) {
	_ = filepath.Walk(b.data(), func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			mib += float64(info.Size()) / (1 << 20)
		}
		return nil
	})
	return mib
}
