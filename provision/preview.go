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
	// Refusal is the sentence with which the registry would refuse the plan,
	// empty if it would not.
	Refusal string `json:"refusal,omitempty"`
}

// previewCertificate stands for the certificate that a device would bring.
const previewCertificate = "0000000000000000000000000000000000000000000000000000000000000000"

// errRehearsed makes the store forget what a rehearsal wrote.
var errRehearsed = errors.New("provision: a rehearsal is not kept")

// Preview renders a template for parameters given and compares the plan with
// the registry. It calls no function and keeps nothing: the plan is carried
// out, as a device's would be, in a transaction that is then given up. An empty
// body means the default version of the stored template.
func (s *Service) Preview(ctx context.Context, t arn.Tenant, name, body string, params map[string]string) (*Preview, error) {
	rec, parsed, err := s.previewed(ctx, t, name, body)
	if err != nil {
		return nil, err
	}
	plan, err := parsed.Render(templates.Input{Parameters: params,
		Service: map[string]string{templates.CertificateID: previewCertificate}})
	if err != nil {
		return nil, err
	}
	out := &Preview{Plan: plan}
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
func (s *Service) previewed(ctx context.Context, t arn.Tenant, name, body string) (*templates.Record, *templates.Template, error) {
	var rec *templates.Record
	err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		rec, err = tx.TemplateRecord(ctx, t, name)
		return err
	})
	switch {
	case body != "" && fault.Is(err, fault.Missing):
		rec = &templates.Record{Type: templates.FleetProvisioning}
	case fault.Is(err, fault.Missing):
		return nil, nil, fault.Wrap(fault.Missing, err, "Provisioning template %s does not exist.", arn.Clip(name, 60))
	case err != nil:
		return nil, nil, err
	case rec.Type != templates.FleetProvisioning:
		return nil, nil, fault.New(fault.InvalidRequest, "Template %s is of type %s; only templates of type %s can be tried.", rec.Name, rec.Type, templates.FleetProvisioning)
	}
	if body == "" {
		parsed, err := s.parsed.get(rec)
		return rec, parsed, err
	}
	parsed, err := templates.Parse([]byte(body), templates.Fleet)
	return rec, parsed, err
}

// rehearse says what the plan changes, and carries it out for a certificate
// that is made for it.
func (w *writer) rehearse(ctx context.Context, plan *templates.Plan) ([]string, error) {
	changes, err := w.compare(ctx, plan)
	cert := &certs.Certificate{
		Tenant: w.tenant, ID: previewCertificate, Status: certs.PendingActivation, Mode: "DEFAULT",
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
