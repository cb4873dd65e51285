package control

import "context"

// registerThing is the door for one thing at a time: the provisioning engine,
// with the caller's own template.
func (s *Server) registerThing(ctx context.Context, c *Call, in *struct {
	TemplateBody string            `json:"templateBody"`
	Parameters   map[string]string `json:"parameters"`
}) (any, error) {
	pem, arns, err := s.cfg.Issuer.RegisterInline(ctx, c.Tenant, in.TemplateBody, in.Parameters)
	if err != nil {
		return nil, err
	}
	return struct {
		PEM  string            `json:"certificatePem,omitempty"`
		ARNs map[string]string `json:"resourceArns"`
	}{pem, arns}, nil
}
