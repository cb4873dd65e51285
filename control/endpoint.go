package control

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// endpointTypes all lead to the same host (DESIGN.md, decision 14).
var endpointTypes = []string{"iot:Data-ATS", "iot:Data", "iot:CredentialProvider", "iot:Jobs"}

func (s *Server) describeEndpoint(_ context.Context, c *Call, in *struct {
	EndpointType string `json:"endpointType"`
}) (any, error) {
	if in.EndpointType != "" && !slices.Contains(endpointTypes, in.EndpointType) {
		return nil, fault.New(fault.InvalidRequest, "endpointType %q: expected one of %s.", arn.Clip(in.EndpointType, 60), strings.Join(endpointTypes, ", "))
	}
	return struct {
		EndpointAddress string `json:"endpointAddress"`
	}{s.cfg.Endpoint(c.Tenant)}, nil
}
