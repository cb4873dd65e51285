package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
)

// templateCmd are the verbs about provisioning templates.
type templateCmd struct {
	Apply templateApply `cmd:"" help:"Make the template of a file, or bring the one that exists up to it."`
	Show  templateShow  `cmd:"" help:"Show a template."`
	List  templateList  `cmd:"" help:"List the templates."`
	Test  templateTest  `cmd:"" help:"Print what a device with these parameters would become; writes nothing."`
	Diff  templateDiff  `cmd:"" help:"Compare a template with a file; exit code 1 if they differ."`
}

// A storedTemplate is a template as DescribeProvisioningTemplate answers it.
type storedTemplate struct {
	ARN         string        `json:"templateArn"`
	Name        string        `json:"templateName"`
	Description string        `json:"description,omitempty"`
	Enabled     bool          `json:"enabled"`
	Type        string        `json:"type,omitempty"`
	Default     int           `json:"defaultVersionId"`
	Body        string        `json:"templateBody"`
	RoleARN     string        `json:"provisioningRoleArn"`
	Hook        *templateHook `json:"preProvisioningHook,omitempty"`
	Created     epoch         `json:"creationDate"`
	Modified    epoch         `json:"lastModifiedDate"`
}

type templateHook struct {
	PayloadVersion string `json:"payloadVersion,omitempty"`
	TargetARN      string `json:"targetArn"`
}

type templateVersion struct {
	ID      int   `json:"versionId"`
	Created epoch `json:"creationDate"`
	Default bool  `json:"isDefaultVersion"`
}

// A tag is AWS's form of one.
type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

func tagList(m map[string]string) []tag {
	var out []tag
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, tag{key, m[key]})
	}
	return out
}

const templatesPath = "/provisioning-templates"

func templatePath(name string, more ...string) string {
	return api.Path(append([]string{"provisioning-templates", name}, more...)...)
}

// template reads a template; nil if there is none.
func (p *plane) template(ctx context.Context, name string) (*storedTemplate, error) {
	var t storedTemplate
	err := p.get(ctx, templatePath(name), &t)
	if api.IsType(err, api.Missing) {
		return nil, nil
	}
	return &t, err
}

// existingTemplate reads a template that must be there.
func (p *plane) existingTemplate(ctx context.Context, name string) (*storedTemplate, error) {
	var t storedTemplate
	return &t, p.get(ctx, templatePath(name), &t)
}

func (p *plane) templateVersions(ctx context.Context, name string) ([]templateVersion, error) {
	return all[templateVersion](ctx, p, http.MethodGet, templatePath(name, "versions"), byToken(), "versions")
}

// tags reads the tags of a resource.
func (p *plane) tags(ctx context.Context, arn string) (map[string]string, error) {
	list, err := all[tag](ctx, p, http.MethodGet, "/tags", url.Values{"resourceArn": {arn}}, "tags")
	out := map[string]string{}
	for _, t := range list {
		out[t.Key] = t.Value
	}
	return out, err
}

// templateShow prints one template.
type templateShow struct {
	target
	Name string `arg:"" help:"Name of the template."`
	Body bool   `help:"Print the body alone, for a file." xor:"form"`
	JSON bool   `name:"json" help:"Print a JSON object." xor:"form"`
}

// Run prints it.
func (c *templateShow) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	t, err := p.existingTemplate(ctx, c.Name)
	if err != nil {
		return err
	}
	if c.Body {
		_, err = fmt.Fprintln(s.out, indentJSON(t.Body))
		return err
	}
	versions, err := p.templateVersions(ctx, c.Name)
	if err != nil {
		return err
	}
	tags, err := p.tags(ctx, t.ARN)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, struct {
			*storedTemplate
			Versions []templateVersion `json:"versions"`
			Tags     map[string]string `json:"tags"`
		}{t, versions, tags})
	}
	showTemplate(s, t, versions, tags)
	return nil
}

func showTemplate(s streams, t *storedTemplate, versions []templateVersion, tags map[string]string) {
	out := sheet{s.out, 13}
	out.line("template", t.Name)
	out.line("arn", t.ARN)
	out.line("description", t.Description)
	out.line("enabled", yesNo(t.Enabled))
	out.line("type", t.Type)
	out.line("role", t.RoleARN)
	if t.Hook != nil {
		out.line("function", t.Hook.TargetARN)
	}
	out.line("parameters", describeParameters(parametersOf(t.Body, t.Type))...)
	out.line("tags", pairs(tags)...)
	var lines []string
	for _, v := range versions {
		note := ""
		if v.Default {
			note = ", the default"
		}
		lines = append(lines, fmt.Sprintf("%d of %s%s", v.ID, v.Created, note))
	}
	out.line("versions", lines...)
	out.line("changed", t.Modified.String())
	fmt.Fprintf(s.out, "\n%s\n", indentJSON(t.Body))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// templateList prints all templates.
type templateList struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *templateList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	type item struct {
		ARN         string `json:"templateArn"`
		Name        string `json:"templateName"`
		Description string `json:"description,omitempty"`
		Enabled     bool   `json:"enabled"`
		Type        string `json:"type,omitempty"`
		Modified    epoch  `json:"lastModifiedDate"`
	}
	list, err := all[item](ctx, p, http.MethodGet, templatesPath, byToken(), "templates")
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, t := range list {
		rows = append(rows, strings.Join([]string{t.Name, yesNo(t.Enabled), t.Type, t.Modified.String(), t.Description}, "\t"))
	}
	return writeTable(s.out, "NAME\tENABLED\tTYPE\tCHANGED\tDESCRIPTION", rows)
}
