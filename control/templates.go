package control

import (
	"context"
	"strconv"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

type templateName struct {
	TemplateName string `json:"templateName"`
}

type provisioningHook struct {
	PayloadVersion string `json:"payloadVersion,omitempty"`
	TargetARN      string `json:"targetArn"`
}

func (h *provisioningHook) record() *templates.HookRecord {
	if h == nil {
		return nil
	}
	return &templates.HookRecord{PayloadVersion: h.PayloadVersion, TargetARN: h.TargetARN}
}

func (s *Server) createTemplate(ctx context.Context, c *Call, in *struct {
	templateName
	Description string            `json:"description"`
	Body        string            `json:"templateBody"`
	Enabled     bool              `json:"enabled"`
	RoleARN     string            `json:"provisioningRoleArn"`
	Hook        *provisioningHook `json:"preProvisioningHook"`
	Tags        tagList           `json:"tags"`
	Type        string            `json:"type"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	var r *templates.Record
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		r = &templates.Record{
			Tenant: c.Tenant, Name: in.TemplateName, Description: in.Description, Type: in.Type,
			Enabled: in.Enabled, RoleARN: in.RoleARN, Hook: in.Hook.record(), Tags: tags, Created: s.cfg.Now(),
		}
		return templates.Create(ctx, tx, r, in.Body)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		ARN string `json:"templateArn"`
		templateName
		Default int `json:"defaultVersionId"`
	}{c.Tenant.Template(r.Name), in.templateName, r.Default}, nil
}

func (s *Server) template(ctx context.Context, c *Call, name string) (r *templates.Record, err error) {
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = tx.TemplateRecord(ctx, c.Tenant, name)
		return absent(err, "Provisioning template %s does not exist.", name)
	})
	return r, err
}

// templateSummary is what lists and descriptions share.
type templateSummary struct {
	ARN string `json:"templateArn"`
	templateName
	Description string  `json:"description,omitempty"`
	Created     seconds `json:"creationDate"`
	Modified    seconds `json:"lastModifiedDate"`
	Enabled     bool    `json:"enabled"`
	Type        string  `json:"type"`
}

func summary(r *templates.Record) templateSummary {
	return templateSummary{
		r.Tenant.Template(r.Name), templateName{r.Name}, r.Description,
		seconds{r.Created}, seconds{r.Modified}, r.Enabled, r.Type,
	}
}

func (s *Server) describeTemplate(ctx context.Context, c *Call, in *templateName) (any, error) {
	r, err := s.template(ctx, c, in.TemplateName)
	if err != nil {
		return nil, err
	}
	var hook *provisioningHook
	if r.Hook != nil {
		hook = &provisioningHook{r.Hook.PayloadVersion, r.Hook.TargetARN}
	}
	return struct {
		templateSummary
		Default int               `json:"defaultVersionId"`
		Body    string            `json:"templateBody"`
		RoleARN string            `json:"provisioningRoleArn"`
		Hook    *provisioningHook `json:"preProvisioningHook,omitempty"`
	}{summary(r), r.Default, r.Version(r.Default).Body, r.RoleARN, hook}, nil
}

func (s *Server) updateTemplate(ctx context.Context, c *Call, in *struct {
	templateName
	Description *string           `json:"description"`
	Enabled     *bool             `json:"enabled"`
	Default     int               `json:"defaultVersionId"`
	RoleARN     string            `json:"provisioningRoleArn"`
	Hook        *provisioningHook `json:"preProvisioningHook"`
	RemoveHook  bool              `json:"removePreProvisioningHook"`
}) (any, error) {
	ch := templates.Change{
		Description: in.Description, Enabled: in.Enabled, Default: in.Default,
		RoleARN: in.RoleARN, Hook: in.Hook.record(), RemoveHook: in.RemoveHook,
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return templates.Update(ctx, tx, c.Tenant, in.TemplateName, ch, s.cfg.Now())
	})
}

func (s *Server) deleteTemplate(ctx context.Context, c *Call, in *templateName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := unused(ctx, tx, c.Tenant, in.TemplateName); err != nil {
			return err
		}
		return templates.Delete(ctx, tx, c.Tenant, in.TemplateName, s.cfg.Now())
	})
}

func (s *Server) listTemplates(ctx context.Context, c *Call, in *byToken) (any, error) {
	p, err := s.tokenPage(c, *in)
	if err != nil {
		return nil, err
	}
	list := []templateSummary{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := tx.ListTemplates(ctx, c.Tenant, p)
		for _, r := range found {
			list = append(list, summary(r))
		}
		next = after
		return err
	})
	return struct {
		Templates []templateSummary `json:"templates"`
		NextToken string            `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}

func (s *Server) createTemplateVersion(ctx context.Context, c *Call, in *struct {
	templateName
	Body       string `json:"templateBody"`
	SetDefault bool   `json:"setAsDefault"`
}) (any, error) {
	var v *templates.VersionRecord
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		_, v, err = templates.CreateVersion(ctx, tx, c.Tenant, in.TemplateName, in.Body, in.SetDefault, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		ARN string `json:"templateArn"`
		templateName
		VersionID int  `json:"versionId"`
		IsDefault bool `json:"isDefaultVersion"`
	}{c.Tenant.Template(in.TemplateName), in.templateName, v.ID, in.SetDefault}, nil
}

type templateVersion struct {
	templateName
	VersionID int `json:"versionId"`
}

type versionSummary struct {
	VersionID int     `json:"versionId"`
	Created   seconds `json:"creationDate"`
	IsDefault bool    `json:"isDefaultVersion"`
}

func (s *Server) describeTemplateVersion(ctx context.Context, c *Call, in *templateVersion) (any, error) {
	r, err := s.template(ctx, c, in.TemplateName)
	if err != nil {
		return nil, err
	}
	v := r.Version(in.VersionID)
	if v == nil {
		return nil, fault.New(fault.Missing, "Provisioning template %s has no version %d.", r.Name, in.VersionID)
	}
	return struct {
		versionSummary
		Body string `json:"templateBody"`
	}{versionSummary{v.ID, seconds{v.Created}, v.ID == r.Default}, v.Body}, nil
}

func (s *Server) deleteTemplateVersion(ctx context.Context, c *Call, in *templateVersion) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return templates.DeleteVersion(ctx, tx, c.Tenant, in.TemplateName, in.VersionID, s.cfg.Now())
	})
}

