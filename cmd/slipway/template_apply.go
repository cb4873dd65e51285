package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
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
	data, err := readInput(s, c.File)
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

// An application is one run of apply.
type application struct {
	plane  *plane
	want   templates.File
	noHook bool

	created bool
	version int // the default one, at the end
	arn     string
	changes []string
}

func (a *application) changed(format string, args ...any) {
	a.changes = append(a.changes, fmt.Sprintf(format, args...))
}

func (a *application) apply(ctx context.Context) error {
	old, err := a.plane.template(ctx, a.want.TemplateName)
	switch {
	case err != nil:
		return err
	case old == nil:
		return a.create(ctx)
	}
	a.arn, a.version = old.ARN, old.Default
	if err := a.sameType(old); err != nil {
		return err
	}
	if err := a.update(ctx, old); err != nil {
		return err
	}
	return a.tag(ctx)
}

func (a *application) create(ctx context.Context) error {
	f := a.want
	request := map[string]any{
		"templateName": f.TemplateName, "templateBody": f.Body, "enabled": f.Enabled == nil || *f.Enabled,
		"provisioningRoleArn": placeholderRole,
	}
	if f.ProvisioningRoleARN != "" {
		request["provisioningRoleArn"] = f.ProvisioningRoleARN
	}
	if f.Description != "" {
		request["description"] = f.Description
	}
	if f.Type != "" {
		request["type"] = f.Type
	}
	if f.Hook != nil {
		request["preProvisioningHook"] = templateHook(*f.Hook)
	}
	if len(f.Tags) > 0 {
		request["tags"] = tagList(f.Tags)
	}
	var made struct {
		ARN     string `json:"templateArn"`
		Default int    `json:"defaultVersionId"`
	}
	if err := a.plane.call(ctx, http.MethodPost, templatesPath, nil, request, &made); err != nil {
		return err
	}
	a.created, a.arn, a.version = true, made.ARN, made.Default
	state := "enabled"
	if request["enabled"] == false {
		state = "disabled"
	}
	a.changed("created, %s", state)
	return nil
}

// sameType refuses what no operation can do.
func (a *application) sameType(old *storedTemplate) error {
	if a.want.Type == "" || old.Type == "" || a.want.Type == old.Type {
		return nil
	}
	return fmt.Errorf("template %s is of type %s and cannot become %s: delete it first, or give another --name", old.Name, old.Type, a.want.Type)
}

// update writes a new version if the body differs, and then everything else
// in one call, which also makes that version the default: devices see the old
// template or the new one.
func (a *application) update(ctx context.Context, old *storedTemplate) error {
	request := a.settings(old)
	if !sameDocument(old.Body, a.want.Body) {
		id, err := a.newVersion(ctx)
		if err != nil {
			return err
		}
		request["defaultVersionId"] = id
		a.version = id
		a.changed("version %d is the default, it was %d", id, old.Default)
	}
	if len(request) == 0 {
		return nil
	}
	return a.plane.call(ctx, http.MethodPatch, templatePath(old.Name), nil, request, nil)
}

// settings gives the members of UpdateProvisioningTemplate that differ.
func (a *application) settings(old *storedTemplate) map[string]any {
	f, request := a.want, map[string]any{}
	if f.Description != "" && f.Description != old.Description {
		request["description"] = f.Description
		a.changed("its description is %q", f.Description)
	}
	if f.Enabled != nil && *f.Enabled != old.Enabled {
		request["enabled"] = *f.Enabled
		a.changed("enabled: %s", yesNo(*f.Enabled))
	}
	if f.ProvisioningRoleARN != "" && f.ProvisioningRoleARN != old.RoleARN {
		request["provisioningRoleArn"] = f.ProvisioningRoleARN
		a.changed("its role is %s", f.ProvisioningRoleARN)
	}
	switch {
	case a.noHook && old.Hook != nil:
		request["removePreProvisioningHook"] = true
		a.changed("it asks no function any more, it was %s", old.Hook.TargetARN)
	case f.Hook != nil && (old.Hook == nil || f.Hook.TargetARN != old.Hook.TargetARN):
		request["preProvisioningHook"] = templateHook(*f.Hook)
		a.changed("it asks %s", f.Hook.TargetARN)
	}
	return request
}

// newVersion adds the body as a version that is not the default yet. A
// template has at most five: the oldest that is not in use makes room.
func (a *application) newVersion(ctx context.Context) (int, error) {
	var made struct {
		ID int `json:"versionId"`
	}
	add := func() error {
		return a.plane.call(ctx, http.MethodPost, templatePath(a.want.TemplateName, "versions"), nil,
			map[string]any{"templateBody": a.want.Body}, &made)
	}
	err := add()
	if !api.IsType(err, "VersionsLimitExceededException") {
		return made.ID, err
	}
	versions, err := a.plane.templateVersions(ctx, a.want.TemplateName)
	if err != nil {
		return 0, err
	}
	versions = slices.DeleteFunc(versions, func(v templateVersion) bool { return v.Default })
	if len(versions) == 0 {
		return 0, fmt.Errorf("template %s has no version that could make room", a.want.TemplateName)
	}
	oldest := slices.MinFunc(versions, func(x, y templateVersion) int { return x.ID - y.ID })
	if err := a.plane.call(ctx, http.MethodDelete, templatePath(a.want.TemplateName, "versions", fmt.Sprint(oldest.ID)), nil, nil, nil); err != nil {
		return 0, err
	}
	a.changed("version %d was deleted: a template has at most five", oldest.ID)
	return made.ID, add()
}

func (a *application) tag(ctx context.Context) error {
	if len(a.want.Tags) == 0 {
		return nil
	}
	old, err := a.plane.tags(ctx, a.arn)
	if err != nil {
		return err
	}
	set := maps.Clone(a.want.Tags)
	maps.DeleteFunc(set, func(key, value string) bool { return old[key] == value })
	if len(set) == 0 {
		return nil
	}
	for _, pair := range pairs(set) {
		a.changed("tag %s", pair)
	}
	return a.plane.call(ctx, http.MethodPost, "/tags", nil, map[string]any{"resourceArn": a.arn, "tags": tagList(set)}, nil)
}

// print says what changed, and what is still missing.
func (a *application) print(s streams, missing []part, asJSON bool) error {
	if asJSON {
		return writeJSON(s.out, map[string]any{
			"templateName": a.want.TemplateName, "templateArn": a.arn, "defaultVersionId": a.version,
			"created": a.created, "changes": append([]string{}, a.changes...), "missing": append([]part{}, missing...),
		})
	}
	if len(a.changes) == 0 {
		a.changed("unchanged")
	}
	for _, change := range a.changes {
		fmt.Fprintf(s.out, "%s: %s\n", a.want.TemplateName, change)
	}
	for _, m := range missing {
		fmt.Fprintf(s.out, "%s %s: %s\n", m.Kind, m.Name, m.note())
	}
	return nil
}

// sameDocument says whether two bodies mean the same: white space and the
// order of members aside.
func sameDocument(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := sortedJSON(a)
	y, errY := sortedJSON(b)
	return errX == nil && errY == nil && x == y
}
