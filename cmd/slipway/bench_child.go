package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/server"
)

// benches are the benchmarks; without a word it is that of the claim flow.
type benches struct {
	Flow     benchCmd     `cmd:"" default:"withargs" help:"The durable claim flow against the cryptography it cannot avoid."`
	Registry registryCmd  `cmd:"" help:"A registry of a million things against one of a thousand."`
	Bulk     benchBulkCmd `cmd:"" help:"Bulk registration against the check, the signature and the commit that a line cannot avoid."`
	Idle     idleCmd      `cmd:"" help:"Memory of connections that say nothing, and what it costs to open one."`
	Broker   brokerCmd    `cmd:"" help:"Messages a second and their latency beside mosquitto, in the same run."`
}

// A child is `slipway serve` in a process of its own, so that what it costs
// can be told from what it costs to load it.
type child struct {
	data, store string
	cores       string // that it stays on; empty: all

	cmd *exec.Cmd
	e   server.Endpoints
	api *api.Client // of its admin
	// took is from the start of the process to the line that says it serves.
	took time.Duration
}

// start returns once the server serves. After an error nothing runs.
func (c *child) start(ctx context.Context, s streams) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.cmd = onCores(ctx, c.cores, self, "serve", "--data", c.data, "--store", c.store,
		"--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0", "--log-level", "warn", "--pool", "1")
	c.cmd.Stderr = s.err
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "Ready.") {
			continue
		}
		c.took = time.Since(began)
		go func() { _, _ = io.Copy(io.Discard, out) }()
		if err = c.connect(); err != nil {
			c.stop()
		}
		return err
	}
	c.stop()
	return errors.New("the server ended before it was ready")
}

func (c *child) connect() error {
	e, admin, err := readRunning(c.data, "")
	if err != nil {
		return err
	}
	c.e = *e
	c.api = &api.Client{Endpoint: e.Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
	return nil
}

// stop ends the server in good order and waits for it; it may be called again.
func (c *child) stop() {
	if c == nil || c.cmd == nil || c.cmd.Process == nil {
		return
	}
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.cmd.Wait()
	c.cmd = nil
}

// cpu is the time of the CPU that the process has used.
func (c *child) cpu() (time.Duration, error) { return processTime(c.pid()) }

func (c *child) pid() int { return c.cmd.Process.Pid }
