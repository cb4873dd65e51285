package access

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// The words of AWS's model for domain configurations.
const (
	Enabled  = "ENABLED"
	Disabled = "DISABLED"

	Endpoint        = "ENDPOINT"         // one of those that every account has
	AWSManaged      = "AWS_MANAGED"      // under a host name of this server
	CustomerManaged = "CUSTOMER_MANAGED" // a host name and its certificate

	Data      = "DATA"
	ByDefault = "DEFAULT" // port and ALPN decide

	X509       = "AWS_X509"
	CustomX509 = "CUSTOM_AUTH_X509"
	SigV4      = "AWS_SIGV4"
	Custom     = "CUSTOM_AUTH"

	SecureMQTT = "SECURE_MQTT"
	WebSocket  = "MQTT_WSS"
	HTTPS      = "HTTPS"
)

// DataEndpoint is the configuration of the endpoint that devices use unless
// they are told another name.
const DataEndpoint = "iot:Data-ATS"

// A Domain says what a host name serves and to whom.
type Domain struct {
	Name              string                   `json:"name"`
	Tail              string                   `json:"tail,omitempty"`   // ends the ARN; none for an Endpoint
	DomainName        string                   `json:"domain,omitempty"` // only of a CustomerManaged one
	Certificates      []string                 `json:"certificates,omitempty"`
	Validation        string                   `json:"validation,omitempty"`
	Service           string                   `json:"service"`
	Created           time.Time                `json:"created,omitzero"`
	Status            string                   `json:"status"`
	StatusChanged     time.Time                `json:"statusChanged,omitzero"`
	Authorizer        *AuthorizerConfig        `json:"authorizer,omitempty"`
	TLSPolicy         string                   `json:"tlsPolicy"`
	ServerCertificate *ServerCertificateConfig `json:"serverCertificate,omitempty"`
	Authentication    string                   `json:"authentication"`
	Protocol          string                   `json:"protocol"`
	Callback          string                   `json:"callback,omitempty"` // ARN, asked after mutual TLS
	Tags              map[string]string        `json:"tags,omitempty"`
}

// An AuthorizerConfig says which authorizer serves a domain, and whether a
// device may name another.
type AuthorizerConfig struct {
	Name     string `json:"name,omitempty"`
	Override bool   `json:"override,omitempty"`
}

// A ServerCertificateConfig says whether the server staples an OCSP answer, and
// from where.
type ServerCertificateConfig struct {
	OCSP      bool   `json:"ocsp,omitempty"`
	Lambda    string `json:"lambda,omitempty"`
	Responder string `json:"responder,omitempty"`
}

// Type is AWS's domainType.
func (d *Domain) Type() string {
	switch {
	case standing(d.Name) != "":
		return Endpoint
	case d.DomainName == "":
		return AWSManaged
	}
	return CustomerManaged
}

// ARN gives the domain configuration's ARN, which ends in five characters of
// its own unless every account has it (rest-api.md, section 2.1).
func (d *Domain) ARN(t arn.Tenant) string {
	name := d.Name
	if d.Tail != "" {
		name += "/" + d.Tail
	}
	return t.Resource("domainconfiguration", name)
}

// CreateDomain stores a domain configuration, ENABLED as of now. d gives all
// but tail and status; CreateDomain fills these and the defaults.
func CreateDomain(ctx context.Context, s Store, t arn.Tenant, d *Domain, now time.Time) error {
	d.Status, d.StatusChanged, d.Created = Enabled, now, now
	d.Service = cmp.Or(d.Service, Data)
	d.TLSPolicy = cmp.Or(d.TLSPolicy, TLS13From12)
	d.Authentication = cmp.Or(d.Authentication, ByDefault)
	d.Protocol = cmp.Or(d.Protocol, ByDefault)
	d.Tail = ref.ID(t.String(), domains, d.Name, now)[:5]
	if _, err := ref.Retag(ctx, s, t, nil, d.Tags, nil); err != nil {
		return err
	}
	if err := checkHost(d); err != nil {
		return err
	}
	if err := checkDomain(ctx, s, t, d); err != nil {
		return err
	}
	if err := freeHost(ctx, s, t, d); err != nil {
		return err
	}
	return putDomain(ctx, s, t, d, now)
}

func putDomain(ctx context.Context, s Store, t arn.Tenant, d *Domain, now time.Time) error {
	s.Emit(event.Event{Kind: event.DomainChanged, Tenant: t, ID: d.Name, Detail: d.Status, At: now})
	return documents.Put(ctx, s, t, domains, d.Name, d)
}

