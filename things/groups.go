package things

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// CreateGroup makes a static thing group. g gives name, description, parent,
// attributes, tags and the moment; CreateGroup fills ID and version. The same
// content again succeeds and leaves g as stored, other content is
// fault.Exists.
func CreateGroup(ctx context.Context, s Store, t arn.Tenant, g *Group) error {
	if err := checkName("Thing group name", g.Name); err != nil {
		return err
	}
	g.Attributes = nextAttributes(nil, g.Attributes, false)
	if err := checkAttributes(ctx, s, t, g.Attributes, ref.GroupAttributes, ""); err != nil {
		return err
	}
	if _, err := ref.Retag(ctx, s, t, nil, g.Tags, nil); err != nil {
		return err
	}
	old, err := s.Group(ctx, t, g.Name)
	if err == nil {
		if old.Description != g.Description || old.Parent != g.Parent || !maps.Equal(old.Attributes, g.Attributes) {
			return exists(t, "Thing Group", "thinggroup", g.Name)
		}
		*g = *old
		return nil
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	above, err := Ancestors(ctx, s, t, g.Parent)
	if fault.Is(err, fault.Missing) { // AWS's model has no ResourceNotFoundException here
		return fault.Wrap(fault.InvalidRequest, err, "Parent thing group %s does not exist.", g.Parent)
	}
	if err != nil {
		return err
	}
	depth, err := s.Limit(ctx, t, ref.GroupDepth)
	if err != nil {
		return err
	}
	if len(above)+1 > depth {
		return fault.New(fault.InvalidRequest, "Thing group %s would stand %d levels deep; the limit is %d.", g.Name, len(above)+1, depth)
	}
	if err := checkRoom(ctx, s, t, g.Parent); err != nil {
		return err
	}
	g.ID, g.Version = ref.ID(t.String(), "thinggroup", g.Name, g.Created), 1
	return putGroup(ctx, s, t, g, event.Created, g.Created)
}

// checkRoom holds a parent to the number of groups that may stand directly
// below it.
func checkRoom(ctx context.Context, s Store, t arn.Tenant, parent string) error {
	if parent == "" {
		return nil
	}
	most, err := s.Limit(ctx, t, ref.GroupChildren)
	if err != nil {
		return err
	}
	children := 0
	err = eachGroup(ctx, s, t, func(g *Group) {
		if g.Parent == parent {
			children++
		}
	})
	if err == nil && children >= most {
		err = fault.New(fault.InvalidRequest, "Thing group %s has %d child groups; the limit is %d.", parent, children, most)
	}
	return err
}

// Ancestors gives the group and all that stand above it, itself first. An
// empty name has none; one that does not exist is fault.Missing.
func Ancestors(ctx context.Context, s Store, t arn.Tenant, name string) ([]*Group, error) {
	var up []*Group
	for name != "" && len(up) < deepest {
		g, err := s.Group(ctx, t, name)
		if err != nil {
			return nil, missing(err, "Thing group %s does not exist.", name)
		}
		up = append(up, g)
		name = g.Parent
	}
	return up, nil
}

// Descendants gives the names of a group and of all that stand below it, in
// order.
func Descendants(ctx context.Context, s Store, t arn.Tenant, name string) ([]string, error) {
	children := map[string][]string{}
	err := eachGroup(ctx, s, t, func(g *Group) { children[g.Parent] = append(children[g.Parent], g.Name) })
	if err != nil {
		return nil, err
	}
	found := []string{name}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	slices.Sort(found)
	return found, nil
}

func eachGroup(ctx context.Context, s Store, t arn.Tenant, do func(*Group)) error {
	for p := ref.All; ; {
		groups, next, err := s.ListGroups(ctx, t, p)
		if err != nil {
			return err
		}
		for _, g := range groups {
			do(g)
		}
		if next == "" {
			return nil
		}
		p.After = next
	}
}

// A GroupChange is what UpdateGroup does; nil members change nothing.
type GroupChange struct {
	Description     *string
	Attributes      map[string]string
	Merge           bool
	ExpectedVersion int64
}

// UpdateGroup changes a group and gives its new version. The parent is fixed.
func UpdateGroup(ctx context.Context, s Store, t arn.Tenant, name string, ch GroupChange, now time.Time) (int64, error) {
	g, err := s.Group(ctx, t, name)
	if err != nil {
		return 0, missing(err, "Thing group %s does not exist.", name)
	}
	if err := checkVersion("thing group", name, ch.ExpectedVersion, g.Version); err != nil {
		return 0, err
	}
	if ch.Description != nil {
		g.Description = *ch.Description
	}
	if ch.Attributes != nil {
		g.Attributes = nextAttributes(g.Attributes, ch.Attributes, ch.Merge)
	}
	if err := checkAttributes(ctx, s, t, g.Attributes, ref.GroupAttributes, ""); err != nil {
		return 0, err
	}
	g.Version++
	return g.Version, putGroup(ctx, s, t, g, event.Updated, now)
}

// TagGroup writes the tags of set and removes the keys of remove.
func TagGroup(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string, now time.Time) error {
	g, err := s.Group(ctx, t, name)
	if err != nil {
		return missing(err, "Thing group %s does not exist.", name)
	}
	if g.Tags, err = ref.Retag(ctx, s, t, g.Tags, set, remove); err != nil {
		return err
	}
	return putGroup(ctx, s, t, g, "", now)
}

// DeleteGroup removes a group that has no child; its members and policies are
// let go. An absent group is deleted already.
func DeleteGroup(ctx context.Context, s Store, t arn.Tenant, name string, expectedVersion int64, now time.Time) error {
	g, err := s.Group(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkVersion("thing group", name, expectedVersion, g.Version); err != nil {
		return err
	}
	if err := checkChildless(ctx, s, t, name); err != nil {
		return err
	}
	if err := empty(ctx, s, t, ref.GroupThing, name, func(thing string) { left(s, t, name, thing, Gone{Group: g.ID}, now) }); err != nil {
		return err
	}
	if err := loosen(ctx, s, t, t.Resource("thinggroup", name), now); err != nil {
		return err
	}
	if err := s.DeleteGroup(ctx, t, name); err != nil {
		return err
	}
	groupChanged(s, t, g, event.Deleted, now)
	return nil
}

func checkChildless(ctx context.Context, s Store, t arn.Tenant, name string) error {
	below, err := Descendants(ctx, s, t, name)
	if err == nil && len(below) > 1 {
		err = fault.New(fault.InvalidRequest, " Cannot delete thing group : %s when there are still child groups attached to it", name)
	}
	return err
}

// empty drops every link of the kind that starts at left and tells gone each
// right end.
func empty(ctx context.Context, s Store, t arn.Tenant, kind ref.Kind, left string, gone func(right string)) error {
	for {
		links, next, err := s.Rights(ctx, t, kind, left, ref.All)
		if err != nil {
			return err
		}
		for _, l := range links {
			if _, err := s.DropLink(ctx, t, kind, left, l.Right); err != nil {
				return err
			}
			gone(l.Right)
		}
		if next == "" {
			return nil
		}
	}
}

// loosen detaches the policies of a target that goes away.
func loosen(ctx context.Context, s Store, t arn.Tenant, target string, now time.Time) error {
	links, _, err := s.Lefts(ctx, t, ref.PolicyTarget, target, ref.All)
	if err != nil {
		return err
	}
	for _, l := range links {
		if _, err := s.DropLink(ctx, t, ref.PolicyTarget, l.Left, target); err != nil {
			return err
		}
		s.Emit(event.Event{Kind: event.PolicyAttachment, Tenant: t, ID: target, Detail: l.Left, At: now})
	}
	return nil
}

func putGroup(ctx context.Context, s Store, t arn.Tenant, g *Group, what string, now time.Time) error {
	if err := s.PutGroup(ctx, t, g); err != nil {
		return err
	}
	groupChanged(s, t, g, what, now)
	return nil
}

func groupChanged(s Store, t arn.Tenant, g *Group, what string, now time.Time) {
	s.Emit(event.Event{Kind: event.GroupChanged, Tenant: t, ID: g.Name, Detail: what, Body: lastState(what, g), At: now})
}
