package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
)

// keyCmd are the verbs about access keys.
type keyCmd struct {
	Add    keyAdd    `cmd:"" help:"Make an access key, or take one over; print exports that a shell can eval."`
	List   keyList   `cmd:"" help:"List the access keys of an account, without their secrets."`
	Revoke keyRevoke `cmd:"" help:"Revoke an access key; the next request with it fails."`
}

// An accessKey is a key as the server tells it, the secret once.
type accessKey struct {
	ID        string   `json:"accessKeyId"`
	Account   string   `json:"accountId"`
	Role      string   `json:"role"`
	Name      string   `json:"name"`
	Templates []string `json:"templateNames"`
	Status    string   `json:"status"`
	Created   epoch    `json:"creationDate"`
	Secret    string   `json:"secretAccessKey,omitempty"`
	Regions   []string `json:"regions,omitempty"`
}

// export prints the key for a shell.
func (k *accessKey) export(s streams, p *plane, region string) error {
	if !slices.Contains(k.Regions, region) && len(k.Regions) > 0 {
		region = k.Regions[0]
	}
	root := os.Getenv("SLIPWAY_ROOT_CA")
	if p.running != nil {
		var err error
		if root, err = filepath.Abs(p.running.RootCA); err != nil {
			return err
		}
	}
	vars := exports(k.ID, k.Secret, region, p.client.Endpoint, root)
	if p.running != nil {
		vars = append(vars, [2]string{"SLIPWAY_MQTT_PORT", portOf(p.running.MQTT)})
	}
	return writeExports(s.out, vars)
}

// keyAdd makes one.
type keyAdd struct {
	accountTarget
	Role       string    `required:"" enum:"admin,operator,installer,auditor,function" help:"What it may do: admin, operator, installer, auditor or function." placeholder:"ROLE"`
	Account    accountID `help:"Account that it is for; the caller's own if not given." placeholder:"ACCOUNT"`
	Template   []string  `help:"With --role installer: template that it may hand out claims for; may be repeated." placeholder:"NAME"`
	Name       string    `help:"Name for people, such as jo or ci." placeholder:"NAME"`
	ID         string    `name:"id" help:"Take over this access key id, with the secret of --secret-file or --secret-env." placeholder:"ID"`
	SecretFile string    `help:"With --id: file that holds the secret; - reads standard input." placeholder:"FILE" xor:"secret"`
	SecretEnv  string    `help:"With --id: environment variable that holds the secret." placeholder:"VAR" xor:"secret"`
	JSON       bool      `name:"json" help:"Print a JSON object with the secret, this once."`
}

// Run makes it. A secret that was taken over is not printed again.
func (c *keyAdd) Run(ctx context.Context, s streams) error {
	secret, err := c.secret(s)
	if err != nil {
		return err
	}
	p, region, err := c.find()
	if err != nil {
		return err
	}
	body := map[string]any{"role": c.Role, "accountId": c.Account, "name": c.Name, "accessKeyId": c.ID, "secretAccessKey": secret}
	if len(c.Template) > 0 {
		body["templateNames"] = c.Template
	}
	var made accessKey
	if err := p.own(ctx, http.MethodPost, "/slipway/keys", nil, body, &made); err != nil {
		return err
	}
	if c.ID != "" {
		made.Secret = ""
	}
	switch {
	case c.JSON:
		return writeJSON(s.out, made)
	case c.ID != "":
		_, err := fmt.Fprintf(s.out, "Access key %s of account %s is taken over, with role %s.\n", made.ID, made.Account, made.Role)
		return err
	}
	fmt.Fprintf(s.err, "Access key %s of account %s, role %s. Its secret is told this once.\n", made.ID, made.Account, made.Role)
	return made.export(s, p, region)
}

// find reaches the control plane. For the caller's own account --region is
// also what the call is signed for.
func (c *keyAdd) find() (*plane, string, error) {
	if c.Account != "" {
		return c.reach()
	}
	p, err := c.connect()
	if err != nil {
		return nil, "", err
	}
	return p, p.client.Region, nil
}

// secret reads the secret of --id.
func (c *keyAdd) secret(s streams) (string, error) {
	given := c.SecretFile != "" || c.SecretEnv != ""
	if (c.ID != "") != given {
		return "", usageError{errors.New("--id and the secret belong together: give --id with --secret-file FILE or --secret-env VAR, or neither for a new key")}
	}
	if !given {
		return "", nil
	}
	text, from := os.Getenv(c.SecretEnv), "--secret-env: $"+c.SecretEnv
	if c.SecretFile != "" {
		from = "--secret-file " + c.SecretFile
		raw, err := readInput(s, "--secret-file", c.SecretFile)
		if err != nil {
			return "", err
		}
		text = strings.TrimSpace(string(raw))
	}
	if text == "" {
		return "", usageError{fmt.Errorf("%s is empty: expected the secret of --id", from)}
	}
	return text, nil
}

// keyList prints the keys of an account.
type keyList struct {
	target
	Account accountID `help:"Account; the caller's own if not given." placeholder:"ACCOUNT"`
	JSON    bool      `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *keyList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	query := byToken()
	if c.Account != "" {
		query.Set("accountId", string(c.Account))
	}
	list, err := all[accessKey](ctx, p, http.MethodGet, "/slipway/keys", query, "keys")
	if err != nil {
		return p.needsSlipway(err)
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, k := range list {
		rows = append(rows, strings.Join([]string{k.ID, k.Role, k.Status, k.Name, strings.Join(k.Templates, ","), k.Created.String()}, "\t"))
	}
	return writeTable(s.out, "KEY\tROLE\tSTATUS\tNAME\tTEMPLATES\tMADE", rows)
}

// keyRevoke ends one.
type keyRevoke struct {
	target
	ID    string `arg:"" help:"Access key id."`
	Force bool   `help:"Revoke it even if it is the last admin key of its account."`
}

// Run ends it.
func (c *keyRevoke) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	var query url.Values
	if c.Force {
		query = url.Values{"force": {"true"}}
	}
	if err := p.own(ctx, http.MethodDelete, api.Path("slipway", "keys", c.ID), query, nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "Access key %s is revoked.\n", c.ID)
	return err
}
