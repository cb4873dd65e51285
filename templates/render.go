package templates

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// Bounds of a parameter, in characters (provisioning-mqtt-api.md, section 2.3).
const (
	maxKey   = 2048
	maxValue = 4096
)

// Render evaluates t for one device. It is pure. Its errors are of kind
// InvalidParameters and name the place in the template and the parameter at
// fault. Parameters that the template does not declare are ignored.
func (t *Template) Render(in Input) (*Plan, error) {
	if err := checkInput(in); err != nil {
		return nil, err
	}
	s := newScope(t, in)
	if err := s.completeSubject(); err != nil {
		return nil, err
	}
	plan := &Plan{Names: maps.Clone(t.resources)}
	for _, step := range []func(*Plan) error{s.planThing, s.planCertificate, s.planPolicies, s.planConfiguration} {
		if err := step(plan); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// checkInput bounds what came from outside. It looks at keys in their order,
// so that the same input always gives the same error.
func checkInput(in Input) error {
	for _, values := range []map[string]string{in.Parameters, in.Overrides} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			switch v := values[name]; {
			case !utf8.ValidString(name) || !utf8.ValidString(v):
				return fault.New(fault.InvalidParameters, "Parameter %q is not UTF-8 text.", arn.Clip(name, 80))
			case utf8.RuneCountInString(name) > maxKey:
				return fault.New(fault.InvalidParameters, "Parameter %q has a name of more than %d characters.", arn.Clip(name, 80), maxKey)
			case utf8.RuneCountInString(v) > maxValue:
				return fault.New(fault.InvalidParameters, "Parameter %q has a value of more than %d characters.", arn.Clip(name, 80), maxValue)
			}
		}
	}
	return nil
}

// completeSubject holds a JITP template to its rule: what it declares, the
// certificate has, whether it is used or not (templates.md, section 6).
func (s *scope) completeSubject() error {
	if s.t.kind != JITP {
		return nil
	}
	for _, p := range s.t.parameters {
		if _, from := s.lookup(p.Name); from == nowhere {
			return s.unresolved(p.Name, "")
		}
	}
	return nil
}

func (s *scope) planThing(plan *Plan) (err error) {
	t := s.t.thing
	if t == nil {
		return nil
	}
	p := &ThingPlan{
		TypeGiven:       t.typ != nil,
		AttributesGiven: t.attributesGiven,
		GroupsGiven:     t.groups != nil,
		Override:        t.override,
	}
	plan.Thing = p
	if err := s.evalAll([]evaluation{{&p.Name, t.name}, {&p.Type, t.typ}, {&p.BillingGroup, t.billing}}); err != nil {
		return err
	}
	if p.AttributesGiven {
		if p.Attributes, err = evalPairs(t.attributes, s); err != nil {
			return err
		}
	}
	p.Groups, err = t.groups.eval(s)
	return err
}

// An evaluation puts the value of a field into its place.
type evaluation struct {
	to   *string
	from *field
}

func (s *scope) evalAll(all []evaluation) (err error) {
	for _, e := range all {
		if *e.to, err = e.from.eval(s); err != nil {
			return err
		}
	}
	return nil
}

// planCertificate always plans one where a certificate is at hand: a fleet
// template need not mention it to have it activated.
func (s *scope) planCertificate(plan *Plan) error {
	p := &CertificatePlan{Status: Active, PrincipalType: NonExclusive}
	c := s.t.cert
	switch {
	case c == nil && !s.t.kind.atHand():
		return nil
	case c == nil:
		p.ID, _ = s.lookup(CertificateID)
		plan.Certificate = p
		return nil
	}
	p.Override = c.override
	plan.Certificate = p
	var status, attachment string
	if err := s.evalAll([]evaluation{
		{&p.ID, c.id}, {&p.CSR, c.csr}, {&p.PEM, c.pem}, {&p.CACertificatePEM, c.ca},
		{&status, c.status}, {&attachment, c.attachment},
	}); err != nil {
		return err
	}
	if id, err := arn.ParseCertID(p.ID); err == nil {
		p.ID = string(id) // in the registry's own spelling
	}
	if status != "" {
		p.Status = strings.ToUpper(status)
	}
	if attachment != "" {
		p.PrincipalType = attachment
	}
	return nil
}

func (s *scope) planPolicies(plan *Plan) error {
	for _, p := range s.t.policies {
		rendered, err := p.render(s)
		if err != nil {
			return err
		}
		plan.Policies = append(plan.Policies, rendered)
	}
	return nil
}

func (p *policy) render(s *scope) (PolicyPlan, error) {
	out := PolicyPlan{Logical: p.logical}
	if err := s.evalAll([]evaluation{{&out.Name, p.name}, {&out.Document, p.document}}); err != nil {
		return out, err
	}
	if p.document != nil {
		out.Name = hashName(out.Document)
	}
	return out, nil
}

func (s *scope) planConfiguration(plan *Plan) (err error) {
	if s.t.kind == Fleet {
		plan.DeviceConfiguration, err = evalPairs(s.t.config, s)
	}
	return err
}