// listTemplateVersions pages through at most five, oldest first; the cursor is
// the last id given.
func (s *Server) listTemplateVersions(ctx context.Context, c *Call, in *struct {
	byToken
	templateName
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	r, err := s.template(ctx, c, in.TemplateName)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.Atoi(p.After) // empty: zero, before the first
	list, next := []versionSummary{}, ""
	for _, v := range r.Versions {
		if v.ID <= after {
			continue
		}
		if len(list) == p.Limit {
			next = strconv.Itoa(list[p.Limit-1].VersionID)
			break
		}
		list = append(list, versionSummary{v.ID, seconds{v.Created}, v.ID == r.Default})
	}
	return struct {
		Versions  []versionSummary `json:"versions"`
		NextToken string           `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, nil
}

// createProvisioningClaim is what an installer's app calls for one device
// (methods.md, section 7). Issuer knows the rules.
func (s *Server) createProvisioningClaim(ctx context.Context, c *Call, in *templateName) (any, error) {
	cert, key, pub, expires, err := s.cfg.Issuer.TemporaryClaim(ctx, c.Tenant, in.TemplateName, c.Key.ID)
	if err != nil {
		return nil, err
	}
	return struct {
		certificateID
		PEM        string  `json:"certificatePem"`
		KeyPair    keyPair `json:"keyPair"`
		Expiration seconds `json:"expiration"`
	}{certificateID{string(cert.ID)}, cert.PEM, keyPair{pub, key}, seconds{expires}}, nil
}
