package control

import (
	"context"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// either gives the name of a resource that a request names by name or by ARN.
func either(t arn.Tenant, kind, member, name, byARN string) (string, error) {
	if byARN == "" && name == "" {
		return "", fault.New(fault.InvalidRequest, "%sName or %sArn must be given.", member, member)
	}
	if byARN == "" {
		return name, nil
	}
	n, err := arn.Parse(byARN)
	if err != nil {
		return "", err
	}
	if n.Kind != kind || n.Tenant() != t || (name != "" && name != n.ID) {
		return "", fault.New(fault.InvalidRequest, "%sArn %s does not name a %s of this account and region, or not the one that %sName names.", member, arn.Clip(byARN, 200), kind, member)
	}
	return n.ID, nil
}

type thingAndGroup struct {
	GroupName        string `json:"thingGroupName"`
	GroupARN         string `json:"thingGroupArn"`
	BillingGroupName string `json:"billingGroupName"`
	BillingGroupARN  string `json:"billingGroupArn"`
	ThingName        string `json:"thingName"`
	ThingARN         string `json:"thingArn"`
}

// change resolves both ends and gives them to one of the functions of package
// things that join and leave.
func (s *Server) change(ctx context.Context, c *Call, in *thingAndGroup, do func(ctx context.Context, tx store.Tx, group, thing string) error) (any, error) {
	kind, member, name, byARN := "thinggroup", "thingGroup", in.GroupName, in.GroupARN
	if strings.HasSuffix(c.Action, "BillingGroup") {
		kind, member, name, byARN = "billinggroup", "billingGroup", in.BillingGroupName, in.BillingGroupARN
	}
	group, err := either(c.Tenant, kind, member, name, byARN)
	if err != nil {
		return nil, err
	}
	thing, err := either(c.Tenant, "thing", "thing", in.ThingName, in.ThingARN)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error { return do(ctx, tx, group, thing) })
}

func (s *Server) addThingToThingGroup(ctx context.Context, c *Call, in *thingAndGroup) (any, error) {
	return s.change(ctx, c, in, func(ctx context.Context, tx store.Tx, group, thing string) error {
		return things.Join(ctx, tx, c.Tenant, group, thing, s.cfg.Now())
	})
}

func (s *Server) removeThingFromThingGroup(ctx context.Context, c *Call, in *thingAndGroup) (any, error) {
	return s.change(ctx, c, in, func(ctx context.Context, tx store.Tx, group, thing string) error {
		return things.Leave(ctx, tx, c.Tenant, group, thing, s.cfg.Now())
	})
}

func (s *Server) addThingToBillingGroup(ctx context.Context, c *Call, in *thingAndGroup) (any, error) {
	return s.change(ctx, c, in, func(ctx context.Context, tx store.Tx, group, thing string) error {
		return things.JoinBilling(ctx, tx, c.Tenant, group, thing, s.cfg.Now())
	})
}

func (s *Server) removeThingFromBillingGroup(ctx context.Context, c *Call, in *thingAndGroup) (any, error) {
	return s.change(ctx, c, in, func(ctx context.Context, tx store.Tx, group, thing string) error {
		return things.LeaveBilling(ctx, tx, c.Tenant, group, thing, s.cfg.Now())
	})
}

// updateThingGroupsForThing leaves first, so that a thing can move within a
// hierarchy in one call.
func (s *Server) updateThingGroupsForThing(ctx context.Context, c *Call, in *struct {
	ThingName string   `json:"thingName"`
	Add       []string `json:"thingGroupsToAdd"`
	Remove    []string `json:"thingGroupsToRemove"`
}) (any, error) {
	if in.ThingName == "" {
		return nil, fault.New(fault.InvalidRequest, "thingName must be given.")
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		if _, err := thing(ctx, tx, c.Tenant, in.ThingName); err != nil {
			return err
		}
		for _, group := range in.Remove {
			if err := things.Leave(ctx, tx, c.Tenant, group, in.ThingName, s.cfg.Now()); err != nil {
				return err
			}
		}
		for _, group := range in.Add {
			if err := things.Join(ctx, tx, c.Tenant, group, in.ThingName, s.cfg.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Server) listThingGroupsForThing(ctx context.Context, c *Call, in *struct {
	byToken
	thingName
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	list := []groupNameAndARN{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if _, err := thing(ctx, tx, c.Tenant, in.ThingName); err != nil {
			return err
		}
		links, after, err := tx.Lefts(ctx, c.Tenant, ref.GroupThing, in.ThingName, p)
		for _, l := range links {
			list = append(list, named(c.Tenant, "thinggroup", l.Left))
		}
		next = after
		return err
	})
	return struct {
		ThingGroups []groupNameAndARN `json:"thingGroups"`
		NextToken   string            `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}

type thingNames struct {
	Things    []string `json:"things"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (s *Server) listThingsInThingGroup(ctx context.Context, c *Call, in *struct {
	byToken
	thingGroupName
	Recursive bool `json:"recursive"`
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	out := thingNames{Things: []string{}}
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if _, err := things.Ancestors(ctx, tx, c.Tenant, in.ThingGroupName); err != nil {
			return err
		}
		groups := []string{in.ThingGroupName}
		if in.Recursive {
			if groups, err = things.Descendants(ctx, tx, c.Tenant, in.ThingGroupName); err != nil {
				return err
			}
		}
		found, next, err := membersOf(ctx, tx, c.Tenant, groups, p)
		out.Things, out.NextToken = found, s.seal(c, next)
		return err
	})
	return out, err
}

// membersOf pages through the members of several groups, one group after the
// other; the cursor is the group, a slash, and the group's own cursor. A thing
// is in no two groups of one hierarchy, so none comes twice.
func membersOf(ctx context.Context, tx store.Tx, t arn.Tenant, groups []string, p ref.Page) ([]string, string, error) {
	at, after, _ := strings.Cut(p.After, "/")
	out := []string{}
	for _, g := range groups {
		if g < at {
			continue
		}
		if len(out) == p.Limit {
			return out, g + "/", nil
		}
		if g != at {
			after = ""
		}
		links, next, err := tx.Rights(ctx, t, ref.GroupThing, g, ref.Page{After: after, Limit: p.Limit - len(out)})
		if err != nil {
			return nil, "", err
		}
		out = append(out, names(links, right)...)
		if next != "" {
			return out, g + "/" + next, nil
		}
	}
	return out, "", nil
}
