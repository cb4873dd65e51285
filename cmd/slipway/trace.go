package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
)

// traceCmd prints what became of a device's tries.
type traceCmd struct {
	target
	What string `arg:"" optional:"" help:"A serial or other parameter value, a certificate id, a thing, a client id or an address; all tries if not given."`
	Last int    `help:"How many of the last tries." default:"5" short:"n"`
	JSON bool   `name:"json" help:"Print a JSON array, the newest first."`
}

// An attempt is one try as the server answers it.
type attempt struct{ attempts.Attempt }

// attempts reads the newest tries that can be found by what, the newest first.
func (p *plane) attempts(ctx context.Context, what string, last int) ([]attempt, error) {
	var out struct {
		Attempts []attempt `json:"attempts"`
	}
	err := p.own(ctx, http.MethodGet, "/slipway/attempts",
		url.Values{"what": {what}, "maxResults": {strconv.Itoa(last)}}, nil, &out)
	return out.Attempts, err
}

// Run prints them, the newest last, where the eye is.
func (c *traceCmd) Run(ctx context.Context, s streams) error {
	if c.Last < 1 || c.Last > 250 {
		return usageError{fmt.Errorf("--last %d: expected 1 to 250", c.Last)}
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := p.attempts(ctx, c.What, c.Last)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, append([]attempt{}, list...))
	}
	if len(list) == 0 {
		return c.nothing(p)
	}
	for i, a := range slices.Backward(list) {
		a.print(s)
		if i > 0 {
			fmt.Fprintln(s.out)
		}
	}
	return nil
}

// nothing says where was looked, and what else could be asked.
func (c *traceCmd) nothing(p *plane) error {
	if c.What == "" {
		return fmt.Errorf("no device has tried anything worth keeping at %s: only tries that asked for provisioning, or were refused something, are", p.client.Endpoint)
	}
	hint := ""
	if host, _, err := net.SplitHostPort(c.What); err == nil {
		hint = fmt.Sprintf(" An address is written without its port: %s.", host)
	}
	if strings.HasPrefix(c.What, "arn:") {
		hint = " A certificate or thing is written by its id or name alone, not as an ARN."
	}
	return errors.New("nothing known of " + strconv.Quote(c.What) + ".\n" +
		"Looked at " + p.client.Endpoint + " among the tries that are kept, by parameter value (such as the serial), certificate id, thing, client id and address, each written in full and in the same case." + hint + "\n" +
		"A try is kept if it asked for provisioning or was refused something; an ordinary reconnect is not. If the device never reached the server, it is not here either: `slipway trace` alone shows the last tries of all.")
}

// headline is the attempt in a few words.
func (a attempt) headline() string {
	text := fmt.Sprintf("%s at the %s door, from %s", a.Outcome, a.Door, a.Remote)
	if a.Count > 1 {
		text += fmt.Sprintf(", with %d alike within the minute", a.Count-1)
	}
	return text
}

func (a attempt) print(s streams) {
	bold, plain := "", ""
	if bad := a.Outcome == attempts.Refused || a.Outcome == attempts.Failed; bad {
		bold, plain = red(s.out), reset(s.out)
	}
	fmt.Fprintf(s.out, "%s  %s%s%s\n", a.Opened.UTC().Format("2006-01-02 15:04:05.000 UTC"), bold, a.headline(), plain)
	out := sheet{s.out, 18}
	out.line("  client id", a.ClientID)
	out.line("  certificate", string(a.CertID))
	out.line("  new certificate", string(a.NewCert))
	out.line("  thing", a.Thing)
	out.line("  template", a.Template)
	width := columns(s.out)
	out.line("  reason", wrap(a.Reason, width, 19))
	short := a.shortIDs()
	for _, step := range a.Steps {
		step.Text = short.Replace(step.Text)
		if step.Name == "end" && a.Reason != "" && step.Text == short.Replace(a.Reason) {
			step.Text = "The server closed the connection for this reason."
		}
		printStep(s, step, width)
	}
}

// shortIDs cuts the certificate ids that stand whole in the attempt's head.
func (a attempt) shortIDs() *strings.Replacer {
	var pairs []string
	for _, id := range []arn.CertID{a.CertID, a.NewCert} {
		if len(id) > 8 {
			pairs = append(pairs, string(id), string(id[:8])+"…")
		}
	}
	return strings.NewReplacer(pairs...)
}

// printStep prints one line of the timeline. A refused step begins with a mark
// that is seen without colour too.
func printStep(s streams, step attempts.Step, width int) {
	mark, bold, plain := " ", "", ""
	if step.Refused {
		mark, bold, plain = "✗", red(s.out), reset(s.out)
	}
	after := fmt.Sprintf("+%.1f ms", float64(step.After)/float64(time.Millisecond))
	fmt.Fprintf(s.out, "  %s%s %11s  %-10s %s%s\n", bold, mark, after, step.Name, wrap(step.Text, width, 28), plain)
}
