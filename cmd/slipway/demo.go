package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/wire"
)

// demoCmd runs the whole thing once, on its own: a server on free ports in a
// temporary folder, a small fleet, and 25 virtual devices at each door.
type demoCmd struct {
	Door    string `help:"Which way they come in: claim, trusted, direct, jitp, jitr, bulk, or all." default:"claim"`
	Devices int    `help:"How many devices; two of them are wrong on purpose." default:"25"`
	JSON    bool   `name:"json" help:"Print the table as JSON lines."`
}

//go:embed smartlock-template.json
var smartLock []byte

// The names of the demo's fleet; the template's fixture names the first two.
const (
	demoType     = "SmartLock"
	demoPolicy   = "SmartLockPolicy"
	demoFunction = "factory-list"
)

// demoDocument lets a lock connect as itself and speak under its own name.
const demoDocument = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect",
     "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
    {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
     "Resource": "arn:aws:iot:*:*:topic/locks/${iot:Connection.Thing.ThingName}/*"},
    {"Effect": "Allow", "Action": "iot:Subscribe",
     "Resource": "arn:aws:iot:*:*:topicfilter/locks/${iot:Connection.Thing.ThingName}/*"}
  ]
}`

// Run is the demo.
func (c *demoCmd) Run(ctx context.Context, s streams) error {
	if c.Devices < 2 || c.Devices > 1000 {
		return usageError{fmt.Errorf("--devices %d: expected 2 to 1000", c.Devices)}
	}
	doors, err := doorsNamed(c.Door)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	// A small pool: keys that nobody will ask for would take the devices' time.
	srv, err := server.New(ctx, server.Config{Data: dir, MQTT: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 3})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var running errgroup.Group
	running.Go(func() error { return srv.Run(ctx) })
	defer func() { stop(); _ = running.Wait() }()
	d := &demo{cmd: c, s: s, width: columns(s.out), srv: srv, start: start}
	if err := d.run(ctx, doors); err != nil {
		return err
	}
	stop()
	return running.Wait()
}

// A demo is one run of it.
type demo struct {
	cmd   *demoCmd
	s     streams
	width int // of the terminal; 0: none
	srv   *server.Server
	api   *api.Client
	roots *x509.CertPool
	start time.Time

	claim, stale tls.Certificate
	staleAt      time.Time // when the second claim has expired

	mu   sync.Mutex // one line at a time
	rows []row
}

func (d *demo) say(format string, args ...any) {
	if d.cmd.JSON {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.s.out, "%6d ms  "+format+"\n", append([]any{time.Since(d.start).Milliseconds()}, args...)...)
}

func (d *demo) run(ctx context.Context, doors []demoDoor) error {
	select {
	case <-d.srv.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	e := d.srv.Endpoints()
	d.say("server      MQTT over mutual TLS on %s", e.MQTT)
	d.say("control     AWS IoT's API on %s", e.Control)
	if err := d.setUp(ctx); err != nil {
		return err
	}
	for _, door := range doors {
		if err := door.show(d, ctx); err != nil {
			return err
		}
	}
	if !d.cmd.JSON {
		fmt.Fprintf(d.s.out, "\nServer and folder are gone again.\nTo keep one: %s serve; README.md says how to go on.\n", os.Args[0])
	}
	return nil
}

// byClaim shows the claim door: one template, two claims.
func (d *demo) byClaim(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.makeFunction, d.makeTemplate, d.makeClaims} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.rows = make([]row, d.cmd.Devices)
	var devices errgroup.Group
	devices.SetLimit(8)
	for i := range d.rows {
		devices.Go(func() error { d.device(ctx, i); return nil })
	}
	_ = devices.Wait()
	return d.table()
}

// setUp makes what the fleet has at every door, through the control API, as an
// operator would.
func (d *demo) setUp(ctx context.Context) error {
	admin, err := d.srv.Admin()
	if err != nil {
		return err
	}
	e := d.srv.Endpoints()
	d.api = &api.Client{Endpoint: e.Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
	root, err := os.ReadFile(e.RootCA)
	if err != nil {
		return err
	}
	d.roots = x509.NewCertPool()
	d.roots.AppendCertsFromPEM(root)
	if err := d.makeType(ctx); err != nil {
		return err
	}
	return d.makePolicy(ctx)
}

// makeType makes the thing type, which the template names.
func (d *demo) makeType(ctx context.Context) error {
	return d.api.Do(ctx, http.MethodPost, "/thing-types/"+demoType, nil, nil, map[string]any{}, nil)
}

func (d *demo) makePolicy(ctx context.Context) error {
	d.say("policy      %s: a lock speaks under its own name alone", demoPolicy)
	return d.api.Do(ctx, http.MethodPost, "/policies/"+demoPolicy, nil, nil, map[string]any{"policyDocument": demoDocument}, nil)
}

// makeFunction makes the allowlist: every serial but the first device's.
func (d *demo) makeFunction(ctx context.Context) error {
	var csv strings.Builder
	csv.WriteString("SerialNumber\n")
	for i := 1; i < d.cmd.Devices; i++ {
		csv.WriteString(serial(i) + "\n")
	}
	d.say("function    %s: an allowlist of %s", demoFunction, plural(d.cmd.Devices-1, "serial"))
	return d.api.Do(ctx, http.MethodPut, "/slipway/functions/"+demoFunction, nil, nil,
		map[string]any{"kind": "allowlist", "csv": csv.String()}, nil)
}

func (d *demo) makeTemplate(ctx context.Context) error {
	f, err := templates.ParseFile(smartLock)
	if err != nil {
		return err
	}
	d.say("template    %s, which asks %s each time", f.TemplateName, demoFunction)
	return d.api.Do(ctx, http.MethodPost, "/provisioning-templates", nil, nil, map[string]any{
		"templateName": f.TemplateName, "description": f.Description, "enabled": true,
		"provisioningRoleArn": f.ProvisioningRoleARN, "templateBody": f.Body,
		"preProvisioningHook": map[string]string{"payloadVersion": "2020-04-01",
			"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:" + demoFunction},
	}, nil)
}

const demoTemplate = "SmartLockTemplate"

func (d *demo) makeClaims(ctx context.Context) (err error) {
	if d.stale, d.staleAt, err = d.newClaim(ctx, time.Second); err != nil {
		return err
	}
	if d.claim, _, err = d.newClaim(ctx, 30*24*time.Hour); err != nil {
		return err
	}
	d.say("claims      one good for 30 days, one for a second")
	return nil
}

func (d *demo) newClaim(ctx context.Context, validFor time.Duration) (cert tls.Certificate, expires time.Time, err error) {
	var out struct {
		CertificatePEM string  `json:"certificatePem"`
		PrivateKey     string  `json:"privateKey"`
		Expiration     float64 `json:"expiration"`
	}
	err = d.api.Do(ctx, http.MethodPost, "/slipway/claims", nil, nil,
		map[string]any{"templateName": demoTemplate, "validForSeconds": int(validFor.Seconds())}, &out)
	if err != nil {
		return cert, expires, err
	}
	cert, err = tls.X509KeyPair([]byte(out.CertificatePEM), []byte(out.PrivateKey))
	return cert, time.UnixMilli(int64(out.Expiration * 1000)), err
}

func serial(i int) string { return fmt.Sprintf("SL-%06d", 100001+i) }

// device sends one virtual device through the flow. The first one's serial is
// not on the list; the last one holds the expired claim.
func (d *demo) device(ctx context.Context, i int) {
	r := row{Serial: serial(i), Format: wire.JSON, Version: mqtt.V5}
	claim := d.claim
	if i%2 == 1 {
		r.Format = wire.CBOR
	}
	r.ServerKeys = i/2%2 == 1
	if i%3 == 2 && i != d.cmd.Devices-1 { // a 3.1.1 device could not hear why it is refused
		r.Version = mqtt.V311
	}
	if i == d.cmd.Devices-1 {
		claim = d.stale
		r.note = "sent although its claim has expired"
		d.untilStale(ctx)
	}
	v := &sim.Device{
		Connect: client.Options{Address: d.srv.Endpoints().MQTT, ServerName: d.srv.Endpoints().Host, Roots: d.roots,
			Cert: claim, Version: r.Version, ClientID: "boot-" + r.Serial},
		Template: demoTemplate, Parameters: map[string]string{"SerialNumber": r.Serial},
		Format: r.Format, ServerKeys: r.ServerKeys,
	}
	begun := time.Now()
	result, conn, err := v.Provision(ctx)
	r.Took = time.Since(begun)
	r.Result, r.Reason = result, reason(err)
	if conn != nil {
		defer conn.Close()
		if err := conn.Publish("locks/"+result.Thing+"/hello", []byte("hello")); err != nil {
			r.Reason = reason(err)
		}
	}
	d.rows[i] = r
	d.line(&r)
}

// untilStale waits until the second claim has expired; by then all the others
// are usually done.
func (d *demo) untilStale(ctx context.Context) {
	timer := time.NewTimer(time.Until(d.staleAt.Add(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reason is what the device was told.
func reason(err error) string {
	var refused *client.Refused
	var rejected *client.Rejected
	switch {
	case err == nil:
		return ""
	case errors.As(err, &rejected):
		return fmt.Sprintf("%d %s: %s", rejected.StatusCode, rejected.ErrorCode, rejected.ErrorMessage)
	case errors.As(err, &refused) && refused.Reason != "":
		return fmt.Sprintf("%s 0x%02x: %s", refused.Packet, byte(refused.Code), refused.Reason)
	}
	return err.Error()
}
