package control

import (
	"context"
	"strings"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// accessTaggables are the kinds of package access that carry tags.
func accessTaggables() map[string]taggable {
	return map[string]taggable{
		"rolealias": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(access.GetRoleAlias(ctx, tx, t, name))(func(a *access.RoleAlias) map[string]string { return a.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return access.TagRoleAlias(ctx, tx, t, name, set, remove)
			},
		},
		"authorizer": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(access.GetAuthorizer(ctx, tx, t, name))(func(a *access.Authorizer) map[string]string { return a.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return access.TagAuthorizer(ctx, tx, t, name, set, remove)
			},
		},
		"domainconfiguration": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, tailed string) (map[string]string, error) {
				return tagsOf(domainTailed(ctx, tx, t, tailed))(func(d *access.Domain) map[string]string { return d.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, tailed string, set map[string]string, remove []string) error {
				d, err := domainTailed(ctx, tx, t, tailed)
				if err != nil {
					return err
				}
				return access.TagDomain(ctx, tx, t, d.Name, set, remove)
			},
		},
	}
}

// domainTailed finds a domain configuration by what follows the kind in its
// ARN: NAME/TAIL, or NAME alone for those that every account has. With the tail
// of one that was deleted since, there is nothing.
func domainTailed(ctx context.Context, tx store.Tx, t arn.Tenant, tailed string) (*access.Domain, error) {
	name, tail, _ := strings.Cut(tailed, "/")
	d, err := access.GetDomain(ctx, tx, t, name)
	if err == nil && d.Tail != tail {
		return nil, fault.New(fault.Missing, "The domain configuration %s does not exist.", arn.Clip(tailed, 256))
	}
	return d, err
}