// freeHost says whether the configuration's name and host are nobody's yet.
func freeHost(ctx context.Context, s Store, t arn.Tenant, d *Domain) error {
	old, err := GetDomain(ctx, s, t, d.Name)
	if err == nil {
		return taken(old.Name, old.ARN(t), "Domain configuration %s already exists.", old.Name)
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	most, err := s.Limit(ctx, t, ref.DomainConfigurations)
	if err != nil {
		return err
	}
	found, err := all[Domain](ctx, s, t, domains)
	if err != nil {
		return err
	}
	made := 0
	for _, other := range found {
		if other.Type() != Endpoint {
			made++
		}
		if d.DomainName != "" && other.DomainName == d.DomainName {
			return taken(other.Name, other.ARN(t), "Domain %s belongs to domain configuration %s already.", d.DomainName, other.Name)
		}
	}
	if made >= most {
		return fault.New(fault.LimitExceeded, "The account has %d domain configurations of its own; the limit is %d.", made, most)
	}
	return nil
}

// GetDomain reads a domain configuration. Those that every account has are
// there without having been made.
func GetDomain(ctx context.Context, s Store, t arn.Tenant, name string) (*Domain, error) {
	d, err := documents.Find[Domain](ctx, s, t, domains, name)
	if service := standing(name); service != "" && fault.Is(err, fault.Missing) {
		return endpoint(name, service), nil
	}
	return d, err
}

// A DomainChange says what UpdateDomain changes; nil and empty members leave
// things as they are.
type DomainChange struct {
	Authorizer        *AuthorizerConfig
	RemoveAuthorizer  bool
	Status            string
	TLSPolicy         string
	ServerCertificate *ServerCertificateConfig
	Authentication    string
	Protocol          string
	Callback          *string
}

// UpdateDomain changes a domain configuration and gives it as it then is. Of
// those that every account has only the TLS policy may change.
func UpdateDomain(ctx context.Context, s Store, t arn.Tenant, name string, ch DomainChange, now time.Time) (*Domain, error) {
	d, err := GetDomain(ctx, s, t, name)
	if err != nil {
		return nil, err
	}
	if d.Type() == Endpoint && ch != (DomainChange{TLSPolicy: ch.TLSPolicy}) {
		return nil, fault.New(fault.InvalidRequest, "Domain configuration %s belongs to the service: only its tlsConfig may change.", name)
	}
	if ch.RemoveAuthorizer && ch.Authorizer != nil {
		return nil, fault.New(fault.InvalidRequest, "authorizerConfig and removeAuthorizerConfig exclude one another.")
	}
	ch.Apply(d)
	if ch.Status != "" && ch.Status != d.Status {
		d.Status, d.StatusChanged = ch.Status, now
	}
	if err := checkDomain(ctx, s, t, d); err != nil {
		return nil, err
	}
	return d, putDomain(ctx, s, t, d, now)
}

// Apply changes all but the status of d.
func (ch DomainChange) Apply(d *Domain) {
	d.TLSPolicy = cmp.Or(ch.TLSPolicy, d.TLSPolicy)
	d.Authentication = cmp.Or(ch.Authentication, d.Authentication)
	d.Protocol = cmp.Or(ch.Protocol, d.Protocol)
	d.ServerCertificate = cmp.Or(ch.ServerCertificate, d.ServerCertificate)
	d.Authorizer = cmp.Or(ch.Authorizer, d.Authorizer)
	if ch.RemoveAuthorizer {
		d.Authorizer = nil
	}
	if ch.Callback != nil {
		d.Callback = *ch.Callback
	}
}

// TagDomain writes the tags of set and removes the keys of remove.
func TagDomain(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	d, err := GetDomain(ctx, s, t, name)
	if err != nil {
		return err
	}
	if d.Tags, err = ref.Retag(ctx, s, t, d.Tags, set, remove); err != nil {
		return err
	}
	return documents.Put(ctx, s, t, domains, name, d)
}

// DeleteDomain removes a domain configuration that is DISABLED. AWS wants those
// without a name of their own to have been so for seven days; Slipway does not.
func DeleteDomain(ctx context.Context, s Store, t arn.Tenant, name string, now time.Time) error {
	d, err := GetDomain(ctx, s, t, name)
	if err != nil {
		return err
	}
	if d.Type() == Endpoint {
		return fault.New(fault.InvalidRequest, "Domain configuration %s belongs to the service and cannot be deleted.", name)
	}
	if d.Status != Disabled {
		return fault.New(fault.InvalidRequest, "Domain configuration %s is ENABLED; it must be DISABLED before it can be deleted.", name)
	}
	s.Emit(event.Event{Kind: event.DomainChanged, Tenant: t, ID: name, Detail: event.Deleted, At: now})
	return s.DeleteDocument(ctx, t, domains, name)
}

// Placed gives the domain configurations that somebody made or changed: those
// that decide about connections.
func Placed(ctx context.Context, s Store, t arn.Tenant) ([]*Domain, error) {
	return all[Domain](ctx, s, t, domains)
}

// Domains gives all domain configurations, also those that every account has,
// by name.
func Domains(ctx context.Context, s Store, t arn.Tenant) ([]*Domain, error) {
	found, err := all[Domain](ctx, s, t, domains)
	if err != nil {
		return nil, err
	}
	for name, service := range endpoints {
		stored := func(d *Domain) bool { return d.Name == name }
		if !slices.ContainsFunc(found, stored) {
			found = append(found, endpoint(name, service))
		}
	}
	slices.SortFunc(found, func(a, b *Domain) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}
