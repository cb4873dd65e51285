package server

import (
	"context"
	"maps"
	"net"
	"slices"

	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/templates"
)

// createDevice: POST /slipway/devices {thingName, thingTypeName, attributes,
// thingGroups, policies, policyDocuments, certificateSigningRequest, renew}.
// The device's key never comes here.
func (s *Server) createDevice(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		ThingName       string            `json:"thingName"`
		ThingTypeName   string            `json:"thingTypeName"`
		Attributes      map[string]string `json:"attributes"`
		ThingGroups     []string          `json:"thingGroups"`
		Policies        []string          `json:"policies"`
		PolicyDocuments map[string]string `json:"policyDocuments"`
		CSR             string            `json:"certificateSigningRequest"`
		Renew           bool              `json:"renew"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	n := provision.NewDevice{CSR: in.CSR, Renew: in.Renew, Thing: templates.ThingPlan{
		Name: in.ThingName, Type: in.ThingTypeName, TypeGiven: in.ThingTypeName != "",
		Attributes: in.Attributes, AttributesGiven: len(in.Attributes) > 0,
		Groups: in.ThingGroups, GroupsGiven: len(in.ThingGroups) > 0,
	}}
	for _, name := range in.Policies {
		n.Policies = append(n.Policies, templates.PolicyPlan{Name: name, Document: in.PolicyDocuments[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(in.PolicyDocuments)) {
		if !slices.Contains(in.Policies, name) {
			return nil, fault.New(fault.InvalidRequest, "policyDocuments has policy %q, which policies does not name.", name)
		}
	}
	cert, existed, err := s.issuer.Device(ctx, c.Tenant, n)
	if err != nil {
		return nil, err
	}
	return struct {
		ThingName      string `json:"thingName"`
		ThingARN       string `json:"thingArn"`
		CertificateID  string `json:"certificateId"`
		CertificateARN string `json:"certificateArn"`
		CertificatePEM string `json:"certificatePem"`
		Existed        bool   `json:"existed"` // an earlier request with this key made it
	}{in.ThingName, c.Tenant.Thing(in.ThingName), string(cert.ID), c.Tenant.Cert(cert.ID), cert.PEM, existed}, nil
}

// describeEndpoints: GET /slipway/endpoints. What a device of the account has
// to know to connect: names, ports and the root to trust.
func (s *Server) describeEndpoints(_ context.Context, c *control.Call) (any, error) {
	return struct {
		Host   string `json:"endpointAddress"`
		MQTT   string `json:"mqttPort"`
		RootCA string `json:"rootCa"`
	}{s.hosts.Endpoint(c.Tenant), portOf(s.address("mqtt")), string(s.ca.ServerRootPEM())}, nil
}

// portOf is the port of an address of ours.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
