package control

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// registrationConfig is a certs.Registration as members.
type registrationConfig struct {
	TemplateBody string `json:"templateBody,omitempty"`
	RoleARN      string `json:"roleArn,omitempty"`
	TemplateName string `json:"templateName,omitempty"`
}

func (r *registrationConfig) record() *certs.Registration {
	if r == nil || *r == (registrationConfig{}) {
		return nil
	}
	return (*certs.Registration)(r)
}

// checkRegistration holds what the account's templates have to say against a
// registration: an inline body is a JITP template, and so is the named one
// (templates.md, section 7).
func checkRegistration(ctx context.Context, tx store.Tx, t arn.Tenant, r *certs.Registration) error {
	if r == nil {
		return nil
	}
	if r.TemplateBody != "" {
		if _, err := templates.Parse([]byte(r.TemplateBody), templates.JITP); err != nil {
			return err
		}
	}
	if r.TemplateName == "" {
		return nil
	}
	template, err := tx.TemplateRecord(ctx, t, r.TemplateName)
	if err != nil {
		return absent(err, "Provisioning template %s does not exist.", r.TemplateName)
	}
	if template.Type != templates.JustInTime {
		return fault.New(fault.InvalidRequest, "registrationConfig.templateName: provisioning template %s is of type %s; expected %s.", r.TemplateName, template.Type, templates.JustInTime)
	}
	return nil
}

// unused says whether a template may be deleted: not while a CA certificate
// names it.
func unused(ctx context.Context, tx store.Tx, t arn.Tenant, template string) error {
	users, _, err := tx.ListAuthorities(ctx, t, template, ref.Page{Limit: 1})
	if err == nil && len(users) > 0 {
		return fault.New(fault.DeleteConflict, "Provisioning template %s cannot be deleted: CA certificate %s names it in its registrationConfig.", template, users[0].ID)
	}
	return err
}

// certificateNames are the members that name a certificate, or a CA's, in
// answers.
type certificateNames struct {
	ARN string     `json:"certificateArn"`
	ID  arn.CertID `json:"certificateId"`
}

func authorityNames(a *certs.Authority) certificateNames {
	return certificateNames{a.Tenant.Resource("cacert", string(a.ID)), a.ID}
}

