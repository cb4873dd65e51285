package provision

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// RegisterInline registers one thing as a template that came with the request
// says: the REST operation RegisterThing (methods.md, section 10). Its steps
// are those of RegisterThing, but for the function, which AWS does not ask
// here either: the caller is an operator.
//
//	plan   parse, render, and look whether it can succeed   one read transaction
//	sign   the template's signing request, if it has one    as in create.go
//	apply  write everything, or nothing                     one write transaction
//
// It gives the certificate, if the template has one, and the ARNs of the
// template's resources by their logical names.
func (s *Service) RegisterInline(ctx context.Context, t arn.Tenant, body string, params map[string]string) (certificatePEM string, arns map[string]string, err error) {
	defer s.stage("register-inline")()
	i := &inline{tenant: t}
	parsed, err := s.parsed.parse(body, templates.Inline)
	if err == nil {
		i.plan, err = parsed.Render(templates.Input{Parameters: params})
	}
	if err == nil {
		err = s.registerInline(ctx, i)
	}
	if err != nil {
		return "", nil, registrationFailure(err)
	}
	made := i.registered()
	return made.CertificatePEM, made.ARNs, nil
}

// A Registered is what an inline registration made.
type Registered struct {
	Thing          string     // its name; empty: the template has none
	CertificateID  arn.CertID // empty: the template has none
	CertificatePEM string
	ARNs           map[string]string // by logical name
}

// An inline is one RegisterInline on its way.
type inline struct {
	tenant arn.Tenant
	plan   *templates.Plan
	cert   *certs.Certificate // set when it was found or made; nil: the template has none
	made   bool               // the certificate is new
}

func (s *Service) registerInline(ctx context.Context, i *inline) error {
	if i.plan.Certificate == nil || i.plan.Certificate.CSR == "" {
		return s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			i.made = false
			if i.cert, err = s.named(ctx, tx, i); err != nil {
				return err
			}
			return s.writeInline(ctx, tx, i)
		})
	}
	err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		w := s.inlineWriter(tx, i)
		return w.foresee(ctx, i.plan)
	})
	if err != nil {
		return err
	}
	linted, err := s.CA.LintCSR([]byte(i.plan.Certificate.CSR), ca.Rules{ForbiddenNames: s.Reserved})
	if err != nil {
		return err
	}
	_, err = s.issue(ctx, i.tenant, linted, ca.Profile{}, certs.FromCSR, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		c.Status = certs.Status(i.plan.Certificate.Status)
		if err := keepCertificate(ctx, tx, c); err != nil {
			return err
		}
		i.cert, i.made = c, true
		return s.writeInline(ctx, tx, i)
	})
	return err
}

func (s *Service) inlineWriter(tx store.Tx, i *inline) writer {
	return writer{tx: tx, tenant: i.tenant, now: s.Now(), reprovision: templates.Keep}
}

// named finds the certificate that the template names, or registers the one
// that it holds; nil when there is neither.
func (s *Service) named(ctx context.Context, tx store.Tx, i *inline) (*certs.Certificate, error) {
	p := i.plan.Certificate
	switch {
	case p == nil:
		return nil, nil
	case p.PEM != "":
		return s.brought(ctx, tx, i)
	}
	c, err := tx.Certificate(ctx, i.tenant, arn.CertID(p.ID))
	if fault.Is(err, fault.Missing) || err == nil && c.Hidden {
		return nil, fault.Wrap(fault.MissingPart, err, "Certificate not found: the template names %s, which does not exist.", p.ID)
	}
	return c, err
}

// brought registers the certificate that the template holds, as
// RegisterCertificate does; one that is registered already is taken as it is.
func (s *Service) brought(ctx context.Context, tx store.Tx, i *inline) (*certs.Certificate, error) {
	p := i.plan.Certificate
	leaf, err := certs.Read("The certificate", p.PEM)
	if err != nil {
		return nil, err
	}
	var authority *certs.Foreign
	if p.CACertificatePEM != "" {
		if authority, err = certs.Read("The CA certificate", p.CACertificatePEM); err != nil {
			return nil, err
		}
	}
	c, err := tx.Certificate(ctx, i.tenant, leaf.ID())
	if err == nil && !c.Hidden {
		return c, nil
	}
	if err != nil && !fault.Is(err, fault.Missing) {
		return nil, err
	}
	i.made = true
	return certs.Register(ctx, tx, i.tenant, leaf, authority, certs.Status(p.Status), s.Now())
}

// writeInline writes the plan.
func (s *Service) writeInline(ctx context.Context, tx store.Tx, i *inline) error {
	w, plan := s.inlineWriter(tx, i), *i.plan
	switch {
	case i.cert == nil:
		return w.withoutCertificate(ctx, &plan)
	case i.made:
		return w.write(ctx, &plan, i.cert)
	}
	return w.overwrite(ctx, plan, i.cert)
}

// withoutCertificate writes a plan that has nothing to attach policies to:
// those that it brings along are made.
func (w *writer) withoutCertificate(ctx context.Context, plan *templates.Plan) error {
	if plan.Thing != nil {
		if err := w.thing(ctx, plan.Thing); err != nil {
			return err
		}
	}
	for _, p := range plan.Policies {
		if err := w.havePolicy(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) havePolicy(ctx context.Context, p templates.PolicyPlan) error {
	if p.Document != "" {
		return policy.Ensure(ctx, w.tx, w.tenant, p.Name, p.Document, w.now)
	}
	_, err := w.tx.Policy(ctx, w.tenant, p.Name)
	return noPolicy(err, p.Name)
}

// foresee finds what would refuse the plan, as far as reading can, so that
// nothing is signed in vain. The writing transaction looks again.
func (w *writer) foresee(ctx context.Context, plan *templates.Plan) error {
	if plan.Thing != nil {
		_, existing, err := w.existing(ctx, plan.Thing.Name)
		if err != nil {
			return err
		}
		change, err := plan.Thing.Against(existing)
		if err != nil {
			return err
		}
		if err := w.parts(ctx, change); err != nil {
			return err
		}
	}
	for _, p := range plan.Policies {
		if p.Document != "" {
			if _, err := policy.Parse(p.Document); err != nil {
				return err
			}
		} else if err := w.havePolicy(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (i *inline) registered() *Registered {
	r := &Registered{ARNs: i.arns()}
	if i.plan.Thing != nil {
		r.Thing = i.plan.Thing.Name
	}
	if i.cert != nil {
		r.CertificateID, r.CertificatePEM = i.cert.ID, i.cert.PEM
	}
	return r
}

// arns names what was registered, by logical name.
func (i *inline) arns() map[string]string {
	out := make(map[string]string, len(i.plan.Names))
	for logical, kind := range i.plan.Names {
		switch kind {
		case templates.TypeThing:
			out[logical] = i.tenant.Thing(i.plan.Thing.Name)
		case templates.TypeCertificate:
			out[logical] = i.tenant.Cert(i.cert.ID)
		}
	}
	for _, p := range i.plan.Policies {
		out[p.Logical] = i.tenant.Policy(p.Name)
	}
	return out
}

// registrationFailure gives an error one of the kinds that the operation knows
// (rest-api.md, section 4.1); the sentence stays.
func registrationFailure(err error) error {
	switch fault.Of(err) {
	case fault.Missing, fault.Exists, fault.LimitExceeded, fault.MalformedPolicy,
		fault.CertificateState, fault.CertificateInvalid, fault.AmbiguousCA:
		_, text := fault.Show(err)
		return fault.Wrap(fault.MissingPart, err, "%s", text)
	}
	return err
}
