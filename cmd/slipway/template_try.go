package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/templates"
)

// templateTest prints what a device would become.
type templateTest struct {
	target
	Name  string            `arg:"" help:"Name of the template; it need not exist if --body is given."`
	Param map[string]string `help:"Parameter of the device; may be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
	Body  string            `help:"Try the template of this file in place of the one that is stored; - reads standard input." placeholder:"FILE"`
	JSON  bool              `name:"json" help:"Print a JSON object."`

	Certificate string `help:"Certificate of a device, or a signing request, PEM: what a template of type JITP reads." placeholder:"FILE"`
}

// A preview is what the server answers, or what this side worked out for a
// control plane that cannot.
type preview struct {
	Plan    *templates.Plan `json:"plan"`
	Changes []string        `json:"changes"`
	Refusal string          `json:"refusal,omitempty"`

	Function string `json:"function,omitempty"` // that a device is asked about, and that was not asked
}

// Run tries it.
func (c *templateTest) Run(ctx context.Context, s streams) error {
	body := ""
	if c.Body != "" {
		data, err := readInput(s, "--body", c.Body)
		if err != nil {
			return err
		}
		f, err := parseTemplateFile(c.Body, data)
		if err != nil {
			return err
		}
		body = f.Body
	}
	certificate := ""
	if c.Certificate != "" {
		data, err := readInput(s, "--certificate", c.Certificate)
		if err != nil {
			return err
		}
		certificate = string(data)
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var out preview
	err = p.call(ctx, http.MethodPost, api.Path("slipway", "templates", c.Name, "preview"), nil,
		map[string]any{"parameters": c.Param, "templateBody": body, "certificate": certificate}, &out)
	if foreign(err) {
		out, err = c.elsewhere(ctx, p, body, certificate)
	}
	if err != nil {
		return c.withParameters(ctx, p, body, err)
	}
	if c.JSON {
		err = writeJSON(s.out, out)
	} else {
		out.print(s)
	}
	if err == nil && out.Refusal != "" {
		return refusal{"Refused", "the registry would refuse this device: " + out.Refusal}
	}
	return err
}

// withParameters adds to a refusal what the template wants to be given: the
// sentence that a device is told names only the first that is missing.
func (c *templateTest) withParameters(ctx context.Context, p *plane, body string, err error) error {
	typ := ""
	if body == "" {
		stored, missing := p.existingTemplate(ctx, c.Name)
		if missing != nil {
			return err
		}
		body, typ = stored.Body, stored.Type
	}
	for _, declared := range parametersOf(body, typ) {
		if _, given := c.Param[declared.Name]; declared.Required && !given {
			return fmt.Errorf("%w\nThe template has these parameters: %s", err, strings.Join(describeParameters(parametersOf(body, typ)), "; "))
		}
	}
	return err
}

// elsewhere works the preview out on this side, from what any control plane
// that speaks AWS's API can be asked. A hook is not called.
func (c *templateTest) elsewhere(ctx context.Context, p *plane, body, certificate string) (out preview, err error) {
	typ, service := "", map[string]string{templates.CertificateID: templates.NoCertificate}
	if certificate != "" {
		typ = templates.JustInTime
		if service, err = templates.SubjectOf(certificate); err != nil {
			return out, err
		}
	}
	if body == "" {
		stored, err := p.existingTemplate(ctx, c.Name)
		if foreign(err) {
			return out, fmt.Errorf("%w\nA template in a file can be tried all the same: give --body FILE", err)
		}
		if err != nil {
			return out, err
		}
		body, typ = stored.Body, stored.Type
		if stored.Hook != nil {
			out.Function = stored.Hook.TargetARN
		}
	}
	kind, err := templates.KindOf(typ)
	if err != nil {
		return out, err
	}
	parsed, err := templates.Parse([]byte(body), kind)
	if err != nil {
		return out, inFile(c.Name, err)
	}
	out.Plan, err = parsed.Render(templates.Input{Parameters: c.Param, Service: service})
	if err != nil {
		_, text := fault.Show(err)
		return out, refusal{fault.Of(err).Face().Exception, text}
	}
	if th := out.Plan.Thing; th != nil {
		old, err := p.existingThing(ctx, th.Name)
		if err != nil {
			return out, err
		}
		change, err := th.Against(old)
		if err != nil {
			_, out.Refusal = fault.Show(err)
		}
		out.Changes = change.Sentences
	}
	missing, err := p.missingParts(ctx, body, false)
	for _, m := range missing {
		out.Refusal = fmt.Sprintf("%s %s does not exist.", m.Kind, m.Name)
	}
	return out, err
}

// existingThing reads a thing as templates compare it; nil if there is none.
func (p *plane) existingThing(ctx context.Context, name string) (*templates.Existing, error) {
	d, err := p.device(ctx, name)
	if api.IsType(err, api.Missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &templates.Existing{Type: d.Type, Attributes: d.Attributes, Groups: d.Groups, BillingGroup: d.BillingGroup, Version: d.Version}, nil
}

func (p preview) print(s streams) {
	out := sheet{s.out, 14}
	if plan := p.Plan; plan != nil {
		printPlan(out, plan)
	}
	if p.Function != "" {
		out.line("function", p.Function+", which may refuse the device or override parameters; it was not asked")
	}
	if p.Refusal == "" {
		out.line("would change", append(slices.Clone(p.Changes), either(len(p.Changes) == 0, "nothing"))...)
	}
}

func printPlan(out sheet, plan *templates.Plan) {
	if th := plan.Thing; th != nil {
		out.line("thing", th.Name)
		out.line("type", th.Type)
		out.line("attributes", pairs(th.Attributes)...)
		out.line("groups", strings.Join(th.Groups, ", "))
		out.line("billing group", th.BillingGroup)
	}
	if c := plan.Certificate; c != nil {
		out.line("certificate", "the device's, "+c.Status)
	}
	var policies []string
	for _, pol := range plan.Policies {
		policies = append(policies, pol.Name+either(pol.Document != "", " (made if it does not exist)"))
	}
	out.line("policies", policies...)
	out.line("configuration", pairs(plan.DeviceConfiguration)...)
}
