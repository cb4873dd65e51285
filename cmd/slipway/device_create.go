package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// deviceCreate makes devices by hand: things, certificates for keys that are
// made here, and what they are attached to. On a Slipway server each is one
// transaction; another control plane is asked for operations of AWS's API
// alone, and what a run made there that did not reach its end is taken back.
type deviceCreate struct {
	target
	Name           string            `arg:"" optional:"" help:"Name of the thing; with --count the beginning of the names."`
	Count          *int              `help:"Make so many: NAME-000001 and on." placeholder:"N" xor:"many"`
	From           string            `help:"Make those of a CSV file with the columns name, type, policy and group; any other column is an attribute." placeholder:"FILE" xor:"many"`
	Type           string            `help:"Their thing type." placeholder:"NAME"`
	Attribute      map[string]string `help:"Attribute of the thing; may be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
	Group          []string          `help:"Thing group that they join; may be repeated." placeholder:"NAME" sep:"none"`
	Policy         []string          `help:"Policy of their certificates; may be repeated. Without one they may not even connect." placeholder:"NAME" sep:"none"`
	PolicyDocument string            `help:"Policy document; --policy is made of it if it does not exist." placeholder:"FILE"`
	KeyType        string            `help:"Key that is made here: p256 or rsa2048." enum:"p256,rsa2048" default:"p256"`

	Out       string   `help:"Folder in which each device gets one of its own; made if it does not exist." default:"." placeholder:"DIR"`
	Archive   string   `help:"Write one tar archive instead, encrypted in the age format for --recipient: no key is on disk in plain." placeholder:"FILE.age"`
	Recipient []string `help:"Who may open the archive, age1…; may be repeated." placeholder:"age1…" sep:"none"`
	Force     bool     `help:"Replace the files of an earlier device of this name."`
	Renew     bool     `help:"Give a thing that exists a new key and certificate, and make the certificates that it has from here INACTIVE. Without --policy it keeps their policies."`
	Workers   int      `help:"How many are made at the same time." default:"8"`
	JSON      bool     `name:"json" help:"Print a JSON object, without the keys."`
}

// Run makes them.
func (c *deviceCreate) Run(ctx context.Context, s streams) error {
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	keep, err := c.shelf()
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return errors.Join(err, keep.abandon())
	}
	b := &batch{cmd: c, plane: p, shelf: keep, progress: newProgress(s.err, len(wanted))}
	if err := b.prepare(ctx); err != nil {
		return errors.Join(err, keep.abandon())
	}
	if !c.many() {
		return b.single(ctx, s, wanted[0])
	}
	return b.all(ctx, s, wanted)
}

func (c *deviceCreate) many() bool { return c.Count != nil || c.From != "" }

// wanted lists what is to be made.
func (c *deviceCreate) wanted() ([]wantedDevice, error) {
	switch {
	case c.Workers < 1 || c.Workers > 256:
		return nil, usageError{fmt.Errorf("--workers %d: expected 1 to 256", c.Workers)}
	case c.Archive == "" && len(c.Recipient) > 0:
		return nil, usageError{errors.New("--recipient belongs to --archive FILE.age")}
	case c.Archive != "" && c.Out != ".":
		return nil, usageError{errors.New("--out and --archive exclude each other")}
	case c.PolicyDocument != "" && len(c.Policy) != 1:
		return nil, usageError{errors.New("--policy-document needs the name of one policy: --policy NAME")}
	case c.From != "" && c.Name != "":
		return nil, usageError{errors.New("NAME and --from exclude each other: the file holds the names")}
	case c.From != "":
		return c.fromFile()
	case c.Name == "":
		return nil, usageError{errors.New("expected NAME, or --from FILE")}
	}
	if err := checkDeviceName(c.Name); err != nil {
		return nil, usageError{err}
	}
	if !c.many() {
		return []wantedDevice{c.like(c.Name)}, nil
	}
	if *c.Count < 1 || *c.Count > maxDevices {
		return nil, usageError{fmt.Errorf("--count %d: expected 1 to %d; what exists is skipped, so a larger number continues an earlier one", *c.Count, maxDevices)}
	}
	out := make([]wantedDevice, *c.Count)
	for i := range out {
		out[i] = c.like(fmt.Sprintf("%s-%06d", c.Name, i+1))
	}
	return out, nil
}

// single makes one device, and fails if there is one of that name.
func (b *batch) single(ctx context.Context, s streams, w wantedDevice) error {
	if f, ok := b.shelf.(*folders); ok && !b.cmd.replaces() && f.complete(w.name) {
		return fmt.Errorf("%s is there already: give another --out, or --force to replace it", f.path(w.name, certSuffix))
	}
	made, err := b.make(context.WithoutCancel(ctx), w)
	if err != nil {
		return errors.Join(err, b.shelf.abandon())
	}
	if made.how == wasThere {
		return errors.Join(thereAlready(w.name, b.ours), b.shelf.abandon())
	}
	files, err := b.shelf.finish()
	if err != nil {
		return err
	}
	if files == nil {
		files = made.files
	}
	if b.cmd.JSON {
		return writeJSON(s.out, map[string]any{
			"thingName": w.name, "certificateId": made.id, "certificateArn": made.arn,
			"policies": append([]string{}, w.policies...), "files": files,
		})
	}
	out := sheet{s.out, 12}
	out.line("thing", w.name)
	out.line("certificate", made.id+", ACTIVE")
	if len(w.policies) == 0 {
		out.line("policies", "none: it may not even connect; `--policy NAME` attaches one")
	}
	out.line("policies", w.policies...)
	out.line("files", files...)
	if b.where.RootCA == "" {
		out.line("root", b.plane.whereTheRootIs())
	}
	if b.where.known() {
		out.line("connects to", b.where.address())
	}
	return nil
}

func thereAlready(name string, ours bool) error {
	text := fmt.Sprintf("thing %s exists already: `slipway device show %s` shows it", name, name)
	return refusal{"ResourceAlreadyExistsException", text + either(ours, "; --renew gives it a new key and certificate")}
}

// replaces says whether files of an earlier run may go.
func (c *deviceCreate) replaces() bool { return c.Force || c.Renew }

// whereTheRootIs says where a person finds the root that devices pin.
func (p *plane) whereTheRootIs() string {
	if awsHost.MatchString(p.client.Endpoint) {
		return "AWS's, https://www.amazontrust.com/repository/AmazonRootCA1.pem"
	}
	return "not known on this machine; Slipway's is root-ca.pem in the server's data folder"
}

// policyDocuments reads --policy-document.
func (c *deviceCreate) policyDocuments() (map[string]string, error) {
	if c.PolicyDocument == "" {
		return nil, nil
	}
	text, err := readGiven("--policy-document", c.PolicyDocument)
	if err != nil {
		return nil, err
	}
	return map[string]string{c.Policy[0]: string(text)}, nil
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

// last takes the last step back at once.
func (u *undo) last(ctx context.Context) error {
	step := u.steps[len(u.steps)-1]
	u.steps = u.steps[:len(u.steps)-1]
	return step.take(ctx)
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
	for _, step := range slices.Backward(u.steps) {
		if err := step.take(ctx); err != nil && !api.IsType(err, api.Missing) {
			left = append(left, fmt.Errorf("%s: %s", step.what, err))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%w\nWhat was made could not all be taken back: %w", cause, errors.Join(left...))
	}
	return fmt.Errorf("%w\nWhat was made is taken back", cause)
}

// checkDeviceName keeps names out that no thing can have: they become names of
// files, too.
func checkDeviceName(name string) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":_-", r)
	}
	if name == "" || len(name) > 128 || strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) >= 0 {
		return fmt.Errorf("NAME %q: expected letters, digits, colons, dashes and underscores", name)
	}
	return nil
}
