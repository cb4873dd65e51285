package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// deviceCreate makes one device by hand: a thing, a certificate with its key,
// and what the two are attached to. It asks for operations of AWS's API alone.
type deviceCreate struct {
	target
	Name      string            `arg:"" help:"Name of the thing, which must not exist yet."`
	Type      string            `help:"Its thing type." placeholder:"NAME"`
	Attribute map[string]string `help:"Attribute of the thing; may be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
	Group     []string          `help:"Thing group that it joins; may be repeated." placeholder:"NAME" sep:"none"`
	Policy    []string          `help:"Policy of its certificate; may be repeated. Without one it may not even connect." placeholder:"NAME" sep:"none"`
	Out       string            `help:"Folder for the files; made if it does not exist." default:"." placeholder:"DIR"`
	Force     bool              `help:"Replace the files of an earlier device of this name."`
	JSON      bool              `name:"json" help:"Print a JSON object, without the key."`
}

// A newDevice is what CreateKeysAndCertificate answers, and the files that it
// was written to.
type newDevice struct {
	CertificateID  string `json:"certificateId"`
	CertificateARN string `json:"certificateArn"`
	CertificatePEM string `json:"certificatePem"`
	Keys           struct {
		Private string `json:"PrivateKey"`
	} `json:"keyPair"`
	files []string
}

// Run makes the device, or nothing: what a run made that did not reach its end
// is taken back.
func (c *deviceCreate) Run(ctx context.Context, s streams) error {
	if err := c.room(); err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var done undo
	made, err := c.make(ctx, p, &done)
	if err != nil {
		return done.all(ctx, err)
	}
	if c.JSON {
		return writeJSON(s.out, map[string]any{
			"thingName": c.Name, "certificateId": made.CertificateID, "certificateArn": made.CertificateARN,
			"policies": append([]string{}, c.Policy...), "files": made.files,
		})
	}
	c.print(ctx, s, p, made)
	return nil
}

// make takes the steps in an order that lets nobody in early: the certificate
// becomes ACTIVE last, when its files are on disk and everything is attached.
func (c *deviceCreate) make(ctx context.Context, p *plane, done *undo) (*newDevice, error) {
	if err := c.thing(ctx, p, done); err != nil {
		return nil, err
	}
	var d newDevice
	err := p.call(ctx, http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"false"}}, nil, &d)
	if gone := new(api.Unreachable); errors.As(err, &gone) {
		return nil, fmt.Errorf("%w\nIt may have made a certificate that is INACTIVE and attached to nothing", err)
	}
	if err != nil {
		return nil, err
	}
	at := api.Path("certificates", d.CertificateID)
	done.add("certificate "+d.CertificateID, func(ctx context.Context) error {
		return p.call(ctx, http.MethodDelete, at, nil, nil, nil)
	})
	if err := c.attach(ctx, p, &d, done); err != nil {
		return nil, err
	}
	if err := c.write(p, &d, done); err != nil {
		return nil, err
	}
	done.add("activation of certificate "+d.CertificateID, func(ctx context.Context) error {
		return p.call(ctx, http.MethodPut, at, url.Values{"newStatus": {"INACTIVE"}}, nil, nil)
	})
	return &d, p.call(ctx, http.MethodPut, at, url.Values{"newStatus": {"ACTIVE"}}, nil, nil)
}

// thing makes the thing and puts it into its groups. CreateThing of a thing
// that exists may succeed, so it is asked for first: what was there before is
// not ours to take back.
func (c *deviceCreate) thing(ctx context.Context, p *plane, done *undo) error {
	at := api.Path("things", c.Name)
	err := p.get(ctx, at, nil)
	if err == nil {
		return refusal{"ResourceAlreadyExistsException", fmt.Sprintf("thing %s exists already: `slipway device show %s` shows it", c.Name, c.Name)}
	}
	if !api.IsType(err, api.Missing) {
		return err
	}
	request := map[string]any{}
	if c.Type != "" {
		request["thingTypeName"] = c.Type
	}
	if len(c.Attribute) > 0 {
		request["attributePayload"] = map[string]any{"attributes": c.Attribute}
	}
	err = p.call(ctx, http.MethodPost, at, nil, request, nil)
	if gone := new(api.Unreachable); err == nil || errors.As(err, &gone) {
		done.add("thing "+c.Name, func(ctx context.Context) error { return p.call(ctx, http.MethodDelete, at, nil, nil, nil) })
	}
	if err != nil {
		return fmt.Errorf("thing %s%s: %w", c.Name, either(c.Type != "", " of type "+c.Type), err)
	}
	for _, group := range c.Group {
		err := p.call(ctx, http.MethodPut, "/thing-groups/addThingToThingGroup", nil, map[string]string{"thingName": c.Name, "thingGroupName": group}, nil)
		if err != nil {
			return fmt.Errorf("thing group %s: %w", group, err)
		}
	}
	return nil
}

// attach gives the certificate its thing and its policies. What undoes a step is
// noted before the step: an answer that was lost may have been a yes.
func (c *deviceCreate) attach(ctx context.Context, p *plane, d *newDevice, done *undo) error {
	at, principal := api.Path("things", c.Name, "principals"), http.Header{"X-Amzn-Principal": {d.CertificateARN}}
	done.add("attachment of the certificate to the thing", func(ctx context.Context) error {
		return p.send(ctx, http.MethodDelete, at, nil, principal, nil, nil)
	})
	if err := p.send(ctx, http.MethodPut, at, nil, principal, nil, nil); err != nil {
		return err
	}
	for _, policy := range c.Policy {
		at, to := api.Path("target-policies", policy), map[string]string{"target": d.CertificateARN}
		done.add("attachment of policy "+policy, func(ctx context.Context) error { return p.call(ctx, http.MethodPost, at, nil, to, nil) })
		if err := p.call(ctx, http.MethodPut, at, nil, to, nil); err != nil {
			return fmt.Errorf("policy %s: %w", policy, err)
		}
	}
	return nil
}

func (c *deviceCreate) certFile() string { return filepath.Join(c.Out, c.Name+".cert.pem") }
func (c *deviceCreate) keyFile() string  { return filepath.Join(c.Out, c.Name+".private.key") }

// room makes the folder and sees to it that no earlier key is lost.
func (c *deviceCreate) room() error {
	if filepath.Base(c.Name) != c.Name {
		return usageError{fmt.Errorf("NAME %q: expected letters, digits, colons, dashes and underscores", c.Name)}
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return err
	}
	for _, path := range []string{c.certFile(), c.keyFile()} {
		if _, err := os.Lstat(path); !c.Force && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: give another --out, or --force to replace it", path)
		}
	}
	return nil
}

// write puts the files in place, the key first.
func (c *deviceCreate) write(p *plane, d *newDevice, done *undo) error {
	for _, f := range []struct {
		path, text string
		mode       fs.FileMode
	}{
		{c.keyFile(), d.Keys.Private, 0o600},
		{c.certFile(), d.CertificatePEM, 0o644},
		{filepath.Join(c.Out, rootCAFile), p.rootCA(), 0o644},
	} {
		if f.text == "" {
			continue
		}
		if err := writeWhole(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
		d.files = append(d.files, f.path)
		if filepath.Base(f.path) != rootCAFile { // others may use that one
			done.add("file "+f.path, func(context.Context) error { return os.Remove(f.path) })
		}
	}
	return nil
}

func (c *deviceCreate) print(ctx context.Context, s streams, p *plane, d *newDevice) {
	out := sheet{s.out, 12}
	out.line("thing", c.Name)
	out.line("certificate", d.CertificateID+", ACTIVE")
	if len(c.Policy) == 0 {
		out.line("policies", "none: it may not even connect; `--policy NAME` attaches one")
	}
	out.line("policies", c.Policy...)
	out.line("files", d.files...)
	if p.rootCA() == "" {
		out.line("root", p.whereTheRootIs())
	}
	out.line("connects to", p.deviceAddress(ctx))
}

// whereTheRootIs says where a person finds the root that devices pin.
func (p *plane) whereTheRootIs() string {
	if awsHost.MatchString(p.client.Endpoint) {
		return "AWS's, https://www.amazontrust.com/repository/AmazonRootCA1.pem"
	}
	return "not known on this machine; Slipway's is root-ca.pem in the server's data folder"
}

// undoTime bounds what is taken back after a failure.
const undoTime = 30 * time.Second

// An undo is what has to be taken back if a later step fails.
type undo struct{ steps []undoStep }

type undoStep struct {
	what string
	take func(context.Context) error
}

func (u *undo) add(what string, take func(context.Context) error) {
	u.steps = append(u.steps, undoStep{what, take})
}

// all takes everything back, the last first, also when the caller has given up,
// and adds to the cause what became of it.
func (u *undo) all(ctx context.Context, cause error) error {
	if len(u.steps) == 0 {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var left []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		if err := u.steps[i].take(ctx); err != nil && !api.IsType(err, api.Missing) {
			left = append(left, fmt.Errorf("%s: %s", u.steps[i].what, err))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%w\nWhat was made could not all be taken back: %w", cause, errors.Join(left...))
	}
	return fmt.Errorf("%w\nWhat was made is taken back.", cause)
}
