package access

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// endpoints are the domain configurations that every account has, with what
// they serve (rest-api.md, section 7.6).
var endpoints = map[string]string{
	DataEndpoint:             Data,
	"iot:CredentialProvider": "CREDENTIAL_PROVIDER",
	"iot:Jobs":               "JOBS",
}

// standing gives what a configuration that every account has serves; empty for
// other names.
func standing(name string) string { return endpoints[name] }

func endpoint(name, service string) *Domain {
	return &Domain{
		Name: name, Service: service, Status: Enabled,
		TLSPolicy: TLS13From12, Authentication: ByDefault, Protocol: ByDefault,
	}
}

// AWS's TLS policies (device-gateway.md, section 2.1).
const (
	TLS13From12 = "IoTSecurityPolicy_TLS13_1_2_2022_10" // of new domains
	TLS13       = "IoTSecurityPolicy_TLS13_1_3_2022_10"
	TLS12       = "IoTSecurityPolicy_TLS12_1_2_2022_10"
	TLS12From10 = "IoTSecurityPolicy_TLS12_1_0_2016_01"
	TLS12Old    = "IoTSecurityPolicy_TLS12_1_0_2015_01"
	TLS13FIPS   = "IoTSecurityPolicy_TLS13_1_2_2022_01"
)

var tlsPolicies = []string{TLS13From12, TLS13, TLS12, TLS12From10, TLS12Old, TLS13FIPS}

// protocols gives which application protocols go with which authentication
// (device-gateway.md, section 1.1).
var protocols = map[string][]string{
	ByDefault:  {ByDefault},
	X509:       {SecureMQTT, HTTPS},
	CustomX509: {SecureMQTT, HTTPS},
	SigV4:      {WebSocket, HTTPS},
	Custom:     {SecureMQTT, WebSocket, HTTPS},
}

// hostForm is a host name of at least two labels (RFC 1123, section 2.1), in
// lower case as SNI is compared.
var hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkHost says whether domain name and certificate belong together, and puts
// the name into lower case.
func checkHost(d *Domain) error {
	if d.DomainName == "" {
		if len(d.Certificates) > 0 || d.Validation != "" {
			return fault.New(fault.InvalidRequest, "serverCertificateArns and validationCertificateArn go with a domainName, which is not given.")
		}
		return nil
	}
	d.DomainName = strings.ToLower(d.DomainName)
	if !hostForm.MatchString(d.DomainName) {
		return fault.New(fault.InvalidRequest, "domainName %q is not a fully qualified host name.", arn.Clip(d.DomainName, 253))
	}
	if len(d.Certificates) == 0 {
		return fault.New(fault.InvalidRequest, "serverCertificateArns must hold the certificate of domain %s.", d.DomainName)
	}
	return nil
}

// checkDomain says what is wrong with what may change in a domain
// configuration.
func checkDomain(ctx context.Context, s Store, t arn.Tenant, d *Domain) error {
	if !slices.Contains(tlsPolicies, d.TLSPolicy) {
		return fault.New(fault.InvalidRequest, "Security policy %q does not exist: expected one of %s.", arn.Clip(d.TLSPolicy, 128), strings.Join(tlsPolicies, ", "))
	}
	if allowed := protocols[d.Authentication]; !slices.Contains(allowed, d.Protocol) {
		return fault.New(fault.InvalidRequest, "authenticationType %s does not go with applicationProtocol %s: expected %s.", d.Authentication, d.Protocol, strings.Join(allowed, " or "))
	}
	if d.Authorizer == nil || d.Authorizer.Name == "" {
		return nil
	}
	_, err := GetAuthorizer(ctx, s, t, d.Authorizer.Name)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.InvalidRequest, err, "Authorizer %s, which authorizerConfig names, does not exist.", d.Authorizer.Name)
	}
	return err
}
