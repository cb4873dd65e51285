package provision

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// The doors of a certificate that connects before it is known, as attempts and
// metrics name them.
const (
	JITP = "jitp" // its CA has a template
	JITR = "jitr" // its CA has none: somebody is told, and decides
)

// An Arrival is what came of a CONNECT with a certificate that was not
// registered, or that waits since an earlier CONNECT.
type Arrival struct {
	Certificate *certs.Certificate // nil until it is registered
	CA          arn.CertID         // that sponsors it; empty until it is found
	Door        string             // JITP or JITR; empty until the CA is found
	Template    string             // by name; an inline one has none
	Registered  bool               // by this CONNECT
	Provisioned bool               // by this CONNECT
	Subject     map[string]string  // what a template learns of the certificate
	Thing       string             // that the template names

	registration *certs.Registration
}

// JustInTime serves a CONNECT with a certificate that its account does not
// know, or that waits PENDING_ACTIVATION since an earlier one (methods.md,
// sections 4 and 5).
//
//	find      the CA that sponsors it        one read transaction, then signatures
//	register  PENDING_ACTIVATION             one write transaction
//	plan      its CA's template, rendered    one read transaction; JITP alone
//	apply     write everything, or nothing   one write transaction; JITP alone
//
// Each step is safe to repeat: of two connections at once one registers and one
// applies, and a device that comes again after a failure or a crash goes on
// where the first try ended. No function is asked; AWS asks none here either.
//
// The Arrival is never nil and says how far it came. What a rule refused is of
// kind fault.Refused.
func (s *Service) JustInTime(ctx context.Context, who Caller, leaf *x509.Certificate) (*Arrival, error) {
	defer s.stage("just-in-time")()
	a := &Arrival{}
	for _, step := range []func(context.Context, Caller, *x509.Certificate, *Arrival) error{s.sponsor, s.arrive, s.provisionArrived} {
		if err := step(ctx, who, leaf, a); err != nil {
			return a, err
		}
	}
	return a, nil
}

// sponsor finds the CA certificate by which the leaf may come in.
func (s *Service) sponsor(ctx context.Context, who Caller, leaf *x509.Certificate, a *Arrival) error {
	var named []*certs.Authority
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if a.Certificate, err = tx.Certificate(ctx, who.Tenant, who.CertID); err != nil && !fault.Is(err, fault.Missing) {
			return err
		}
		named, err = tx.AuthoritiesNamed(ctx, who.Tenant, certs.SubjectDigest(leaf.RawIssuer))
		return err
	})
	if err != nil || a.Certificate != nil && !a.Certificate.Awaits() { // settled by another connection meanwhile
		return err
	}
	ca, err := certs.Sponsor(named, leaf, s.Now())
	if err != nil {
		return notRegistered(who, a, err)
	}
	a.CA, a.registration, a.Door = ca.ID, ca.Registration, JITR
	a.Subject = templates.Subject(leaf.Subject)
	if r := ca.Registration; r != nil && (r.TemplateName != "" || r.TemplateBody != "") {
		a.Door, a.Template = JITP, r.TemplateName
	}
	who.step("find", fmt.Sprintf("CA certificate %s signed the certificate, and registers what it signed at the first connection.", ca.ID))
	crash.Point("arrive.found")
	return nil
}

// notRegistered says why a certificate is not registered, or not further than
// it is.
func notRegistered(who Caller, a *Arrival, err error) error {
	if !ofRule(err) {
		return err
	}
	_, why := fault.Show(err)
	if a.Certificate != nil {
		return fault.Wrap(fault.Refused, err, "Certificate %s is %s since it first connected, and goes no further: %s.", who.CertID, a.Certificate.Status, why)
	}
	return fault.Wrap(fault.Refused, err, "Certificate %s is not registered in account %s, region %s, which the server name (SNI) picked, and is not registered by connecting: %s.", who.CertID, who.Tenant.Account, who.Tenant.Region, why)
}

// ofRule says whether a rule refused, and not the server failed.
func ofRule(err error) bool {
	return err != nil && !fault.Is(err, fault.Internal) && !fault.Is(err, fault.Unavailable)
}

// arrive registers the certificate, once.
func (s *Service) arrive(ctx context.Context, who Caller, leaf *x509.Certificate, a *Arrival) error {
	if a.Certificate != nil {
		return nil
	}
	if err := s.arrivals.spend(ctx, s, who.Tenant); err != nil {
		return notRegistered(who, a, err)
	}
	err := s.DB.Update(s.because(ctx, who, "iot:RegisterCertificate"), func(ctx context.Context, tx store.Tx) (err error) {
		a.Certificate = nil
		var c *certs.Certificate
		if c, a.Registered, err = certs.Arrive(ctx, tx, who.Tenant, leaf, a.CA, s.Now()); err == nil {
			a.Certificate = c
			crash.Point("arrive.registering")
		}
		return err
	})
	if err != nil {
		a.Certificate, a.Registered = nil, false
		return notRegistered(who, a, err)
	}
	if a.Registered {
		who.step("register", fmt.Sprintf("Registered certificate %s, PENDING_ACTIVATION, in mode %s.", who.CertID, a.Certificate.Mode))
	}
	crash.Point("arrive.registered")
	return nil
}

