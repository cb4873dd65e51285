package control

import (
	"context"
	"strings"

	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

type billingGroupName struct {
	BillingGroupName string `json:"billingGroupName"`
}

type billingGroupProperties struct {
	Description string `json:"billingGroupDescription,omitempty"`
}

func (s *Server) createBillingGroup(ctx context.Context, c *Call, in *struct {
	billingGroupName
	Properties billingGroupProperties `json:"billingGroupProperties"`
	Tags       tagList                `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	var g *things.BillingGroup
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		g = &things.BillingGroup{Name: in.BillingGroupName, Description: in.Properties.Description, Tags: tags, Created: s.cfg.Now()}
		return things.CreateBillingGroup(ctx, tx, c.Tenant, g)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		billingGroupName
		BillingGroupARN string `json:"billingGroupArn"`
		BillingGroupID  string `json:"billingGroupId"`
	}{in.billingGroupName, c.Tenant.Resource("billinggroup", g.Name), g.ID}, nil
}

// billingGroup reads a billing group within a transaction.
func billingGroup(ctx context.Context, tx store.Tx, c *Call, name string) (*things.BillingGroup, error) {
	g, err := tx.BillingGroup(ctx, c.Tenant, name)
	return g, absent(err, "Billing group %s does not exist.", name)
}

func (s *Server) describeBillingGroup(ctx context.Context, c *Call, in *billingGroupName) (any, error) {
	var g *things.BillingGroup
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		g, err = billingGroup(ctx, tx, c, in.BillingGroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	type metadata struct {
		Created seconds `json:"creationDate"`
	}
	return struct {
		billingGroupName
		BillingGroupID  string                 `json:"billingGroupId"`
		BillingGroupARN string                 `json:"billingGroupArn"`
		Version         int64                  `json:"version"`
		Properties      billingGroupProperties `json:"billingGroupProperties"`
		Metadata        metadata               `json:"billingGroupMetadata"`
	}{
		*in, g.ID, c.Tenant.Resource("billinggroup", g.Name), g.Version,
		billingGroupProperties{g.Description}, metadata{seconds{g.Created}},
	}, nil
}

func (s *Server) updateBillingGroup(ctx context.Context, c *Call, in *struct {
	billingGroupName
	Properties      billingGroupProperties `json:"billingGroupProperties"`
	ExpectedVersion expectedVersion        `json:"expectedVersion"`
}) (any, error) {
	var out version
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out.Version, err = things.UpdateBillingGroup(ctx, tx, c.Tenant, in.BillingGroupName, in.Properties.Description, int64(in.ExpectedVersion))
		return err
	})
	return out, err
}

func (s *Server) deleteBillingGroup(ctx context.Context, c *Call, in *struct {
	billingGroupName
	ExpectedVersion expectedVersion `json:"expectedVersion"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.DeleteBillingGroup(ctx, tx, c.Tenant, in.BillingGroupName, int64(in.ExpectedVersion), s.cfg.Now())
	})
}

// listBillingGroups filters each page by itself, so that a page may be short.
func (s *Server) listBillingGroups(ctx context.Context, c *Call, in *struct {
	byToken
	Prefix string `json:"namePrefixFilter"`
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	list := []groupNameAndARN{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := tx.ListBillingGroups(ctx, c.Tenant, p)
		for _, g := range found {
			if strings.HasPrefix(g.Name, in.Prefix) {
				list = append(list, named(c.Tenant, "billinggroup", g.Name))
			}
		}
		next = after
		return err
	})
	return struct {
		BillingGroups []groupNameAndARN `json:"billingGroups"`
		NextToken     string            `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}

func (s *Server) listThingsInBillingGroup(ctx context.Context, c *Call, in *struct {
	byToken
	billingGroupName
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	var out thingNames
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if _, err := billingGroup(ctx, tx, c, in.BillingGroupName); err != nil {
			return err
		}
		links, next, err := tx.Rights(ctx, c.Tenant, ref.BillingThing, in.BillingGroupName, p)
		out = thingNames{names(links, right), s.seal(c, next)}
		return err
	})
	return out, err
}
