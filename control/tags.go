package control

import (
	"context"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
)

type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

type tagList []tag

// byKey gives the tags as a map; a key that stands twice is refused.
func (l tagList) byKey() (map[string]string, error) {
	tags := make(map[string]string, len(l))
	for _, t := range l {
		if _, twice := tags[t.Key]; twice {
			return nil, fault.New(fault.InvalidRequest, "Tag key %q stands twice.", t.Key)
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// A taggable kind of resource: how its tags are read and changed.
type taggable struct {
	read   func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error)
	change func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error
}

// taggables gives the kinds by the word in their ARN (rest-api.md, section
// 7.8). Things and certificates have no tags, as on AWS.
func (s *Server) taggables() map[string]taggable {
	kinds := s.registryTaggables()
	for _, more := range []map[string]taggable{s.ruleTaggables(), accessTaggables()} {
		maps.Copy(kinds, more)
	}
	return kinds
}

func (s *Server) registryTaggables() map[string]taggable {
	return map[string]taggable{
		"cacert": taggableAuthority(),
		"policy": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(tx.Policy(ctx, t, name))(func(r *policy.Record) map[string]string { return r.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return policy.Tag(ctx, tx, t, name, set, remove)
			},
		},
		"provisioningtemplate": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(tx.TemplateRecord(ctx, t, name))(func(r *templates.Record) map[string]string { return r.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return templates.Tag(ctx, tx, t, name, set, remove, s.cfg.Now())
			},
		},
		"thingtype": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(tx.ThingType(ctx, t, name))(func(r *things.Type) map[string]string { return r.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return things.TagType(ctx, tx, t, name, set, remove, s.cfg.Now())
			},
		},
		"thinggroup": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(tx.Group(ctx, t, name))(func(r *things.Group) map[string]string { return r.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return things.TagGroup(ctx, tx, t, name, set, remove, s.cfg.Now())
			},
		},
		"billinggroup": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return tagsOf(tx.BillingGroup(ctx, t, name))(func(r *things.BillingGroup) map[string]string { return r.Tags })
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return things.TagBillingGroup(ctx, tx, t, name, set, remove)
			},
		},
	}
}

// tagsOf takes what a Get answered and gives the record's tags.
func tagsOf[R any](r *R, err error) func(func(*R) map[string]string) (map[string]string, error) {
	return func(tags func(*R) map[string]string) (map[string]string, error) {
		if err != nil {
			return nil, err
		}
		return tags(r), nil
	}
}

// taggable finds the kind and name of a resource of the tenant.
func (s *Server) taggable(t arn.Tenant, resource string) (taggable, string, error) {
	n, err := arn.Parse(resource)
	if err != nil {
		return taggable{}, "", err
	}
	if n.Service != "iot" || n.Tenant() != t {
		return taggable{}, "", noResource(resource)
	}
	kind, ok := s.taggables()[n.Kind]
	if !ok {
		return taggable{}, "", fault.New(fault.InvalidRequest, "Resource %s carries no tags: expected a thing type, a group, a certificate authority, a policy, a provisioning template, a role alias, an authorizer, a rule or a domain configuration.", arn.Clip(resource, 200))
	}
	return kind, n.ID, nil
}

func noResource(resource string) error {
	return fault.New(fault.Missing, "Resource %s does not exist in this account and region.", arn.Clip(resource, 200))
}

type resourceARN struct {
	ResourceARN string `json:"resourceArn"`
}

func (s *Server) tagResource(ctx context.Context, c *Call, in *struct {
	resourceARN
	Tags tagList `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	return s.retag(ctx, c, in.ResourceARN, tags, nil)
}

func (s *Server) untagResource(ctx context.Context, c *Call, in *struct {
	resourceARN
	Keys []string `json:"tagKeys"`
}) (any, error) {
	return s.retag(ctx, c, in.ResourceARN, nil, in.Keys)
}

func (s *Server) retag(ctx context.Context, c *Call, resource string, set map[string]string, remove []string) (any, error) {
	kind, name, err := s.taggable(c.Tenant, resource)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return kind.change(ctx, tx, c.Tenant, name, set, remove)
	})
}

// listTagsForResource gives all tags on one page: there are at most 50.
func (s *Server) listTagsForResource(ctx context.Context, c *Call, in *resourceARN) (any, error) {
	kind, name, err := s.taggable(c.Tenant, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	var tags map[string]string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		tags, err = kind.read(ctx, tx, c.Tenant, name)
		if fault.Is(err, fault.Missing) {
			return noResource(in.ResourceARN)
		}
		return err
	})
	list := tagList{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag{key, tags[key]})
	}
	return struct {
		Tags tagList `json:"tags"`
	}{list}, err
}
