package server

import (
	"context"
	"maps"

	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
)

type codeItem struct {
	Code        string            `json:"userCode"`
	Fingerprint string            `json:"fingerprint"`
	About       map[string]string `json:"about"`
	From        string            `json:"from"`
	State       string            `json:"state"`
	Template    string            `json:"templateName,omitempty"`
	By          string            `json:"by,omitempty"`
	Created     float64           `json:"creationDate"`
	Expires     float64           `json:"expiration"`
}

func codeItemOf(d *provision.DeviceCode) codeItem {
	about := map[string]string{}
	maps.Copy(about, d.Said)
	return codeItem{d.Code, d.Key, about, d.From, string(d.State), d.Template, d.By, seconds(d.Created), seconds(d.Expires)}
}

// listCodes: GET /slipway/device-codes.
func (s *Server) listCodes(ctx context.Context, c *control.Call) (any, error) {
	codes, err := s.issuer.Codes(ctx, c.Tenant)
	out := struct {
		Codes []codeItem `json:"deviceCodes"`
	}{[]codeItem{}}
	for _, d := range codes {
		out.Codes = append(out.Codes, codeItemOf(d))
	}
	return out, err
}

// approveCode: POST /slipway/device-codes/{code}/approve {templateName,
// fingerprint}. An installer approves for the templates of the key alone.
func (s *Server) approveCode(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Template    string `json:"templateName"`
		Fingerprint string `json:"fingerprint"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if in.Template == "" {
		return nil, fault.New(fault.InvalidRequest, "templateName is missing: the template that the device may use.")
	}
	if !c.Key.May(c.Action, in.Template) {
		return nil, fault.New(fault.AccessDenied, "The key %s may not approve devices for template %s: it is not one of the key's templates.", c.Key.ID, in.Template)
	}
	return s.decide(ctx, c, provision.Decision{Approve: true, Template: in.Template, Key: in.Fingerprint})
}

// denyCode: POST /slipway/device-codes/{code}/deny {fingerprint}.
func (s *Server) denyCode(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Fingerprint string `json:"fingerprint"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	return s.decide(ctx, c, provision.Decision{Key: in.Fingerprint})
}

// decide holds who guesses codes back, whoever it is.
func (s *Server) decide(ctx context.Context, c *control.Call, n provision.Decision) (any, error) {
	if !s.guesses.left(c.Key.ID, s.cfg.Now()) {
		return nil, fault.New(fault.Throttled, "Too many wrong codes; wait a minute.")
	}
	n.Code, n.By = c.Path["code"], c.Key.ID
	d, err := s.issuer.Decide(ctx, c.Tenant, n)
	if fault.Is(err, fault.Missing) && n.Code != "" {
		s.guesses.take(c.Key.ID, s.cfg.Now())
	}
	if err != nil {
		return nil, err
	}
	return codeItemOf(d), nil
}
