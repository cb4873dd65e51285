package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// A Preview is what a template with its parameters would do: the plan, and
// what it would change in the registry as it is now.
type Preview struct {
	Plan    *templates.Plan `json:"plan"`
	Changes []string        `json:"changes"`
	// Function is asked before a device, and was not asked here; empty if the
	// template asks none.
	Function string `json:"function,omitempty"`
	// Refusal is the sentence with which the registry would refuse the plan,
	// empty if it would not.
	Refusal string `json:"refusal,omitempty"`
}

// errRehearsed makes the store forget what a rehearsal wrote.
var errRehearsed = errors.New("provision: a rehearsal is not kept")

// Preview renders a template for parameters given and compares the plan with
// the registry. It calls no function and keeps nothing: the plan is carried
// out, as a device's would be, in a transaction that is then given up. An empty
// body means the default version of the stored template. A template of type JITP
// reads a certificate, or the signing request of one, PEM; with one a body that
// is not stored is tried as such a template.
func (s *Service) Preview(ctx context.Context, t arn.Tenant, name, body string, params map[string]string, certificate string) (*Preview, error) {
	rec, err := s.previewed(ctx, t, name, body, certificate != "")
	if err != nil {
		return nil, err
	}
	parsed, err := s.tried(rec, body)
	if err != nil {
		return nil, err
	}
	service, err := supplied(rec, params, certificate)
	if err != nil {
		return nil, err
	}
	plan, err := parsed.Render(templates.Input{Parameters: params, Service: service})
	if err != nil {
		return nil, err
	}
	out := &Preview{Plan: plan}
	if rec.Hook != nil {
		out.Function = functionName(rec.Hook.TargetARN)
	}
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		w := writer{tx: tx, tenant: t, now: s.Now(), reprovision: templates.Reprovision(rec)}
		if out.Changes, err = w.rehearse(ctx, plan); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return out, nil
	}
	return refused(out, err)
}

// previewed finds the template. A body may be tried before its template
// exists, which then has no settings.
func (s *Service) previewed(ctx context.Context, t arn.Tenant, name, body string, certified bool) (rec *templates.Record, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		rec, err = tx.TemplateRecord(ctx, t, name)
		return err
	})
	if !fault.Is(err, fault.Missing) {
		return rec, err
	}
	switch {
	case body == "":
		return nil, fault.Wrap(fault.Missing, err, "Provisioning template %s does not exist.", arn.Clip(name, 60))
	case certified:
		return &templates.Record{Type: templates.JustInTime}, nil
	}
	return &templates.Record{Type: templates.FleetProvisioning}, nil
}

// tried is the body given, or else the one that is stored.
func (s *Service) tried(rec *templates.Record, body string) (*templates.Template, error) {
	kind, err := templates.KindOf(rec.Type)
	if err != nil {
		return nil, err
	}
	if body != "" {
		return templates.Parse([]byte(body), kind)
	}
	v, err := current(rec)
	if err != nil {
		return nil, err
	}
	return s.parsed.parse(v.Body, kind)
}

// supplied is what the service would tell the template.
func supplied(rec *templates.Record, params map[string]string, certificate string) (map[string]string, error) {
	switch jitp := rec.Type == templates.JustInTime; {
	case jitp && certificate == "":
		return nil, fault.New(fault.InvalidRequest, "A template of type %s reads the certificate of a device: give one, or the signing request of one, as PEM.", rec.Type)
	case jitp && len(params) > 0:
		return nil, fault.New(fault.InvalidRequest, "A template of type %s reads the certificate of a device and takes no parameters.", rec.Type)
	case jitp:
		return templates.SubjectOf(certificate)
	case certificate != "":
		return nil, fault.New(fault.InvalidRequest, "A template of type %s takes parameters; only one of type %s reads a certificate.", rec.Type, templates.JustInTime)
	}
	return map[string]string{templates.CertificateID: templates.NoCertificate}, nil
}

// rehearsed is the certificate of a rehearsal, whose own may be registered.
const rehearsed = templates.NoCertificate

// rehearse says what the plan changes, and carries it out for a certificate
// that is made for it.
func (w *writer) rehearse(ctx context.Context, plan *templates.Plan) ([]string, error) {
	changes, err := w.compare(ctx, plan)
	cert := &certs.Certificate{
		Tenant: w.tenant, ID: rehearsed, Status: certs.PendingActivation, Mode: "DEFAULT",
		NotBefore: w.now, NotAfter: w.now, Created: w.now, Modified: w.now, Version: 1,
	}
	if err := certs.Add(ctx, w.tx, cert); err != nil {
		return changes, err
	}
	if refusal := w.write(ctx, plan, cert); refusal != nil {
		err = refusal // in the words that a device would hear
	}
	return changes, err
}

// compare says what write is about to do.
func (w *writer) compare(ctx context.Context, plan *templates.Plan) ([]string, error) {
	changes := []string{}
	if plan.Thing != nil {
		_, existing, err := w.existing(ctx, plan.Thing.Name)
		if err != nil {
			return changes, err
		}
		change, err := plan.Thing.Against(existing)
		if err != nil {
			return changes, err
		}
		changes = append(changes, change.Sentences...)
	}
	for _, p := range plan.Policies {
		sentence, err := w.comparePolicy(ctx, p)
		if err != nil {
			return changes, err
		}
		changes = append(changes, sentence)
	}
	return append(changes, fmt.Sprintf("The device's certificate becomes %s.", plan.Certificate.Status)), nil
}

func (w *writer) comparePolicy(ctx context.Context, p templates.PolicyPlan) (string, error) {
	_, err := w.tx.Policy(ctx, w.tenant, p.Name)
	if fault.Is(err, fault.Missing) && p.Document != "" {
		return fmt.Sprintf("Policy %s is created and attached to the device's certificate.", p.Name), nil
	}
	if err != nil {
		return "", noPolicy(err, p.Name)
	}
	links, _, err := w.tx.Rights(ctx, w.tenant, ref.PolicyTarget, p.Name, ref.Page{Limit: 1})
	note := "which exists and is attached to nothing yet"
	if len(links) > 0 {
		note = "which exists"
	}
	return fmt.Sprintf("Policy %s, %s, is attached to the device's certificate.", p.Name, note), err
}

// refused turns what the registry says no to into a part of the preview.
func refused(p *Preview, err error) (*Preview, error) {
	if fault.Is(err, fault.Internal) || fault.Is(err, fault.Unavailable) {
		return nil, err
	}
	_, p.Refusal = fault.Show(err)
	return p, nil
}
