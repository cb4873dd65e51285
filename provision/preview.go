package provision

import (
	"context"
	"fmt"

	"github.com/slipway-iot/slipway/arn"
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

// Preview renders a template for parameters given and compares the plan with
// the registry. It writes nothing and calls no function. An empty body means
// the default version of the stored template.
func (s *Service) Preview(ctx context.Context, t arn.Tenant, name, body string, params map[string]string) (*Preview, error) {
	var out Preview
	err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.TemplateRecord(ctx, t, name)
		if err != nil && (body == "" || !fault.Is(err, fault.Missing)) {
			return err
		}
		parsed, err := s.previewBody(rec, body)
		if err != nil {
			return err
		}
		out.Plan, err = parsed.Render(templates.Input{Parameters: params,
			Service: map[string]string{"AWS::IoT::Certificate::Id": previewCertificate}})
		if err != nil {
			return err
		}
		w := writer{tx: tx, tenant: t, now: s.Now()}
		if rec != nil { // a body may be tried before its template exists
			w.reprovision = templates.Reprovision(rec)
		}
		return w.compare(ctx, &out)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (s *Service) previewBody(rec *templates.Record, body string) (*templates.Template, error) {
	if body != "" {
		return templates.Parse([]byte(body), templates.Fleet)
	}
	return s.parsed.get(rec)
}

// compare says what write would do, without doing it.
func (w *writer) compare(ctx context.Context, p *Preview) error {
	if th := p.Plan.Thing; th != nil {
		old, existing, err := w.existing(ctx, th.Name)
		if err != nil {
			return err
		}
		if old != nil && w.reprovision == templates.Deny {
			p.Refusal = fmt.Sprintf("Thing %s exists already, and slipway:reprovision is deny.", th.Name)
			return nil
		}
		change, err := th.Against(existing)
		if err == nil {
			err = w.parts(ctx, change)
		}
		if err != nil {
			return refusal(p, err)
		}
		p.Changes = append(p.Changes, change.Sentences...)
	}
	for _, pol := range p.Plan.Policies {
		if err := w.comparePolicy(ctx, p, pol); err != nil {
			return refusal(p, err)
		}
	}
	p.Changes = append(p.Changes, fmt.Sprintf("The device's certificate becomes %s.", p.Plan.Certificate.Status))
	return nil
}

func (w *writer) comparePolicy(ctx context.Context, p *Preview, pol templates.PolicyPlan) error {
	rec, err := w.tx.Policy(ctx, w.tenant, pol.Name)
	switch {
	case err == nil:
		links, _, err := w.tx.Rights(ctx, w.tenant, ref.PolicyTarget, rec.Name, ref.Page{Limit: 1})
		if err != nil {
			return err
		}
		note := "which exists and is attached to nothing yet"
		if len(links) > 0 {
			note = "which exists"
		}
		p.Changes = append(p.Changes, fmt.Sprintf("Policy %s, %s, is attached to the device's certificate.", pol.Name, note))
		return nil
	case fault.Is(err, fault.Missing) && pol.Document != "":
		p.Changes = append(p.Changes, fmt.Sprintf("Policy %s is created and attached to the device's certificate.", pol.Name))
		return nil
	default:
		return missingPart(err, "Policy", pol.Name)
	}
}

// refusal turns what the registry says no to into a part of the preview.
func refusal(p *Preview, err error) error {
	if fault.Is(err, fault.Internal) {
		return err
	}
	_, p.Refusal = fault.Show(err)
	return nil
}
