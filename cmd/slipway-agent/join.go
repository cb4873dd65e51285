package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/wire/handover"
)

// join takes a claim as an installer hands it over, or asks for one by a code.
type join struct {
	From     string `default:"-" placeholder:"FILE" help:"Where the claim comes from: a file, the device of a serial line, or - for standard input. It is read until the claim is whole."`
	Endpoint string `placeholder:"HOST[:PORT]" help:"Server to connect to, if it is not the one that the claim names."`
	Code     bool   `help:"Show a code and wait until an installer approves it; this device needs a network, and --server."`
	Server   string `placeholder:"HOST[:PORT]" help:"With --code: the server's HTTPS port; 8443 if none is given."`
	run
}

// execute gets the claim, keeps it in --out while it is needed, and provisions
// with it. A run that was killed is continued by another join, or, while the
// claim lasts, by provision with the two files.
func (j *join) execute(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := j.prepare(ctx, stdin, stderr)
	if err != nil {
		failure := failureOf(err)
		if j.JSON {
			printJSON(stdout, &agent.Report{}, failure)
		}
		printFailure(stderr, failure)
		return failure.Exit
	}
	return j.run.execute(ctx, c, stdout, stderr)
}

func (j *join) prepare(ctx context.Context, stdin io.Reader, stderr io.Writer) (agent.Config, error) {
	ctx, cancel := j.bounded(ctx)
	defer cancel()
	c := j.config()
	if j.Code {
		return j.byCode(ctx, c, stderr)
	}
	claim, err := j.read(ctx, stdin)
	if err != nil {
		return c, err
	}
	c.Endpoint = claim.Endpoint
	if j.Endpoint != "" {
		c.Endpoint = j.Endpoint
	}
	return agent.Keep(c, claim)
}

// read waits for the claim. Whoever sends it may take as long as --timeout.
func (j *join) read(ctx context.Context, stdin io.Reader) (*handover.Claim, error) {
	source := stdin
	if j.From != "-" {
		f, err := os.Open(j.From)
		if err != nil {
			return nil, &agent.Failure{Class: agent.Usage, Exit: agent.ExitUsage, Text: "--from: " + err.Error() + "."}
		}
		defer f.Close()
		source = f
	}
	type answer struct {
		claim *handover.Claim
		err   error
	}
	got := make(chan answer, 1) // a read that nobody waits for ends with the program
	go func() {
		claim, err := handover.Read(source)
		got <- answer{claim, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			return nil, &agent.Failure{Class: agent.Usage, Exit: agent.ExitUsage, Err: a.err, Text: "--from " + j.From + ": " + a.err.Error() + "."}
		}
		return a.claim, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, &agent.Failure{Class: agent.Interrupted, Exit: agent.ExitFailed, Text: "No claim came within --timeout."}
		}
		return nil, &agent.Failure{Class: agent.Interrupted, Exit: agent.ExitFailed, Text: "Interrupted while waiting for the claim."}
	}
}
