// Package control is the REST control plane: AWS IoT's API over Slipway's
// registry, for the aws command line, the SDKs and Terraform as they are.
//
// A request goes through the same steps whatever it asks for (serve.go): Host
// and Origin, size, route, signature, tenant, role, operation, envelope. The
// operations are data: package model says how each one's request looks and
// what its members may be, operations.go which function answers it. What AWS
// has and Slipway has not yet answers NotImplementedException by name.
//
// Slipway's own operations, under /slipway/, go through the same steps; their
// owners add them with Handle before the server is used.
package control

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/control/internal/model"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
)

// An Issuer makes certificates; it is the one path on which they are made.
type Issuer interface {
	// IssueFromCSR signs a device's own request and stores the certificate,
	// ACTIVE or INACTIVE.
	IssueFromCSR(ctx context.Context, t arn.Tenant, csrPEM string, active bool) (*certs.Certificate, error)
	// IssueKeys makes a key and its certificate.
	IssueKeys(ctx context.Context, t arn.Tenant, active bool) (c *certs.Certificate, keyPEM, pubPEM string, err error)
	// RegisterInline registers one thing as the template says, and gives its
	// certificate and the ARNs of what it is made of, by their logical names.
	RegisterInline(ctx context.Context, t arn.Tenant, templateBody string, parameters map[string]string) (certificatePEM string, arns map[string]string, err error)
	// TemporaryClaim makes a claim for the template that ends within minutes;
	// madeBy is an access key id.
	TemporaryClaim(ctx context.Context, t arn.Tenant, template, madeBy string) (c *certs.Certificate, keyPEM, pubPEM string, expires time.Time, err error)
}

// Bulk works on thing registration tasks.
type Bulk interface {
	// Check refuses a file that is not there.
	Check(ctx context.Context, t arn.Tenant, bucket, key string) error
	// Wake says that a task may have been started.
	Wake()
	// Link gives a URL by which a report can be read for a while.
	Link(ctx context.Context, t arn.Tenant, report string) (string, error)
}

// Domains knows which host name leads where.
type Domains interface {
	// DomainName is the host name of a configuration; one without a name of its
	// own gets one of the server's.
	DomainName(t arn.Tenant, d *access.Domain) string
	// Available says why a tenant may not have a host name, if so: it is one of
	// the server's own, or another tenant's. The empty name is available.
	Available(t arn.Tenant, host string) error
}

// Config is what a Server needs.
type Config struct {
	DB     store.DB
	Keys   tenants.Sealer // opens the secrets of access keys, seals page tokens
	Issuer Issuer
	Bulk   Bulk // nil: tasks are only written down
	// Authorizers judge for TestInvokeAuthorizer; nil: it is not there.
	Authorizers Authorizers
	// Domains knows the names by which devices reach the gateway. Nil: domain
	// configurations are only written down.
	Domains Domains
	// Endpoint gives the host name by which a tenant's devices reach the
	// gateway: what DescribeEndpoint answers. It never changes for a tenant.
	Endpoint func(arn.Tenant) string

	// Deliver posts a confirmation message to the URL of a topic rule
	// destination. Nil: none is sent, and no endpoint can confirm.
	Deliver func(ctx context.Context, t arn.Tenant, url string, message []byte) error

	// Denied records that a caller was refused what its role does not include.
	// Nil: only the log has it. What callers change, DB records: the context
	// of a Handler carries its cause.
	Denied func(ctx context.Context, c trail.Cause, reason string) error

	// Hosts are the names and addresses, without port, by which the control
	// plane may be called besides loopback ones. A page of a stranger that
	// points its own name at us is thus refused.
	Hosts []string
	// Dev takes any access key unseen and makes tenants at first use. The
	// caller sees to it that nobody but this machine reaches the server.
	Dev bool

	// Profile is that of accounts which have none of their own: whether AWS's
	// rate quotas hold. Empty: none.
	Profile tenants.Profile

	Metrics *metrics.Metrics // may be nil

	Log  *slog.Logger     // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand.Reader; for request ids
}

// A Call is one request that was authenticated and allowed.
type Call struct {
	Tenant    arn.Tenant         // the key's account, the signature's region
	Key       *tenants.AccessKey // who asks
	Action    string             // such as iot:CreateThing
	Path      map[string]string  // by the names in the pattern, decoded
	Query     url.Values
	Header    http.Header
	Body      []byte
	RequestID string

	data     bool            // an operation of the data plane
	admitted bool            // the key and the tenant are good
	profile  tenants.Profile // of the tenant, or else of the server
}

// A Handler answers a call. What it returns goes out as JSON, nil as {}, and a
// Raw as it is; an error goes out as fault.Show has it.
type Handler func(ctx context.Context, c *Call) (any, error)

// Raw is an answer that is not JSON.
type Raw struct {
	ContentType string
	Body        []byte
}

// A Server answers the control plane. It is an http.Handler that must see the
// path as it was sent: a ServeMux in front would redirect some names.
type Server struct {
	cfg    Config
	model  *model.Table
	routes router
	hosts  map[string]bool
	quotas quotas
}

// New makes a Server with all operations of AWS's API.
func New(cfg Config) (*Server, error) {
	if cfg.DB == nil || cfg.Keys == nil || cfg.Issuer == nil || cfg.Endpoint == nil {
		return nil, fault.New(fault.Internal, "The control plane needs a store, a sealing key, an issuer and the endpoints' names.")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	table, err := model.New()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, model: table, hosts: map[string]bool{}}
	for _, h := range cfg.Hosts {
		s.hosts[plainHost(h)] = true
	}
	answers := s.operations()
	for i := range model.Operations {
		op := &model.Operations[i]
		var h Handler
		if answer := answers[op.Name]; answer != nil {
			h = answer(op)
		}
		s.Handle(op.Method, op.Path, "iot:"+op.Name, h)
	}
	s.Handle(http.MethodPost, "/", getCallerIdentity, s.sts)
	return s, nil
}

// Handle adds an operation. In path, {name} stands for one segment and {name+}
// for all that follow; action is what a role must allow, such as
// slipway:CreateClaim. A nil handler answers that the operation is not there
// yet. Handle is not to be called once the server is in use.
func (s *Server) Handle(method, path, action string, h Handler) {
	s.routes.add(method, path, &route{action: action, handle: h})
}

// HandleData is Handle for an operation of the data plane, which shares the
// port.
func (s *Server) HandleData(method, path, action string, h Handler) {
	s.routes.add(method, path, &route{action: action, handle: h, data: true})
}
