package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/templates"
)

// templateApply brings a template up to a file. What neither the file nor a
// flag says stays as it is.
type templateApply struct {
	target
	File      string            `arg:"" help:"A template, or the request that creates one, with the body as text or as an object; - reads standard input."`
	Name      string            `help:"Name of the template; else the file's templateName, else the file's own name." placeholder:"NAME"`
	Hook      string            `help:"Function that is asked before each device: its name here, or a Lambda ARN." placeholder:"FUNCTION" xor:"hook"`
	NoHook    bool              `help:"Ask no function any more." xor:"hook"`
	Enable    bool              `help:"Let devices use it; a new template is enabled unless its file says otherwise." xor:"enabled"`
	Disable   bool              `help:"Refuse devices that use it." xor:"enabled"`
	Role      string            `help:"provisioningRoleArn; AWS needs a real one, Slipway keeps what it is given." placeholder:"ARN"`
	Tag       map[string]string `help:"Tag to set, such as slipway:reprovision=deny; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	MakeTypes bool              `help:"Create the thing types that the template names and that do not exist."`
	JSON      bool              `name:"json" help:"Print a JSON object."`
}

// placeholderRole stands where neither file nor flag names a role. Nothing
// here assumes it; AWS would refuse it by name.
var placeholderRole = "arn:aws:iam::" + arn.Default.Account + ":role/slipway-provisioning"

// payloadVersion is the only one that hooks have.
const payloadVersion = "2020-04-01"

// Run applies the file.
func (c *templateApply) Run(ctx context.Context, s streams) error {
	f, err := c.wanted(s)
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	if f.Hook, err = c.hook(ctx, p, f.Hook); err != nil {
		return err
	}
	a := &application{plane: p, want: f, noHook: c.NoHook}
	if err := a.apply(ctx); err != nil {
		return err
	}
	missing, err := p.missingParts(ctx, f.Body, c.MakeTypes)
	if err != nil {
		return err
	}
	return a.print(s, missing, c.JSON)
}

// wanted reads the file and lays the flags over it.
func (c *templateApply) wanted(s streams) (templates.File, error) {
	data, err := readInput(s, "<file>", c.File)
	if err != nil {
		return templates.File{}, err
	}
	f, err := parseTemplateFile(c.File, data)
	if err != nil {
		return f, err
	}
	if c.Name != "" {
		f.TemplateName = c.Name
	}
	if f.TemplateName == "" && c.File != "-" {
		f.TemplateName = strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	}
	if f.TemplateName == "" {
		return f, usageError{fmt.Errorf("the template has no name: give --name")}
	}
	if c.Role != "" {
		f.ProvisioningRoleARN = c.Role
	}
	if c.Enable || c.Disable {
		f.Enabled = &c.Enable
	}
	if len(c.Tag) > 0 {
		tags := maps.Clone(c.Tag)
		for key, value := range f.Tags {
			if _, given := tags[key]; !given {
				tags[key] = value
			}
		}
		f.Tags = tags
	}
	return f, nil
}

// parseTemplateFile reads and checks a file's template before anything is
// sent: only here are the lines of its mistakes known.
func parseTemplateFile(name string, data []byte) (templates.File, error) {
	f, err := templates.ParseFile(data)
	if err == nil {
		_, err = f.Template()
	}
	if err != nil {
		return f, inFile(name, err)
	}
	return f, nil
}

// hook gives the hook that the flags or the file want. A bare name is looked
// up, so that a misspelt one is found now and not by the first device.
func (c *templateApply) hook(ctx context.Context, p *plane, inFile *templates.HookRecord) (*templates.HookRecord, error) {
	switch {
	case c.NoHook:
		return nil, nil
	case c.Hook == "":
		return inFile, nil
	case strings.HasPrefix(c.Hook, "arn:"):
		return &templates.HookRecord{PayloadVersion: payloadVersion, TargetARN: c.Hook}, nil
	}
	list, err := p.functions(ctx)
	if foreign(err) {
		return nil, usageError{fmt.Errorf("--hook %s: %s is not Slipway, so expected a Lambda ARN", c.Hook, p.client.Endpoint)}
	}
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		if f.Name == c.Hook {
			return &templates.HookRecord{PayloadVersion: payloadVersion, TargetARN: f.ARN}, nil
		}
	}
	return nil, refusal{api.Missing, fmt.Sprintf("function %s does not exist: make it with `slipway function add %s …`", c.Hook, c.Hook)}
}
