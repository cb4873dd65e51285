package control

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

type thingGroupName struct {
	ThingGroupName string `json:"thingGroupName"`
}

type thingGroupProperties struct {
	Description *string           `json:"thingGroupDescription,omitempty"`
	Payload     *attributePayload `json:"attributePayload,omitempty"`
}

type groupNameAndARN struct {
	Name string `json:"groupName"`
	ARN  string `json:"groupArn"`
}

func named(t arn.Tenant, kind, name string) groupNameAndARN {
	return groupNameAndARN{name, t.Resource(kind, name)}
}

func (s *Server) createThingGroup(ctx context.Context, c *Call, in *struct {
	thingGroupName
	Parent     string               `json:"parentGroupName"`
	Properties thingGroupProperties `json:"thingGroupProperties"`
	Tags       tagList              `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	attributes, _ := in.Properties.Payload.given()
	var g *things.Group
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		g = &things.Group{Name: in.ThingGroupName, Parent: in.Parent, Attributes: attributes, Tags: tags, Created: s.cfg.Now()}
		if in.Properties.Description != nil {
			g.Description = *in.Properties.Description
		}
		return things.CreateGroup(ctx, tx, c.Tenant, g)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		thingGroupName
		ThingGroupARN string `json:"thingGroupArn"`
		ThingGroupID  string `json:"thingGroupId"`
	}{in.thingGroupName, c.Tenant.Resource("thinggroup", g.Name), g.ID}, nil
}

type thingGroupMetadata struct {
	Parent  string            `json:"parentGroupName,omitempty"`
	Path    []groupNameAndARN `json:"rootToParentThingGroups,omitempty"`
	Created seconds           `json:"creationDate"`
}

func (s *Server) describeThingGroup(ctx context.Context, c *Call, in *thingGroupName) (any, error) {
	var up []*things.Group
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		up, err = things.Ancestors(ctx, tx, c.Tenant, in.ThingGroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	g := up[0]
	meta := thingGroupMetadata{Parent: g.Parent, Created: seconds{g.Created}}
	for _, above := range slices.Backward(up[1:]) {
		meta.Path = append(meta.Path, named(c.Tenant, "thinggroup", above.Name))
	}
	// Terraform takes an empty payload for one that somebody added.
	var properties thingGroupProperties
	if len(g.Attributes) > 0 {
		properties.Payload = &attributePayload{Attributes: g.Attributes}
	}
	if g.Description != "" {
		properties.Description = &g.Description
	}
	return struct {
		thingGroupName
		ThingGroupID  string               `json:"thingGroupId"`
		ThingGroupARN string               `json:"thingGroupArn"`
		Version       int64                `json:"version"`
		Properties    thingGroupProperties `json:"thingGroupProperties"`
		Metadata      thingGroupMetadata   `json:"thingGroupMetadata"`
	}{*in, g.ID, c.Tenant.Resource("thinggroup", g.Name), g.Version, properties, meta}, nil
}

type version struct {
	Version int64 `json:"version"`
}

// expectedVersion is what a caller expects of a version: zero when nothing was
// said, and a number that nothing has when zero was.
type expectedVersion int64

func (v *expectedVersion) UnmarshalJSON(text []byte) error {
	err := json.Unmarshal(text, (*int64)(v))
	if *v == 0 {
		*v = -1
	}
	return err
}

func (s *Server) updateThingGroup(ctx context.Context, c *Call, in *struct {
	thingGroupName
	Properties      thingGroupProperties `json:"thingGroupProperties"`
	ExpectedVersion expectedVersion      `json:"expectedVersion"`
}) (any, error) {
	ch := things.GroupChange{Description: in.Properties.Description, ExpectedVersion: int64(in.ExpectedVersion)}
	ch.Attributes, ch.Merge = in.Properties.Payload.given()
	var out version
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out.Version, err = things.UpdateGroup(ctx, tx, c.Tenant, in.ThingGroupName, ch, s.cfg.Now())
		return err
	})
	return out, err
}

func (s *Server) deleteThingGroup(ctx context.Context, c *Call, in *struct {
	thingGroupName
	ExpectedVersion expectedVersion `json:"expectedVersion"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.DeleteGroup(ctx, tx, c.Tenant, in.ThingGroupName, int64(in.ExpectedVersion), s.cfg.Now())
	})
}

type groupFilter struct {
	Parent    string `json:"parentGroup"`
	Prefix    string `json:"namePrefixFilter"`
	Recursive *bool  `json:"recursive"`
}

// listThingGroups filters each page by itself, so that a page may be short.
func (s *Server) listThingGroups(ctx context.Context, c *Call, in *struct {
	byToken
	groupFilter
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	list := []groupNameAndARN{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if in.Parent != "" {
			if _, err := things.Ancestors(ctx, tx, c.Tenant, in.Parent); err != nil {
				return err
			}
		}
		found, after, err := tx.ListGroups(ctx, c.Tenant, p)
		if err != nil {
			return err
		}
		for _, g := range found {
			ok, err := in.accepts(ctx, tx, c.Tenant, g)
			if err != nil {
				return err
			}
			if ok {
				list = append(list, named(c.Tenant, "thinggroup", g.Name))
			}
		}
		next = after
		return nil
	})
	return struct {
		ThingGroups []groupNameAndARN `json:"thingGroups"`
		NextToken   string            `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}

// accepts says whether a group is asked for: all of them, or with recursive
// false only the roots; below a parent its children, or with recursive true all
// that stand there.
func (f groupFilter) accepts(ctx context.Context, tx store.Tx, t arn.Tenant, g *things.Group) (bool, error) {
	if !strings.HasPrefix(g.Name, f.Prefix) {
		return false, nil
	}
	deep := f.Parent == ""
	if f.Recursive != nil {
		deep = *f.Recursive
	}
	switch {
	case !deep:
		return g.Parent == f.Parent, nil
	case f.Parent == "":
		return true, nil
	}
	up, err := things.Ancestors(ctx, tx, t, g.Parent)
	return slices.ContainsFunc(up, func(a *things.Group) bool { return a.Name == f.Parent }), err
}
