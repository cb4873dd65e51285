package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// A shownCode is a device that waits for an installer.
type shownCode struct {
	Code        string            `json:"userCode"`
	Fingerprint string            `json:"fingerprint"`
	About       map[string]string `json:"about"`
	From        string            `json:"from"`
	State       string            `json:"state"`
	Template    string            `json:"templateName,omitempty"`
	By          string            `json:"by,omitempty"`
	Created     epoch             `json:"creationDate"`
	Expires     epoch             `json:"expiration"`
}

func (p *plane) codes(ctx context.Context) ([]shownCode, error) {
	var out struct {
		Codes []shownCode `json:"deviceCodes"`
	}
	err := p.own(ctx, http.MethodGet, "/slipway/device-codes", nil, nil, &out)
	return out.Codes, err
}

// deviceCodes lists the devices that show a code.
type deviceCodes struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *deviceCodes) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := p.codes(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, d := range list {
		state := d.State + either(d.By != "", " by "+d.By)
		rows = append(rows, strings.Join([]string{d.Code, state, strings.Join(d.says(), " "), d.From, d.Expires.String()}, "\t"))
	}
	return writeTable(s.out, "CODE\tSTATE\tSAYS\tFROM\tEXPIRES", rows)
}

func (d *shownCode) says() []string {
	out := pairs(d.About)
	for i := range out {
		out[i] = strings.Replace(out[i], " = ", "=", 1)
	}
	return out
}

// deviceApprove lets a device fetch its claim.
type deviceApprove struct {
	target
	Code        string `arg:"" help:"The code that the device shows."`
	Template    string `required:"" help:"Template that the device may use." placeholder:"NAME"`
	Fingerprint string `help:"The fingerprint that the device shows, or its first 16 digits or more; else it is asked for on the terminal." placeholder:"HEX"`
}

// Run compares, and approves.
func (c *deviceApprove) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	d, err := p.shown(ctx, c.Code)
	if err != nil {
		return err
	}
	if err := c.compare(s, d); err != nil {
		return err
	}
	err = p.own(ctx, http.MethodPost, api.Path("slipway", "device-codes", d.Code, "approve"), nil,
		map[string]string{"templateName": c.Template, "fingerprint": d.Fingerprint}, nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s approved for template %s. The device has until %s to fetch its claim; the five minutes of the claim begin then.\n", d.Code, c.Template, d.Expires)
	return err
}

// shortest is how much of a fingerprint is enough: 64 bits, for a code that
// lives ten minutes.
const shortest = 16

func (c *deviceApprove) compare(s streams, d *shownCode) error {
	given := strings.ToLower(strings.ReplaceAll(c.Fingerprint, " ", ""))
	switch {
	case given == "":
		return c.ask(s, d)
	case len(given) < shortest:
		return usageError{fmt.Errorf("--fingerprint: expected at least the first %d digits", shortest)}
	case !strings.HasPrefix(d.Fingerprint, given):
		return refusal{"ConflictException", fmt.Sprintf("the device that shows %s has another key: %s. Do not approve it", d.Code, inFours(d.Fingerprint))}
	}
	return nil
}

// ask has the person at the terminal compare.
func (c *deviceApprove) ask(s streams, d *shownCode) error {
	if in, ok := s.in.(*os.File); !ok || !terminal(in) {
		return usageError{errors.New("--fingerprint is missing, and nobody is here to compare: give what the device shows")}
	}
	out := sheet{s.out, 12}
	out.line("code", d.Code)
	out.line("says", d.says()...)
	out.line("from", d.From)
	out.line("fingerprint", inFours(d.Fingerprint))
	fmt.Fprint(s.out, "Does the device show this fingerprint? [y/N] ")
	answer, _ := bufio.NewReader(s.in).ReadString('\n')
	if strings.ToLower(strings.TrimSpace(answer)) != "y" {
		return refusal{"Aborted", "nothing is approved; `slipway device deny " + d.Code + "` tells the device so"}
	}
	return nil
}

func inFours(hex string) string {
	var out []string
	for len(hex) > 4 {
		out, hex = append(out, hex[:4]), hex[4:]
	}
	return strings.Join(append(out, hex), " ")
}

// shown finds a code among those that the caller may see.
func (p *plane) shown(ctx context.Context, code string) (*shownCode, error) {
	list, err := p.codes(ctx)
	if err != nil {
		return nil, err
	}
	plain := func(s string) string { return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s)) }
	for i := range list {
		if plain(list[i].Code) == plain(code) {
			return &list[i], nil
		}
	}
	return nil, refusal{api.Missing, fmt.Sprintf("no device shows the code %s: it is mistyped, or it expired; `slipway device codes` lists those that wait", code)}
}

// deviceDeny refuses a device.
type deviceDeny struct {
	target
	Code string `arg:"" help:"The code that the device shows."`
}

// Run denies it.
func (c *deviceDeny) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	d, err := p.shown(ctx, c.Code)
	if err != nil {
		return err
	}
	err = p.own(ctx, http.MethodPost, api.Path("slipway", "device-codes", d.Code, "deny"), nil, map[string]string{"fingerprint": d.Fingerprint}, nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s denied; the device is told so when it asks next, within %s.\n", d.Code, 5*time.Second)
	return err
}
