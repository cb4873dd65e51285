package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/slipway-iot/slipway/agent"
)

// bounded gives the whole run its time.
func (p *run) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.Timeout > 0 {
		return context.WithTimeout(ctx, p.Timeout)
	}
	return ctx, func() {}
}

// execute provisions and prints what came of it.
func (p *run) execute(ctx context.Context, c agent.Config, stdout, stderr io.Writer) int {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	a := agent.New(c)
	a.Notice = func(sentence string) { fmt.Fprintln(stderr, sentence) }
	report, err := a.Provision(ctx)
	failure := failureOf(err)
	if p.JSON {
		printJSON(stdout, report, failure)
	} else {
		printTable(stdout, report)
	}
	if failure != nil {
		printFailure(stderr, failure)
		return failure.Exit
	}
	if !p.JSON {
		printIdentity(stdout, report)
	}
	return 0
}

func failureOf(err error) (failure *agent.Failure) {
	if err != nil && !errors.As(err, &failure) {
		failure = &agent.Failure{Class: agent.DeviceFailed, Exit: agent.ExitFailed, Text: err.Error()}
	}
	return failure
}

// printFailure says what the server said, what that means, and last the class,
// for scripts.
func printFailure(w io.Writer, f *agent.Failure) {
	if f.Said != "" {
		fmt.Fprintf(w, "rejected: %s\n", f.Said)
	}
	fmt.Fprintf(w, "%s\nclass: %s\n", f.Text, f.Class)
}

func printTable(w io.Writer, r *agent.Report) {
	if r.Resumed != "" {
		fmt.Fprintf(w, "resumed from state %s\n", r.Resumed)
	}
	if len(r.Stages) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\ttime\ttries\t")
	for _, s := range r.Stages {
		fmt.Fprintf(t, "%s\t%s\t%d\t\n", s.Name, duration(s.Took), s.Tries)
	}
	fmt.Fprintf(t, "all\t%s\t\t\n", duration(r.Total))
	_ = t.Flush()
	if peak := peakMemory(); peak > 0 {
		fmt.Fprintf(w, "peak memory: %.1f MiB\n", float64(peak)/(1<<20))
	}
}

func duration(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", milliseconds(d))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// printIdentity ends a run that went well.
func printIdentity(w io.Writer, r *agent.Report) {
	thing := r.ThingName
	if thing == "" {
		thing = "(the template declares none)"
	}
	fmt.Fprintf(w, "thing: %s\ncertificate: %s\n", thing, r.CertificateID)
}

// result is the form of --json.
type result struct {
	Thing       string      `json:"thing,omitempty"`
	Certificate string      `json:"certificate,omitempty"`
	Resumed     agent.Stage `json:"resumed,omitempty"`
	Stages      []timing    `json:"stages"`
	TotalMs     float64     `json:"totalMs"`
	PeakMemory  int64       `json:"peakMemoryBytes,omitempty"`
	Error       *problem    `json:"error,omitempty"`
}

type timing struct {
	Name  string  `json:"name"`
	Ms    float64 `json:"ms"`
	Tries int     `json:"tries"`
}

type problem struct {
	Class agent.Class `json:"class"`
	Text  string      `json:"text"`
	Said  string      `json:"said,omitempty"`
	Exit  int         `json:"exit"`
}

func printJSON(w io.Writer, r *agent.Report, f *agent.Failure) {
	out := result{
		Thing: r.ThingName, Certificate: r.CertificateID, Resumed: r.Resumed,
		Stages: []timing{}, TotalMs: milliseconds(r.Total), PeakMemory: peakMemory(),
	}
	for _, s := range r.Stages {
		out.Stages = append(out.Stages, timing{s.Name, milliseconds(s.Took), s.Tries})
	}
	if f != nil {
		out.Error = &problem{f.Class, f.Text, f.Said, f.Exit}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // a closed stdout is nobody's to hear of
}
