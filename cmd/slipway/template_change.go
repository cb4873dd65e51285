package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/templates"
)

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
