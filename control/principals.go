package control

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// certificateARN reads a principal, which is the ARN of a certificate of the
// tenant, and gives its id and its ARN as the store has it.
func certificateARN(t arn.Tenant, principal string) (arn.CertID, string, error) {
	n, err := arn.Parse(principal)
	if err != nil {
		return "", "", err
	}
	if n.Service != "iot" || n.Kind != "cert" {
		return "", "", fault.New(fault.InvalidRequest, "Principal %s: expected the ARN of a certificate.", arn.Clip(principal, 200))
	}
	id, err := arn.ParseCertID(n.ID)
	if err != nil {
		return "", "", err
	}
	if n.Tenant() != t {
		return "", "", fault.New(fault.Missing, "Certificate %s does not exist in this account and region.", arn.Clip(principal, 200))
	}
	return id, t.Cert(id), nil
}

// existing is certificateARN for a certificate that must be there.
func existing(ctx context.Context, tx store.Tx, t arn.Tenant, principal string) (string, error) {
	id, name, err := certificateARN(t, principal)
	if err != nil {
		return "", err
	}
	_, err = certificate(ctx, tx, t, id)
	return name, err
}

type thingPrincipal struct {
	ThingName string `json:"thingName"`
	Principal string `json:"principal"`
	Kind      string `json:"thingPrincipalType"`
}

func (s *Server) attachThingPrincipal(ctx context.Context, c *Call, in *thingPrincipal) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		principal, err := existing(ctx, tx, c.Tenant, in.Principal)
		if err != nil {
			return err
		}
		return things.AttachPrincipal(ctx, tx, c.Tenant, in.ThingName, principal, in.Kind, s.cfg.Now())
	})
}

func (s *Server) detachThingPrincipal(ctx context.Context, c *Call, in *thingPrincipal) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		_, principal, err := certificateARN(c.Tenant, in.Principal)
		if err != nil {
			return err
		}
		if _, err := thing(ctx, tx, c.Tenant, in.ThingName); err != nil {
			return err
		}
		return things.DetachPrincipal(ctx, tx, c.Tenant, in.ThingName, principal, s.cfg.Now())
	})
}

type ofThing struct {
	byToken
	ThingName string `json:"thingName"`
	Kind      string `json:"thingPrincipalType"`
}

// principalsOf gives a page of what is attached to a thing. A page from which
// another kind was left out may be short.
func (s *Server) principalsOf(ctx context.Context, c *Call, in *ofThing) (links []ref.Link, next string, err error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Thing(ctx, c.Tenant, in.ThingName)
		if err != nil {
			return absent(err, "Failed to list principals for thing %s because the thing does not exist in your account", in.ThingName)
		}
		links, next, err = tx.Rights(ctx, c.Tenant, ref.ThingPrincipal, in.ThingName, p)
		return err
	})
	return ofKind(links, in.Kind), s.seal(c, next), err
}

func ofKind(links []ref.Link, kind string) []ref.Link {
	var out []ref.Link
	for _, l := range links {
		if kind == "" || l.Data == kind {
			out = append(out, l)
		}
	}
	return out
}

func (s *Server) listThingPrincipals(ctx context.Context, c *Call, in *ofThing) (any, error) {
	links, next, err := s.principalsOf(ctx, c, in)
	return struct {
		Principals []string `json:"principals"`
		NextToken  string   `json:"nextToken,omitempty"`
	}{names(links, right), next}, err
}

func (s *Server) listThingPrincipalsV2(ctx context.Context, c *Call, in *ofThing) (any, error) {
	links, next, err := s.principalsOf(ctx, c, in)
	type object struct {
		Principal string `json:"principal"`
		Kind      string `json:"thingPrincipalType"`
	}
	list := make([]object, len(links))
	for i, l := range links {
		list[i] = object{l.Right, l.Data}
	}
	return struct {
		Objects   []object `json:"thingPrincipalObjects"`
		NextToken string   `json:"nextToken,omitempty"`
	}{list, next}, err
}

type ofPrincipal struct {
	byToken
	Principal string `json:"principal"`
	Kind      string `json:"thingPrincipalType"`
}

// thingsOf gives a page of the things that a principal is attached to.
func (s *Server) thingsOf(ctx context.Context, c *Call, in *ofPrincipal) (links []ref.Link, next string, err error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		principal, err := existing(ctx, tx, c.Tenant, in.Principal)
		if err != nil {
			return err
		}
		links, next, err = tx.Lefts(ctx, c.Tenant, ref.ThingPrincipal, principal, p)
		return err
	})
	return ofKind(links, in.Kind), s.seal(c, next), err
}

func (s *Server) listPrincipalThings(ctx context.Context, c *Call, in *ofPrincipal) (any, error) {
	links, next, err := s.thingsOf(ctx, c, in)
	return struct {
		Things    []string `json:"things"`
		NextToken string   `json:"nextToken,omitempty"`
	}{names(links, left), next}, err
}

func (s *Server) listPrincipalThingsV2(ctx context.Context, c *Call, in *ofPrincipal) (any, error) {
	links, next, err := s.thingsOf(ctx, c, in)
	type object struct {
		ThingName string `json:"thingName"`
		Kind      string `json:"thingPrincipalType"`
	}
	list := make([]object, len(links))
	for i, l := range links {
		list[i] = object{l.Left, l.Data}
	}
	return struct {
		Objects   []object `json:"principalThingObjects"`
		NextToken string   `json:"nextToken,omitempty"`
	}{list, next}, err
}
