package control

import (
	"context"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/store"
)

type authorizerName struct {
	AuthorizerName string `json:"authorizerName"`
}

// authorizerAnswer is an entry of lists too.
type authorizerAnswer struct {
	authorizerName
	ARN string `json:"authorizerArn"`
}

func namedAuthorizer(t arn.Tenant, name string) authorizerAnswer {
	return authorizerAnswer{authorizerName{name}, access.AuthorizerARN(t, name)}
}

func (s *Server) createAuthorizer(ctx context.Context, c *Call, in *struct {
	authorizerName
	FunctionARN     string            `json:"authorizerFunctionArn"`
	TokenKeyName    string            `json:"tokenKeyName"`
	Keys            map[string]string `json:"tokenSigningPublicKeys"`
	Status          string            `json:"status"`
	Tags            tagList           `json:"tags"`
	SigningDisabled bool              `json:"signingDisabled"`
	Caching         bool              `json:"enableCachingForHttp"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.CreateAuthorizer(ctx, tx, c.Tenant, &access.Authorizer{
			Name: in.AuthorizerName, FunctionARN: in.FunctionARN, TokenKeyName: in.TokenKeyName, Keys: in.Keys,
			Status: in.Status, SigningDisabled: in.SigningDisabled, Caching: in.Caching, Tags: tags, Created: s.cfg.Now(),
		})
	})
	return namedAuthorizer(c.Tenant, in.AuthorizerName), err
}

type authorizerDescription struct {
	authorizerAnswer
	FunctionARN     string            `json:"authorizerFunctionArn"`
	TokenKeyName    string            `json:"tokenKeyName,omitempty"`
	Keys            map[string]string `json:"tokenSigningPublicKeys"`
	Status          string            `json:"status"`
	Created         seconds           `json:"creationDate"`
	Modified        seconds           `json:"lastModifiedDate"`
	SigningDisabled bool              `json:"signingDisabled"`
	Caching         bool              `json:"enableCachingForHttp"`
}

// authorizer answers with the description of the one that get reads.
func (s *Server) authorizer(ctx context.Context, c *Call, get func(context.Context, store.Tx) (*access.Authorizer, error)) (any, error) {
	var a *access.Authorizer
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		a, err = get(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Description authorizerDescription `json:"authorizerDescription"`
	}{authorizerDescription{
		namedAuthorizer(c.Tenant, a.Name), a.FunctionARN, a.TokenKeyName, filled(a.Keys), a.Status,
		seconds{a.Created}, seconds{a.Modified}, a.SigningDisabled, a.Caching,
	}}, nil
}

func (s *Server) describeAuthorizer(ctx context.Context, c *Call, in *authorizerName) (any, error) {
	return s.authorizer(ctx, c, func(ctx context.Context, tx store.Tx) (*access.Authorizer, error) {
		return access.GetAuthorizer(ctx, tx, c.Tenant, in.AuthorizerName)
	})
}

func (s *Server) updateAuthorizer(ctx context.Context, c *Call, in *struct {
	authorizerName
	FunctionARN  string            `json:"authorizerFunctionArn"`
	TokenKeyName string            `json:"tokenKeyName"`
	Keys         map[string]string `json:"tokenSigningPublicKeys"`
	Status       string            `json:"status"`
	Caching      *bool             `json:"enableCachingForHttp"`
}) (any, error) {
	ch := access.AuthorizerChange{
		FunctionARN: in.FunctionARN, TokenKeyName: in.TokenKeyName, Keys: in.Keys, Status: in.Status, Caching: in.Caching,
	}
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.UpdateAuthorizer(ctx, tx, c.Tenant, in.AuthorizerName, ch, s.cfg.Now())
	})
	return namedAuthorizer(c.Tenant, in.AuthorizerName), err
}

func (s *Server) deleteAuthorizer(ctx context.Context, c *Call, in *authorizerName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.DeleteAuthorizer(ctx, tx, c.Tenant, in.AuthorizerName)
	})
}

func (s *Server) listAuthorizers(ctx context.Context, c *Call, in *struct {
	byMarker
	Status string `json:"status"`
}) (any, error) {
	p, err := s.byName(c, in.byMarker)
	if err != nil {
		return nil, err
	}
	list := []authorizerAnswer{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := access.ListAuthorizers(ctx, tx, c.Tenant, in.Status, p)
		for _, a := range found {
			list = append(list, namedAuthorizer(c.Tenant, a.Name))
		}
		next = after
		return err
	})
	return struct {
		Authorizers []authorizerAnswer `json:"authorizers"`
		NextMarker  string             `json:"nextMarker,omitempty"`
	}{list, s.seal(c, next)}, err
}

func (s *Server) setDefaultAuthorizer(ctx context.Context, c *Call, in *authorizerName) (any, error) {
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.SetDefaultAuthorizer(ctx, tx, c.Tenant, in.AuthorizerName)
	})
	return namedAuthorizer(c.Tenant, in.AuthorizerName), err
}

func (s *Server) describeDefaultAuthorizer(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	return s.authorizer(ctx, c, func(ctx context.Context, tx store.Tx) (*access.Authorizer, error) {
		return access.DefaultAuthorizer(ctx, tx, c.Tenant)
	})
}

func (s *Server) clearDefaultAuthorizer(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.ClearDefaultAuthorizer(ctx, tx, c.Tenant)
	})
}
