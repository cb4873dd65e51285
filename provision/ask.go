package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
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

// hookAnswer is what it may answer (hooks-and-events.md, section 1.3). Reason
// is ours: a sentence that the device and the trace may see.
type hookAnswer struct {
	Allow     json.RawMessage `json:"allowProvisioning"`
	Overrides map[string]any  `json:"parameterOverrides"`
	Reason    string          `json:"reason"`
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
	ctx, cancel := context.WithTimeout(ctx, hookDeadline)
	defer cancel()
	start := s.Now()
	out, err := s.invoke(ctx, t, payload)
	took := s.Now().Sub(start)
	if err == nil {
		t.overrides, err = verdict(t.record.Hook.TargetARN, out)
	}
	if err != nil {
		_, text := fault.Show(err)
		s.Metrics.Function("refused", took)
		t.who.step("function", fmt.Sprintf("Refused after %v: %s", took.Round(100_000), text))
		return err
	}
	s.Metrics.Function("allowed", took)
	t.who.step("function", fmt.Sprintf("Allowed after %v, overriding %d parameters.", took.Round(100_000), len(t.overrides)))
	return nil
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
	var failed *functions.Failure
	if errors.As(err, &failed) {
		return nil, fault.Wrap(fault.Refused, failed, "%s", failed.Text)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "The function of template %s could not be asked.", t.name)
	}
	return out, nil
}

// verdict reads the function's answer. Only true, or the text "true" which one
// line of AWS's documents writes, allows.
func verdict(target string, out []byte) (map[string]string, error) {
	name := target
	var a hookAnswer
	if err := json.Unmarshal(out, &a); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "Function %s did not answer with a JSON object that holds allowProvisioning.", name)
	}
	if allow := string(a.Allow); allow != "true" && allow != `"true"` {
		if a.Reason != "" {
			return nil, fault.New(fault.Refused, "%s", a.Reason)
		}
		return nil, fault.New(fault.Refused, "Function %s refused this device.", name)
	}
	overrides := make(map[string]string, len(a.Overrides))
	for k, v := range a.Overrides {
		text, ok := v.(string)
		if !ok {
			return nil, fault.New(fault.Refused, "Function %s overrides parameter %s with something that is not a string.", name, k)
		}
		overrides[k] = text
	}
	return overrides, nil
}
