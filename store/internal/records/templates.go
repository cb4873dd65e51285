package records

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/templates"
)

type templateBody struct {
	Description string                `json:"description,omitempty"`
	Type        string                `json:"type"`
	Enabled     bool                  `json:"enabled"`
	RoleARN     string                `json:"roleArn,omitempty"`
	Hook        *hookBody             `json:"hook,omitempty"`
	Default     int                   `json:"default"`
	Next        int                   `json:"next"`
	Versions    []templateVersionBody `json:"versions"`
	Created     int64                 `json:"created"`
	Modified    int64                 `json:"modified"`
	Tags        map[string]string     `json:"tags,omitempty"`
}

type hookBody struct {
	PayloadVersion string `json:"payloadVersion"`
	TargetARN      string `json:"targetArn"`
}

type templateVersionBody struct {
	ID      int    `json:"id"`
	Body    string `json:"body"`
	Created int64  `json:"created"`
}

var templateShelf = shelf[templates.Record]{kind: "template", noun: "Provisioning template", pack: packTemplate, open: openTemplate, copy: copyTemplate}

func packTemplate(r *templates.Record) any {
	b := templateBody{
		Description: r.Description, Type: r.Type, Enabled: r.Enabled, RoleARN: r.RoleARN,
		Hook: (*hookBody)(r.Hook), Default: r.Default, Next: r.Next,
		Created: micros(r.Created), Modified: micros(r.Modified), Tags: r.Tags,
	}
	for _, v := range r.Versions {
		b.Versions = append(b.Versions, templateVersionBody{v.ID, v.Body, micros(v.Created)})
	}
	return b
}

func openTemplate(t arn.Tenant, name, body string) (*templates.Record, error) {
	var b templateBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	r := &templates.Record{
		Tenant: t, Name: name, Description: b.Description, Type: b.Type, Enabled: b.Enabled, RoleARN: b.RoleARN,
		Hook: (*templates.HookRecord)(b.Hook), Default: b.Default, Next: b.Next,
		Created: moment(b.Created), Modified: moment(b.Modified), Tags: b.Tags,
	}
	for _, v := range b.Versions {
		r.Versions = append(r.Versions, templates.VersionRecord{ID: v.ID, Body: v.Body, Created: moment(v.Created)})
	}
	return r, nil
}

func copyTemplate(r *templates.Record) *templates.Record {
	c := *r
	c.Versions, c.Tags = slices.Clone(r.Versions), maps.Clone(r.Tags)
	if r.Hook != nil {
		hook := *r.Hook
		c.Hook = &hook
	}
	return &c
}

// TemplateRecord gives the template with the name, all its versions included.
func (tx *Tx) TemplateRecord(ctx context.Context, t arn.Tenant, name string) (*templates.Record, error) {
	return templateShelf.get(ctx, tx, t, name)
}

// PutTemplate writes the template, whether or not it was there.
func (tx *Tx) PutTemplate(ctx context.Context, r *templates.Record) error {
	return templateShelf.put(ctx, tx, r.Tenant, r.Name, r)
}

// DeleteTemplate removes the template with all its versions.
func (tx *Tx) DeleteTemplate(ctx context.Context, t arn.Tenant, name string) error {
	return templateShelf.delete(ctx, tx, t, name)
}

// ListTemplates orders by name.
func (tx *Tx) ListTemplates(ctx context.Context, t arn.Tenant, p ref.Page) ([]*templates.Record, string, error) {
	return templateShelf.list(ctx, tx, t, p)
}
