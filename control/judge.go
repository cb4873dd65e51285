package control

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// A suspect is a connection that somebody asks about: what its policies would
// be bound to at CONNECT.
type suspect struct {
	tenant    arn.Tenant
	principal string
	cert      *certs.Certificate
	clientID  string
	thing     *things.Thing
	policies  []*policy.Record // in force, each once, those of the certificate first
}

// principalOrPool is how requests name who is asked about.
type principalOrPool struct {
	Principal string `json:"principal"`
	Pool      string `json:"cognitoIdentityPoolId"`
}

// check refuses identities, which have no door here.
func (p principalOrPool) check() error {
	if p.Pool != "" || p.Principal != "" && !strings.HasPrefix(p.Principal, "arn:") {
		return fault.New(fault.NotImplemented, "Cognito identities are not implemented by Slipway; principal takes the ARN of a certificate.")
	}
	return nil
}

// suspect reads the certificate, its thing and the policies in force, as the
// gateway does.
func (s *Server) suspect(ctx context.Context, tx store.Tx, t arn.Tenant, principal, clientID string) (*suspect, error) {
	id, name, err := certificateARN(t, principal)
	if err != nil {
		return nil, err
	}
	u := &suspect{tenant: t, principal: name, clientID: clientID}
	if u.cert, err = certificate(ctx, tx, t, id); err != nil {
		return nil, err
	}
	a, err := things.OfConnection(ctx, tx, t, name, clientID)
	if err != nil {
		return nil, err
	}
	if err := u.collect(ctx, tx, name); err != nil || a.Thing == nil {
		return u, err
	}
	u.thing = a.Thing
	return u, u.collectGroups(ctx, tx, a.Thing.Name)
}

// collect adds the policies of a target.
func (u *suspect) collect(ctx context.Context, tx store.Tx, target string) error {
	names, _, err := policy.AttachedTo(ctx, tx, u.tenant, target, ref.All)
	if err != nil {
		return err
	}
	return u.add(ctx, tx, names)
}

func (u *suspect) collectGroups(ctx context.Context, tx store.Tx, thing string) error {
	groups, err := things.Lineage(ctx, tx, u.tenant, thing)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := u.collect(ctx, tx, u.tenant.Resource("thinggroup", g)); err != nil {
			return err
		}
	}
	return nil
}

func (u *suspect) add(ctx context.Context, tx store.Tx, names []string) error {
	for _, name := range names {
		if slices.ContainsFunc(u.policies, func(r *policy.Record) bool { return r.Name == name }) {
			continue
		}
		r, err := tx.Policy(ctx, u.tenant, name)
		if err != nil {
			return absent(err, "Policy %s does not exist.", name)
		}
		u.policies = append(u.policies, r)
	}
	return nil
}

// bind makes the rights that the connection would have. Without a client id it
// has what HTTPS has: no thing.
func (u *suspect) bind() (*policy.Bound, error) {
	set := make([]policy.Named, len(u.policies))
	for i, r := range u.policies {
		var err error
		if set[i], err = r.Ready(); err != nil {
			return nil, err
		}
	}
	c := policy.Context{
		Tenant: u.tenant, ClientID: u.clientID, HasClientID: u.clientID != "",
		CertificateID: string(u.cert.ID), Certificate: leaf(u.cert),
	}
	if u.thing != nil {
		c.Thing = &policy.Thing{Name: u.thing.Name, Type: u.thing.Type, Attributes: u.thing.Attributes, Attached: true}
	}
	return policy.Bind(set, c), nil
}

// leaf is the certificate as policies know it; nil leaves its variables
// without value.
func leaf(c *certs.Certificate) *x509.Certificate {
	block, _ := pem.Decode([]byte(c.PEM))
	if block == nil {
		return nil
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return parsed
}

type effectivePolicy struct {
	Name     string `json:"policyName"`
	ARN      string `json:"policyArn"`
	Document string `json:"policyDocument"`
}

// getEffectivePolicies gives what is in force when the principal connects as
// the thing, or the policies of the thing's groups when no principal is named.
func (s *Server) getEffectivePolicies(ctx context.Context, c *Call, in *struct {
	principalOrPool
	thingName
}) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Principal == "" && in.ThingName == "" {
		return nil, fault.New(fault.InvalidRequest, "principal or thingName must be given.")
	}
	list := []effectivePolicy{}
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		u, err := s.effective(ctx, tx, c.Tenant, in.Principal, in.ThingName)
		if err != nil {
			return err
		}
		for _, r := range u.policies {
			e := effectivePolicy{Name: r.Name, ARN: c.Tenant.Policy(r.Name)}
			if v := r.Version(r.Default); v != nil {
				e.Document = v.Document
			}
			list = append(list, e)
		}
		return nil
	})
	return struct {
		Policies []effectivePolicy `json:"effectivePolicies"`
	}{list}, err
}

func (s *Server) effective(ctx context.Context, tx store.Tx, t arn.Tenant, principal, name string) (*suspect, error) {
	if name != "" {
		if _, err := thing(ctx, tx, t, name); err != nil {
			return nil, err
		}
	}
	if principal != "" {
		return s.suspect(ctx, tx, t, principal, name)
	}
	u := &suspect{tenant: t}
	return u, u.collectGroups(ctx, tx, name)
}