func (s *Server) registerCA(ctx context.Context, c *Call, in *struct {
	PEM          string              `json:"caCertificate"`
	Verification string              `json:"verificationCertificate"`
	Active       bool                `json:"setAsActive"`
	Automatic    bool                `json:"allowAutoRegistration"`
	Registration *registrationConfig `json:"registrationConfig"`
	Tags         tagList             `json:"tags"`
	Mode         string              `json:"certificateMode"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	if in.Mode == "" {
		in.Mode = certs.DefaultMode
	}
	now := s.cfg.Now()
	a, code, err := certs.ReadAuthority(in.PEM, in.Verification, in.Mode, now)
	if err != nil {
		return nil, err
	}
	a.Tenant, a.Automatic, a.Registration, a.Tags = c.Tenant, in.Automatic, in.Registration.record(), tags
	if in.Active {
		a.Status = certs.Active
	}
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := checkRegistration(ctx, tx, c.Tenant, a.Registration); err != nil {
			return err
		}
		return certs.AddAuthority(ctx, tx, a, code, now)
	})
	if err != nil {
		return nil, err
	}
	return authorityNames(a), nil
}

// onAuthority changes a CA certificate in one transaction.
func (s *Server) onAuthority(ctx context.Context, text string, do func(context.Context, store.Tx, arn.CertID) error) (any, error) {
	id, err := arn.ParseCertID(text)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error { return do(ctx, tx, id) })
}

func (s *Server) updateCA(ctx context.Context, c *Call, in *struct {
	certificateID
	NewStatus    certs.Status        `json:"newStatus"`
	NewAutomatic string              `json:"newAutoRegistrationStatus"`
	Registration *registrationConfig `json:"registrationConfig"`
	Unregister   bool                `json:"removeAutoRegistration"`
}) (any, error) {
	ch := certs.AuthorityChange{Status: in.NewStatus, Registration: in.Registration.record(), Unregister: in.Unregister}
	if in.NewAutomatic != "" {
		ch.Automatic = new(in.NewAutomatic == "ENABLE")
	}
	return s.onAuthority(ctx, in.ID, func(ctx context.Context, tx store.Tx, id arn.CertID) error {
		if err := checkRegistration(ctx, tx, c.Tenant, ch.Registration); err != nil {
			return err
		}
		return certs.ChangeAuthority(ctx, tx, c.Tenant, id, ch, s.cfg.Now())
	})
}

func (s *Server) deleteCA(ctx context.Context, c *Call, in *certificateID) (any, error) {
	return s.onAuthority(ctx, in.ID, func(ctx context.Context, tx store.Tx, id arn.CertID) error {
		return certs.DropAuthority(ctx, tx, c.Tenant, id)
	})
}

type authorityDescription struct {
	certificateNames
	Status     certs.Status `json:"status"`
	PEM        string       `json:"certificatePem"`
	OwnedBy    string       `json:"ownedBy"`
	Created    seconds      `json:"creationDate"`
	Automatic  string       `json:"autoRegistrationStatus"`
	Modified   seconds      `json:"lastModifiedDate"`
	Version    int          `json:"customerVersion"`
	Generation string       `json:"generationId"`
	Validity   validity     `json:"validity"`
	Mode       string       `json:"certificateMode"`
}

func (s *Server) describeCA(ctx context.Context, c *Call, in *certificateID) (any, error) {
	id, err := arn.ParseCertID(in.ID)
	if err != nil {
		return nil, err
	}
	var a *certs.Authority
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		a, err = certs.FindAuthority(ctx, tx, c.Tenant, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Description  authorityDescription `json:"certificateDescription"`
		Registration *registrationConfig  `json:"registrationConfig,omitempty"`
	}{authorityDescription{
		certificateNames: authorityNames(a), Status: a.Status, PEM: a.PEM, OwnedBy: c.Tenant.Account,
		Created: seconds{a.Created}, Automatic: onOff(a.Automatic), Modified: seconds{a.Modified},
		Version: a.Version, Generation: a.Generation, Mode: a.Mode,
		Validity: validity{seconds{a.NotBefore}, seconds{a.NotAfter}},
	}, (*registrationConfig)(a.Registration)}, nil
}

func onOff(automatic bool) string {
	if automatic {
		return "ENABLE"
	}
	return "DISABLE"
}

// listCAs gives the newest first unless asked otherwise.
func (s *Server) listCAs(ctx context.Context, c *Call, in *struct {
	byMarker
	TemplateName string `json:"templateName"`
}) (any, error) {
	p, err := s.newestFirst(c, in.byMarker)
	if err != nil {
		return nil, err
	}
	type summary struct {
		certificateNames
		Status  certs.Status `json:"status"`
		Created seconds      `json:"creationDate"`
	}
	list := []summary{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := tx.ListAuthorities(ctx, c.Tenant, in.TemplateName, p)
		for _, a := range found {
			list = append(list, summary{authorityNames(a), a.Status, seconds{a.Created}})
		}
		next = after
		return err
	})
	return struct {
		Certificates []summary `json:"certificates"`
		NextMarker   string    `json:"nextMarker,omitempty"`
	}{list, s.seal(c, next)}, err
}

func (s *Server) listCertificatesByCA(ctx context.Context, c *Call, in *struct {
	byMarker
	ID string `json:"caCertificateId"`
}) (any, error) {
	id, err := arn.ParseCertID(in.ID)
	if err != nil {
		return nil, err
	}
	return s.pageOfCertificates(ctx, c, in.byMarker, func(ctx context.Context, tx store.Tx, p ref.Page) ([]*certs.Certificate, string, error) {
		return tx.ListCertificatesByCA(ctx, c.Tenant, id, p)
	})
}

type registrationCode struct {
	Code string `json:"registrationCode"`
}

// getRegistrationCode makes the code when it is asked for the first time. It
// stays the same until it is deleted.
func (s *Server) getRegistrationCode(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	var out registrationCode
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out.Code, err = certs.Code(ctx, tx, c.Tenant)
		return err
	})
	if !fault.Is(err, fault.Missing) {
		return out, err
	}
	fresh, err := certs.NewCode(s.cfg.Rand)
	if err != nil {
		return nil, err
	}
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out.Code, err = certs.EnsureCode(ctx, tx, c.Tenant, fresh)
		return err
	})
	return out, err
}

func (s *Server) deleteRegistrationCode(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error { return certs.DropCode(ctx, tx, c.Tenant) })
}

// taggableAuthority is how the tags of a CA certificate are read and changed.
func taggableAuthority() taggable {
	return taggable{
		func(ctx context.Context, tx store.Tx, t arn.Tenant, id string) (map[string]string, error) {
			return tagsOf(tx.Authority(ctx, t, arn.CertID(id)))(func(a *certs.Authority) map[string]string { return a.Tags })
		},
		func(ctx context.Context, tx store.Tx, t arn.Tenant, id string, set map[string]string, remove []string) error {
			return certs.TagAuthority(ctx, tx, t, arn.CertID(id), set, remove)
		},
	}
}
