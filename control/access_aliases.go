package control

import (
	"context"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

type roleAliasName struct {
	RoleAlias string `json:"roleAlias"`
}

type roleAliasAnswer struct {
	roleAliasName
	ARN string `json:"roleAliasArn"`
}

func namedAlias(t arn.Tenant, name string) roleAliasAnswer {
	return roleAliasAnswer{roleAliasName{name}, access.RoleAliasARN(t, name)}
}

func (s *Server) createRoleAlias(ctx context.Context, c *Call, in *struct {
	roleAliasName
	RoleARN string  `json:"roleArn"`
	Seconds int     `json:"credentialDurationSeconds"`
	Tags    tagList `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.CreateRoleAlias(ctx, tx, c.Tenant, &access.RoleAlias{
			Name: in.RoleAlias, RoleARN: in.RoleARN, Seconds: in.Seconds, Tags: tags, Created: s.cfg.Now(),
		})
	})
	return namedAlias(c.Tenant, in.RoleAlias), err
}

func (s *Server) describeRoleAlias(ctx context.Context, c *Call, in *roleAliasName) (any, error) {
	var a *access.RoleAlias
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		a, err = access.GetRoleAlias(ctx, tx, c.Tenant, in.RoleAlias)
		return err
	})
	if err != nil {
		return nil, err
	}
	type description struct {
		roleAliasAnswer
		RoleARN  string  `json:"roleArn"`
		Owner    string  `json:"owner"`
		Seconds  int     `json:"credentialDurationSeconds"`
		Created  seconds `json:"creationDate"`
		Modified seconds `json:"lastModifiedDate"`
	}
	return struct {
		Description description `json:"roleAliasDescription"`
	}{description{
		namedAlias(c.Tenant, a.Name), a.RoleARN, c.Tenant.Account, a.Seconds, seconds{a.Created}, seconds{a.Modified},
	}}, nil
}

func (s *Server) updateRoleAlias(ctx context.Context, c *Call, in *struct {
	roleAliasName
	RoleARN string `json:"roleArn"`
	Seconds int    `json:"credentialDurationSeconds"`
}) (any, error) {
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.UpdateRoleAlias(ctx, tx, c.Tenant, in.RoleAlias, in.RoleARN, in.Seconds, s.cfg.Now())
	})
	return namedAlias(c.Tenant, in.RoleAlias), err
}

func (s *Server) deleteRoleAlias(ctx context.Context, c *Call, in *roleAliasName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return access.DeleteRoleAlias(ctx, tx, c.Tenant, in.RoleAlias)
	})
}

func (s *Server) listRoleAliases(ctx context.Context, c *Call, in *byMarker) (any, error) {
	p, err := s.byName(c, *in)
	if err != nil {
		return nil, err
	}
	list := []string{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := access.ListRoleAliases(ctx, tx, c.Tenant, p)
		for _, a := range found {
			list = append(list, a.Name)
		}
		next = after
		return err
	})
	return struct {
		RoleAliases []string `json:"roleAliases"`
		NextMarker  string   `json:"nextMarker,omitempty"`
	}{list, s.seal(c, next)}, err
}

// byName is the page of a list that runs by name, upwards unless the caller
// wants it otherwise.
func (s *Server) byName(c *Call, in byMarker) (ref.Page, error) {
	p, err := s.markerPage(c, in)
	p.Descending = in.AscendingOrder != nil && !*in.AscendingOrder
	return p, err
}
