package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/slipway-iot/slipway/client/api"
)

// accountCmd are the verbs about accounts.
type accountCmd struct {
	Add     accountAdd     `cmd:"" help:"Add an account; print the host name that its devices use."`
	List    accountList    `cmd:"" help:"List the accounts."`
	Disable accountDisable `cmd:"" help:"Switch an account off: its calls are refused and its devices cut, and nothing is lost."`
	Enable  accountEnable  `cmd:"" help:"Switch an account on again."`
	Limits  accountLimits  `cmd:"" help:"Show or set an account's limits of size and count, and its rate quotas."`
}

// An accountTarget is a target whose --region is that of the account which the
// verb is about. The call is signed for the environment's region; whichever that
// is, since accounts and keys are in none.
type accountTarget struct{ target }

// reach finds the control plane and the region of the account.
func (t *accountTarget) reach() (p *plane, region string, err error) {
	mine := t.target
	mine.Region = ""
	if p, err = mine.connect(); err != nil {
		return nil, "", err
	}
	if region = t.Region; region == "" {
		region = p.client.Region
	}
	return p, region, nil
}

// An accountID is the number of an account, or nothing where a flag is left
// out.
type accountID string

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// Validate is called by the parser of the command line.
func (id accountID) Validate() error {
	if id != "" && !accountForm.MatchString(string(id)) {
		return fmt.Errorf("%q: expected an account's number, 12 digits", string(id))
	}
	return nil
}

// account is an account as the server tells it.
type account struct {
	ID       string         `json:"accountId"`
	Region   string         `json:"region"`
	Endpoint string         `json:"endpointAddress"`
	Status   string         `json:"status"`
	Profile  string         `json:"profile"`
	Limits   map[string]int `json:"limits"`
	Own      map[string]int `json:"ownLimits"`
	Created  epoch          `json:"creationDate"`
	Key      *accessKey     `json:"accessKey,omitempty"`
}

func (a *account) print(s streams) {
	out := sheet{s.out, 9}
	out.line("account", a.ID)
	out.line("region", a.Region)
	out.line("devices", a.Endpoint)
	out.line("status", a.Status)
}

const accountsPath = "/slipway/accounts"

func accountPath(id, region string) string { return api.Path("slipway", "accounts", id, region) }

// accountAdd adds one.
type accountAdd struct {
	accountTarget
	ID   accountID `arg:"" name:"account" help:"Its number, 12 digits."`
	Key  bool      `help:"Make an admin key for it and print exports that a shell can eval."`
	JSON bool      `name:"json" help:"Print a JSON object; with --key it holds the secret, this once."`
}

// Run adds it. What is printed for a shell stands alone on standard output.
func (c *accountAdd) Run(ctx context.Context, s streams) error {
	p, region, err := c.reach()
	if err != nil {
		return err
	}
	var made account
	body := map[string]any{"accountId": c.ID, "region": region, "adminKey": c.Key}
	if err := p.own(ctx, http.MethodPost, accountsPath, nil, body, &made); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return writeJSON(s.out, made)
	case made.Key != nil:
		made.print(streams{out: s.err})
		return made.Key.export(s, p, region)
	}
	made.print(s)
	fmt.Fprintf(s.out, "A key for it: eval \"$(slipway key add --role admin --account %s)\"\n", made.ID)
	return nil
}

// accountList prints all accounts.
type accountList struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *accountList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := all[account](ctx, p, http.MethodGet, accountsPath, byToken(), "accounts")
	if err != nil {
		return p.needsSlipway(err)
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, a := range list {
		rows = append(rows, a.ID+"\t"+a.Region+"\t"+a.Status+"\t"+a.Endpoint+"\t"+a.Created.String())
	}
	return writeTable(s.out, "ACCOUNT\tREGION\tSTATUS\tDEVICES\tMADE", rows)
}

// accountNamed names one account.
type accountNamed struct {
	accountTarget
	ID   accountID `arg:"" name:"account" help:"Its number, 12 digits."`
	JSON bool      `name:"json" help:"Print a JSON object."`
}

// change sends what is to change, if anything is, and gives the account.
func (c *accountNamed) change(ctx context.Context, change map[string]any) (*account, error) {
	p, region, err := c.reach()
	if err != nil {
		return nil, err
	}
	var now account
	if len(change) == 0 {
		return &now, p.own(ctx, http.MethodGet, accountPath(string(c.ID), region), nil, nil, &now)
	}
	return &now, p.own(ctx, http.MethodPatch, accountPath(string(c.ID), region), nil, change, &now)
}

func (c *accountNamed) turn(ctx context.Context, s streams, off bool) error {
	now, err := c.change(ctx, map[string]any{"disabled": off})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, now)
	}
	now.print(s)
	return nil
}

// accountDisable switches one off.
type accountDisable struct{ accountNamed }

// Run switches it off.
func (c *accountDisable) Run(ctx context.Context, s streams) error { return c.turn(ctx, s, true) }

// accountEnable switches one on.
type accountEnable struct{ accountNamed }

// Run switches it on.
func (c *accountEnable) Run(ctx context.Context, s streams) error { return c.turn(ctx, s, false) }

// accountLimits shows or sets limits.
type accountLimits struct {
	accountNamed
	Set     map[string]string `help:"Set a limit, or give it AWS's number again with NAME=aws; may be repeated." placeholder:"NAME=N"`
	Profile *string           `help:"Rate quotas: aws for AWS's, none, or server for what serve --profile says." enum:"aws,none,server" placeholder:"NAME"`
}

// Run sets what is to be set and prints what holds.
func (c *accountLimits) Run(ctx context.Context, s streams) error {
	change, err := c.wanted()
	if err != nil {
		return err
	}
	now, err := c.change(ctx, change)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, now)
	}
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(now.Limits)) {
		_, own := now.Own[name]
		rows = append(rows, fmt.Sprintf("%s\t%d\t%s", name, now.Limits[name], either(own, "set here")))
	}
	rows = append(rows, "rate quotas\t"+now.Profile+"\t")
	return writeTable(s.out, "LIMIT\tVALUE\t", rows)
}

func (c *accountLimits) wanted() (map[string]any, error) {
	change := map[string]any{}
	if len(c.Set) > 0 {
		limits := map[string]*int{}
		for name, text := range c.Set {
			limits[name] = nil
			if text == "aws" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, usageError{fmt.Errorf("--set %s=%s: expected a number, or aws", name, text)}
			}
			limits[name] = &n
		}
		change["limits"] = limits
	}
	if c.Profile != nil {
		change["profile"] = either(*c.Profile != "server", *c.Profile)
	}
	return change, nil
}
