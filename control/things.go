package control

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

type attributePayload struct {
	Attributes map[string]string `json:"attributes"`
	Merge      bool              `json:"merge,omitempty"`
}

// given are the attributes of a payload that is there, nil of one that is not.
func (p *attributePayload) given() (attributes map[string]string, merge bool) {
	if p == nil {
		return nil, false
	}
	return filled(p.Attributes), p.Merge
}

type thingName struct {
	ThingName string `json:"thingName"`
}

func (s *Server) createThing(ctx context.Context, c *Call, in *struct {
	thingName
	ThingTypeName    string            `json:"thingTypeName"`
	AttributePayload *attributePayload `json:"attributePayload"`
	BillingGroupName string            `json:"billingGroupName"`
}) (any, error) {
	var th *things.Thing
	attributes, _ := in.AttributePayload.given()
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		th = &things.Thing{
			Tenant: c.Tenant, Name: in.ThingName, Type: in.ThingTypeName, BillingGroup: in.BillingGroupName,
			Attributes: attributes, Created: s.cfg.Now(),
		}
		return things.Create(ctx, tx, th)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		thingName
		ThingARN string `json:"thingArn"`
		ThingID  string `json:"thingId"`
	}{in.thingName, c.Tenant.Thing(th.Name), th.ID}, nil
}

// thing reads a thing; what says so when it is not there.
func thing(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (*things.Thing, error) {
	th, err := tx.Thing(ctx, t, name)
	return th, absent(err, "Thing %s does not exist.", name)
}

// absent puts a sentence on fault.Missing and leaves other errors alone.
func absent(err error, format string, args ...any) error {
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Missing, err, format, args...)
	}
	return err
}

func (s *Server) describeThing(ctx context.Context, c *Call, in *thingName) (any, error) {
	var th *things.Thing
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		th, err = thing(ctx, tx, c.Tenant, in.ThingName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		DefaultClientID  string            `json:"defaultClientId"`
		ThingName        string            `json:"thingName"`
		ThingID          string            `json:"thingId"`
		ThingARN         string            `json:"thingArn"`
		ThingTypeName    string            `json:"thingTypeName,omitempty"`
		Attributes       map[string]string `json:"attributes"`
		Version          int64             `json:"version"`
		BillingGroupName string            `json:"billingGroupName,omitempty"`
	}{th.Name, th.Name, th.ID, c.Tenant.Thing(th.Name), th.Type, filled(th.Attributes), th.Version, th.BillingGroup}, nil
}

func (s *Server) updateThing(ctx context.Context, c *Call, in *struct {
	thingName
	ThingTypeName    string            `json:"thingTypeName"`
	AttributePayload *attributePayload `json:"attributePayload"`
	ExpectedVersion  expectedVersion   `json:"expectedVersion"`
	RemoveThingType  bool              `json:"removeThingType"`
}) (any, error) {
	ch := things.Change{Type: in.ThingTypeName, RemoveType: in.RemoveThingType, ExpectedVersion: int64(in.ExpectedVersion)}
	ch.Attributes, ch.Merge = in.AttributePayload.given()
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := things.Update(ctx, tx, c.Tenant, in.ThingName, ch, s.cfg.Now())
		return err
	})
}

func (s *Server) deleteThing(ctx context.Context, c *Call, in *struct {
	thingName
	ExpectedVersion expectedVersion `json:"expectedVersion"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.Delete(ctx, tx, c.Tenant, in.ThingName, int64(in.ExpectedVersion), s.cfg.Now())
	})
}

type thingFilter struct {
	AttributeName  string `json:"attributeName"`
	AttributeValue string `json:"attributeValue"`
	ThingTypeName  string `json:"thingTypeName"`
	Prefix         bool   `json:"usePrefixAttributeValue"`
}

type thingAttribute struct {
	ThingName     string            `json:"thingName"`
	ThingTypeName string            `json:"thingTypeName,omitempty"`
	ThingARN      string            `json:"thingArn"`
	Attributes    map[string]string `json:"attributes"`
	Version       int64             `json:"version"`
}

// listThings takes an attribute without a value for any value of it. A page
// that a type and an attribute both narrow may be short.
func (s *Server) listThings(ctx context.Context, c *Call, in *struct {
	byToken
	thingFilter
}) (any, error) {
	if in.AttributeValue != "" && in.AttributeName == "" {
		return nil, fault.New(fault.InvalidRequest, "attributeName must be given with attributeValue.")
	}
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	f := things.Filter{
		Type: in.ThingTypeName, Attribute: in.AttributeName, Value: in.AttributeValue,
		Prefix: in.Prefix || in.AttributeValue == "",
	}
	list := []thingAttribute{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := tx.ListThings(ctx, c.Tenant, f, p)
		for _, th := range found {
			list = append(list, thingAttribute{th.Name, th.Type, c.Tenant.Thing(th.Name), filled(th.Attributes), th.Version})
		}
		next = after
		return err
	})
	return struct {
		Things    []thingAttribute `json:"things"`
		NextToken string           `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}

// names gives one end of each link.
func names(links []ref.Link, end func(ref.Link) string) []string {
	out := make([]string, len(links))
	for i, l := range links {
		out[i] = end(l)
	}
	return out
}

func left(l ref.Link) string  { return l.Left }
func right(l ref.Link) string { return l.Right }
