package server

import (
	"context"

	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/gateway"
)

// previewTemplate: POST /slipway/templates/{name}/preview {parameters,
// templateBody, certificate}. It writes nothing and calls no function.
func (s *Server) previewTemplate(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Parameters   map[string]string `json:"parameters"`
		TemplateBody string            `json:"templateBody"`
		Certificate  string            `json:"certificate"` // or signing request, PEM, for a template of type JITP
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	return s.provision.Preview(ctx, c.Tenant, c.Path["name"], in.TemplateBody, in.Parameters, in.Certificate)
}

// explainPolicy: POST /slipway/policy/explain {action, resource, certificateId,
// clientId, sourceIp, topic}: which statement decides, by the engine that
// enforces.
func (s *Server) explainPolicy(ctx context.Context, c *control.Call) (any, error) {
	var in gateway.Question
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	return s.gateway.Explain(ctx, c.Tenant, in)
}