// provisionArrived carries the CA's template out, if it has one and the
// certificate still waits.
func (s *Service) provisionArrived(ctx context.Context, who Caller, _ *x509.Certificate, a *Arrival) error {
	if a.Door != JITP || !a.Certificate.Awaits() {
		return nil
	}
	plan, reprovision, err := s.planArrived(ctx, who, a)
	if err != nil {
		return notProvisioned(who, a, err)
	}
	crash.Point("jitp.planned")
	if err := s.applyArrived(ctx, who, a, plan, reprovision); err != nil {
		return notProvisioned(who, a, err)
	}
	crash.Point("jitp.applied")
	return nil
}

// notProvisioned says that the template came to nothing.
func notProvisioned(who Caller, a *Arrival, err error) error {
	if !ofRule(err) {
		return err
	}
	_, why := fault.Show(err)
	which := "the template of CA certificate " + string(a.CA)
	if a.Template != "" {
		which = "template " + a.Template
	}
	return fault.Wrap(fault.Refused, err, "Certificate %s is registered and stays PENDING_ACTIVATION: %s was not carried out, nothing of it was kept, and it is tried again at the next connection. %s", who.CertID, which, why)
}

// planArrived renders the template with what the certificate says of itself.
func (s *Service) planArrived(ctx context.Context, who Caller, a *Arrival) (plan *templates.Plan, reprovision string, err error) {
	body, reprovision := a.registration.TemplateBody, templates.Keep
	if a.Template != "" {
		if body, reprovision, err = s.arrivalTemplate(ctx, who.Tenant, a.Template); err != nil {
			return nil, "", err
		}
	}
	parsed, err := s.parsed.parse(body, templates.JITP)
	if err != nil {
		return nil, "", err
	}
	service := map[string]string{templates.CertificateID: string(who.CertID)}
	for name, value := range a.Subject {
		service[name] = value
	}
	if plan, err = parsed.Render(templates.Input{Service: service}); err != nil {
		return nil, "", err
	}
	if plan.Thing != nil {
		a.Thing = plan.Thing.Name
		who.step("plan", "The template makes thing "+plan.Thing.Name+" of the certificate's subject.")
	}
	return plan, reprovision, nil
}

// arrivalTemplate gives the default version of a JITP template, and its
// setting for things that exist already.
func (s *Service) arrivalTemplate(ctx context.Context, t arn.Tenant, name string) (body, reprovision string, err error) {
	err = s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.TemplateRecord(ctx, t, name)
		switch {
		case fault.Is(err, fault.Missing):
			return fault.Wrap(fault.Missing, err, "Template not found: there is no provisioning template %s.", name)
		case err != nil:
			return err
		case rec.Type != templates.JustInTime:
			return fault.New(fault.Refused, "Template %s is of type %s; expected %s.", name, rec.Type, templates.JustInTime)
		case !rec.Enabled:
			return fault.New(fault.Refused, "Template %s is disabled; UpdateProvisioningTemplate can enable it.", name)
		}
		v, err := current(rec)
		if err == nil {
			body, reprovision = v.Body, templates.Reprovision(rec)
		}
		return err
	})
	return body, reprovision, err
}

// applyArrived writes the plan unless another connection of the device, or an
// operator, was faster: then the certificate is taken as it is.
func (s *Service) applyArrived(ctx context.Context, who Caller, a *Arrival, plan *templates.Plan, reprovision string) error {
	var did []string
	var cert *certs.Certificate
	err := s.DB.Update(s.because(ctx, who, "iot:RegisterThing"), func(ctx context.Context, tx store.Tx) (err error) {
		did = nil
		if cert, err = tx.Certificate(ctx, who.Tenant, who.CertID); err != nil || !cert.Awaits() {
			return err
		}
		w := writer{tx: tx, tenant: who.Tenant, now: s.Now(), reprovision: reprovision}
		if err = w.write(ctx, plan, cert); err == nil {
			did = w.did
			crash.Point("jitp.applying")
		}
		return err
	})
	if err != nil {
		return err
	}
	a.Certificate, a.Provisioned = cert, did != nil
	if !a.Provisioned {
		who.step("apply", fmt.Sprintf("Certificate %s had become %s meanwhile.", cert.ID, cert.Status))
	}
	for _, sentence := range did {
		who.step("apply", sentence)
	}
	return nil
}
