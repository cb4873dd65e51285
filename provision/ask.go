package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/wire/strict"
)

// hookRequest is what the pre-provisioning function receives
// (hooks-and-events.md, section 1.2).
type hookRequest struct {
	ClaimCertificateID string            `json:"claimCertificateId"`
	CertificateID      string            `json:"certificateId"`
	CertificatePEM     string            `json:"certificatePem"`
	TemplateARN        string            `json:"templateArn"`
	ClientID           string            `json:"clientId"`
	Parameters         map[string]string `json:"parameters"`
}

// ask lets the template's function allow, refuse or override. Error, silence
// and crash refuse.
func (s *Service) ask(ctx context.Context, t *try) error {
	if t.record.Hook == nil {
		return nil
	}
	payload, err := t.hookRequest()
	if err != nil {
		return err
	}
	name := functionName(t.record.Hook.TargetARN)
	ctx, cancel := context.WithTimeout(ctx, hookDeadline)
	defer cancel()
	start := s.Now()
	out, err := s.invoke(ctx, t, payload)
	took := s.Now().Sub(start)
	if err == nil {
		t.overrides, err = verdict(name, out)
	}
	if err != nil {
		_, text := fault.Show(err)
		s.Metrics.Function("refused", took)
		t.who.step("function", fmt.Sprintf("Refused after %v: %s", took.Round(100*time.Microsecond), text))
		return err
	}
	t.asked = true
	s.Metrics.Function("allowed", took)
	t.who.step("function", fmt.Sprintf("Allowed after %v, overriding %d parameters.", took.Round(100*time.Microsecond), len(t.overrides)))
	return nil
}

// functionName is how sentences name the function of a template.
func functionName(target string) string {
	name, err := functions.Name(target)
	if err != nil {
		return functions.Quote(target)
	}
	return name
}

func (t *try) hookRequest() ([]byte, error) {
	params := t.req.Parameters
	if params == nil {
		params = map[string]string{}
	}
	return json.Marshal(hookRequest{
		ClaimCertificateID: string(t.who.CertID),
		CertificateID:      string(t.cert.ID),
		CertificatePEM:     t.cert.PEM,
		TemplateARN:        t.who.Tenant.Template(t.name),
		ClientID:           t.who.ClientID,
		Parameters:         params,
	})
}

func (s *Service) invoke(ctx context.Context, t *try, payload []byte) ([]byte, error) {
	target := t.record.Hook.TargetARN
	f, err := s.Functions.Resolve(ctx, t.who.Tenant, target)
	if err != nil {
		if fault.Is(err, fault.Missing) {
			return nil, fault.Wrap(fault.Refused, err, "Template %s asks function %s, which does not exist here; `slipway function add` makes it.", t.name, target)
		}
		return nil, err
	}
	out, err := f.Invoke(ctx, payload)
	if functions.ReasonOf(err) != "" {
		return nil, err // it says itself how it looks from outside
	}
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "The function of template %s could not be asked.", t.name)
	}
	return out, nil
}

// verdict reads what the function named name answered, and gives the
// parameters that it overrides (hooks-and-events.md, section 1.3).
//
// The answer is foreign bytes that grant something, so it is read strictly: a
// member that stands twice, or in another case, allows nothing. Only true, or
// the text "true" which one line of AWS's documents writes, allows.
func verdict(name string, out []byte) (map[string]string, error) {
	answer, err := strict.Parse(out)
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "Function %s did not answer with a JSON object that holds allowProvisioning: %s.", name, functions.Quote(err.Error()))
	}
	if answer.Kind != strict.Object {
		return nil, fault.New(fault.Refused, "Function %s answered with %s; a JSON object that holds allowProvisioning is expected.", name, answer.Kind)
	}
	allow := answer.Get("allowProvisioning")
	if !allows(allow) {
		return nil, fault.New(fault.Refused, "%s", refusalOf(name, allow, answer.Get("reason")))
	}
	return overridesOf(name, answer.Get("parameterOverrides"))
}

func allows(v *strict.Value) bool {
	return v != nil && (v.Kind == strict.Bool && v.Bool || v.Kind == strict.String && v.Text == "true")
}

// refusalOf is the sentence for the device: the function's own reason, which is
// an extension of ours, or what its answer was.
func refusalOf(name string, allow, reason *strict.Value) string {
	if reason != nil && reason.Kind == strict.String {
		if text := functions.Quote(reason.Text); text != "" {
			return text
		}
	}
	switch {
	case allow == nil:
		return fmt.Sprintf("Function %s answered without allowProvisioning, so it allows nothing.", name)
	case allow.Kind == strict.Bool || allow.Kind == strict.String && allow.Text == "false":
		return fmt.Sprintf("Function %s refused this device.", name)
	}
	return fmt.Sprintf("Function %s answered allowProvisioning with %s that is not true, so it allows nothing.", name, allow.Kind)
}

func overridesOf(name string, v *strict.Value) (map[string]string, error) {
	if v == nil || v.Kind == strict.Null {
		return nil, nil
	}
	if v.Kind != strict.Object {
		return nil, fault.New(fault.Refused, "Function %s answered parameterOverrides with %s; a map from text to text is expected.", name, v.Kind)
	}
	overrides := make(map[string]string, len(v.Members))
	for _, m := range v.Members {
		if m.Value.Kind != strict.String {
			return nil, fault.New(fault.Refused, "Function %s overrides parameter %q with %s; a text is expected.", name, functions.Quote(m.Key), m.Value.Kind)
		}
		overrides[m.Key] = m.Value.Text
	}
	return overrides, nil
}
