package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// claimCmd are the verbs about claims.
type claimCmd struct {
	New  claimNew  `cmd:"" help:"Make a claim certificate for a template, with its key, as files."`
	List claimList `cmd:"" help:"List the claims."`
	Kill claimKill `cmd:"" help:"Revoke a claim; devices that it provisioned keep their own certificates."`
}

// The files of a claim.
const (
	claimCertFile = "claim.cert.pem"
	claimKeyFile  = "claim.private.key"
	rootCAFile    = "root-ca.pem"
)

// claimNew makes a claim.
type claimNew struct {
	target
	Template string `required:"" help:"Template that the claim is for; at another one it is refused." placeholder:"NAME"`
	ValidFor span   `help:"How long it is good, such as 720h or 30d; else as long as AWS's claims, until 2049." placeholder:"DURATION"`
	Out      string `help:"Folder for the files; made if it does not exist." default:"." placeholder:"DIR"`
	Force    bool   `help:"Replace the files of an earlier claim."`
	JSON     bool   `name:"json" help:"Print a JSON object, without the key."`

	Trusted bool   `help:"Make a temporary claim to hand over now: good for five minutes, or --valid-for less." group:"Temporary claims"`
	Devices int    `help:"How many devices a temporary claim may register; 1000 if not given." placeholder:"N" group:"Temporary claims"`
	QR      bool   `name:"qr" help:"Show a temporary claim as a QR code in the terminal, and write no file." group:"Temporary claims"`
	Stdout  string `help:"Print a temporary claim, key included, as json (one line) or pem (one block), and write no file." enum:",json,pem" default:"" xor:"form" placeholder:"FORM" group:"Temporary claims"`
}

// A span is a duration that may be written in days.
type span time.Duration

const maxSpan = 36500 * 24 * time.Hour

// UnmarshalText reads 30d, or what time.ParseDuration reads.
func (d *span) UnmarshalText(text []byte) error {
	var got time.Duration
	var err error
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16) // far from what a duration cannot hold
		got = time.Duration(n) * 24 * time.Hour
	} else {
		got, err = time.ParseDuration(string(text))
	}
	if err != nil || got < time.Second || got > maxSpan {
		return fmt.Errorf("%q: expected at least a second and at most 36500d, such as 720h or 30d", text)
	}
	*d = span(got)
	return nil
}

// newClaim is the server's answer.
type newClaim struct {
	CertificateID  string `json:"certificateId"`
	CertificateARN string `json:"certificateArn"`
	CertificatePEM string `json:"certificatePem"`
	PrivateKey     string `json:"privateKey"`
	Template       string `json:"templateName"`
	Expiration     epoch  `json:"expiration"`
}

// Run makes it. A claim whose files could not be written is revoked again.
func (c *claimNew) Run(ctx context.Context, s streams) error {
	if c.Trusted {
		return c.trusted(ctx, s)
	}
	if c.QR || c.Stdout != "" || c.Devices != 0 {
		return usageError{errors.New("--qr, --stdout and --devices belong to --trusted: only a temporary claim is handed over in the open")}
	}
	if err := c.room(); err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var claim newClaim
	err = p.own(ctx, http.MethodPost, "/slipway/claims", nil,
		map[string]any{"templateName": c.Template, "validForSeconds": int64(time.Duration(c.ValidFor).Seconds())}, &claim)
	if err != nil {
		return err
	}
	files, err := c.write(p, &claim)
	if err != nil {
		if undo := p.revoke(context.WithoutCancel(ctx), claim.CertificateID); undo != nil {
			return fmt.Errorf("%w; the claim %s exists on the server and could not be revoked: %w", err, claim.CertificateID, undo)
		}
		return fmt.Errorf("%w; the claim was revoked again", err)
	}
	if c.JSON {
		return writeJSON(s.out, map[string]any{
			"certificateId": claim.CertificateID, "certificateArn": claim.CertificateARN,
			"templateName": claim.Template, "expiration": claim.Expiration, "files": files,
		})
	}
	c.print(s, p, &claim, files)
	if at := p.deviceAddress(ctx); at != "" {
		fmt.Fprintf(s.out, "\nOn the device: %s\n", c.next(ctx, p, at))
	}
	return nil
}

// room makes the folder and sees to it that no earlier claim is lost.
func (c *claimNew) room() error {
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return notGiven("--out", c.Out, err)
	}
	for _, name := range []string{claimCertFile, claimKeyFile} {
		path := filepath.Join(c.Out, name)
		if _, err := os.Lstat(path); !c.Force && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: give another --out, or --force to replace it", path)
		}
	}
	return nil
}

// write puts the files in place, the key first, and gives their names.
func (c *claimNew) write(p *plane, claim *newClaim) ([]string, error) {
	files := []struct {
		name, text string
		mode       fs.FileMode
	}{
		{claimKeyFile, claim.PrivateKey, 0o600},
		{claimCertFile, claim.CertificatePEM, 0o644},
		{rootCAFile, p.rootCA(), 0o644},
	}
	var names []string
	for _, f := range files {
		if f.text == "" {
			continue
		}
		path := filepath.Join(c.Out, f.name)
		if err := writeWhole(path, []byte(f.text), f.mode); err != nil {
			return nil, err
		}
		names = append(names, path)
	}
	return names, nil
}

// rootCA gives the root that devices pin, if it is known on this machine.
func (p *plane) rootCA() string {
	path := os.Getenv("SLIPWAY_ROOT_CA")
	if p.running != nil {
		path = p.running.RootCA
	}
	if path == "" {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

func (c *claimNew) print(s streams, p *plane, claim *newClaim, files []string) {
	out := sheet{s.out, 12}
	out.line("certificate", claim.CertificateID)
	out.line("template", claim.Template)
	out.line("expires", claim.Expiration.String())
	out.line("files", files...)
	if !slices.Contains(files, filepath.Join(c.Out, rootCAFile)) {
		out.line("root", "not known on this machine: it is root-ca.pem in the server's data folder")
	}
}

// next is the command line with which a device uses the claim.
func (c *claimNew) next(ctx context.Context, p *plane, address string) string {
	parameters := " --param NAME=VALUE"
	if t, err := p.existingTemplate(ctx, c.Template); err == nil {
		parameters = ""
		for _, declared := range parametersOf(t.Body, t.Type) {
			if declared.Required {
				parameters += " --param " + declared.Name + "=…"
			}
		}
	}
	in := func(name string) string { return shellQuote(filepath.Join(c.Out, name)) }
	return fmt.Sprintf("slipway-agent provision --endpoint %s --root-ca %s \\\n  --claim-cert %s --claim-key %s \\\n  --template %s%s --out ./identity",
		address, in(rootCAFile), in(claimCertFile), in(claimKeyFile), c.Template, parameters)
}

// deviceAddress is where devices reach the server: its name, and the port that
// it listens on here, or that `slipway env` told. Empty: not known.
func (p *plane) deviceAddress(ctx context.Context) string {
	if e := p.running; e != nil {
		return net.JoinHostPort(e.Host, portOf(e.MQTT))
	}
	port := os.Getenv("SLIPWAY_MQTT_PORT")
	if port == "" {
		return ""
	}
	var endpoint struct {
		Address string `json:"endpointAddress"`
	}
	if err := p.call(ctx, http.MethodGet, "/endpoint", url.Values{"endpointType": {"iot:Data-ATS"}}, nil, &endpoint); err != nil {
		return ""
	}
	return net.JoinHostPort(endpoint.Address, port)
}
