package control

import (
	"cmp"
	"context"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/store"
)

type domainName struct {
	Name string `json:"domainConfigurationName"`
}

type domainAnswer struct {
	domainName
	ARN string `json:"domainConfigurationArn"`
}

func namedDomain(t arn.Tenant, d *access.Domain) domainAnswer {
	return domainAnswer{domainName{d.Name}, d.ARN(t)}
}

type authorizerConfig struct {
	Name     string `json:"defaultAuthorizerName,omitempty"`
	Override bool   `json:"allowAuthorizerOverride"`
}

type serverCertificateConfig struct {
	OCSP      bool   `json:"enableOCSPCheck"`
	Lambda    string `json:"ocspLambdaArn,omitempty"`
	Responder string `json:"ocspAuthorizedResponderArn,omitempty"`
}

type clientCertificateConfig struct {
	Callback string `json:"clientCertificateCallbackArn"`
}

type tlsConfig struct {
	Policy string `json:"securityPolicy"`
}

// domainMembers are those that creating, describing and updating share.
type domainMembers struct {
	Authorizer        *authorizerConfig        `json:"authorizerConfig,omitempty"`
	TLS               tlsConfig                `json:"tlsConfig"`
	ServerCertificate *serverCertificateConfig `json:"serverCertificateConfig,omitempty"`
	Authentication    string                   `json:"authenticationType"`
	Protocol          string                   `json:"applicationProtocol"`
	ClientCertificate *clientCertificateConfig `json:"clientCertificateConfig,omitempty"`
}

// change gives the members as what they change.
func (m domainMembers) change() access.DomainChange {
	ch := access.DomainChange{
		Authorizer:        (*access.AuthorizerConfig)(m.Authorizer),
		TLSPolicy:         m.TLS.Policy,
		ServerCertificate: (*access.ServerCertificateConfig)(m.ServerCertificate),
		Authentication:    m.Authentication,
		Protocol:          m.Protocol,
	}
	if m.ClientCertificate != nil {
		ch.Callback = &m.ClientCertificate.Callback
	}
	return ch
}

func membersOfDomain(d *access.Domain) domainMembers {
	m := domainMembers{
		Authorizer:        (*authorizerConfig)(d.Authorizer),
		TLS:               tlsConfig{d.TLSPolicy},
		ServerCertificate: (*serverCertificateConfig)(d.ServerCertificate),
		Authentication:    d.Authentication,
		Protocol:          d.Protocol,
	}
	if d.Callback != "" {
		m.ClientCertificate = &clientCertificateConfig{d.Callback}
	}
	return m
}

func (s *Server) createDomain(ctx context.Context, c *Call, in *struct {
	domainName
	domainMembers
	DomainName   string   `json:"domainName"`
	Certificates []string `json:"serverCertificateArns"`
	Validation   string   `json:"validationCertificateArn"`
	Service      string   `json:"serviceType"`
	Tags         tagList  `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	if s.cfg.Domains != nil {
		if err := s.cfg.Domains.Available(c.Tenant, in.DomainName); err != nil {
			return nil, err
		}
	}
	var d *access.Domain
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		d = &access.Domain{
			Name: in.Name, DomainName: in.DomainName, Certificates: in.Certificates,
			Validation: in.Validation, Service: in.Service, Tags: tags,
		}
		in.change().Apply(d)
		return access.CreateDomain(ctx, tx, c.Tenant, d, s.cfg.Now())
	})
	if err != nil {
		return nil, err
	}
	return namedDomain(c.Tenant, d), nil
}

type serverCertificate struct {
	ARN    string `json:"serverCertificateArn"`
	Status string `json:"serverCertificateStatus"`
}

// domainName is the host name of a configuration: its own, or the one that the
// server made for it.
func (s *Server) domainName(t arn.Tenant, d *access.Domain) string {
	if s.cfg.Domains == nil {
		return cmp.Or(d.DomainName, s.cfg.Endpoint(t))
	}
	return s.cfg.Domains.DomainName(t, d)
}

func (s *Server) describeDomain(ctx context.Context, c *Call, in *domainName) (any, error) {
	var d *access.Domain
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		d, err = access.GetDomain(ctx, tx, c.Tenant, in.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	certificates := []serverCertificate{}
	for _, name := range d.Certificates {
		certificates = append(certificates, serverCertificate{name, "VALID"})
	}
	return struct {
		domainAnswer
		domainMembers
		DomainName    string              `json:"domainName"`
		Certificates  []serverCertificate `json:"serverCertificates"`
		Status        string              `json:"domainConfigurationStatus"`
		Service       string              `json:"serviceType"`
		Type          string              `json:"domainType"`
		StatusChanged seconds             `json:"lastStatusChangeDate,omitzero"`
	}{
		namedDomain(c.Tenant, d), membersOfDomain(d), s.domainName(c.Tenant, d),
		certificates, d.Status, d.Service, d.Type(), seconds{d.StatusChanged},
	}, nil
}

func (s *Server) updateDomain(ctx context.Context, c *Call, in *struct {
	domainName
	domainMembers
	Status           string `json:"domainConfigurationStatus"`
	RemoveAuthorizer bool   `json:"removeAuthorizerConfig"`
}) (any, error) {
	ch := in.change()
	ch.Status, ch.RemoveAuthorizer = in.Status, in.RemoveAuthorizer
	var d *access.Domain
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		d, err = access.UpdateDomain(ctx, tx, c.Tenant, in.Name, ch, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return namedDomain(c.Tenant, d), nil
}

func (s *Server) deleteDomain(ctx context.Context, c *Call, in *domainName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.DeleteDomain(ctx, tx, c.Tenant, in.Name, s.cfg.Now())
	})
}

// listDomains pages over the few configurations that an account has.
func (s *Server) listDomains(ctx context.Context, c *Call, in *struct {
	byMarker
	Service string `json:"serviceType"`
}) (any, error) {
	p, err := s.markerPage(c, in.byMarker)
	if err != nil {
		return nil, err
	}
	type summary struct {
		domainAnswer
		Service string `json:"serviceType"`
	}
	all := map[string]summary{}
	var names []string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, err := access.Domains(ctx, tx, c.Tenant)
		for _, d := range found {
			if in.Service == "" || in.Service == d.Service {
				all[d.Name] = summary{namedDomain(c.Tenant, d), d.Service}
				names = append(names, d.Name)
			}
		}
		return err
	})
	names, next := pageOf(names, p)
	list := []summary{}
	for _, name := range names {
		list = append(list, all[name])
	}
	return struct {
		Domains    []summary `json:"domainConfigurations"`
		NextMarker string    `json:"nextMarker,omitempty"`
	}{list, s.seal(c, next)}, err
}
