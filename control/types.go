package control

import (
	"context"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

type thingTypeName struct {
	ThingTypeName string `json:"thingTypeName"`
}

type thingTypeProperties struct {
	Description *string             `json:"thingTypeDescription,omitempty"`
	Searchable  []string            `json:"searchableAttributes,omitempty"`
	MQTT5       *mqtt5Configuration `json:"mqtt5Configuration,omitempty"`
}

// mqtt5Configuration is stored and answered; messages do not carry the
// attributes yet.
type mqtt5Configuration struct {
	Propagating []things.Propagation `json:"propagatingAttributes"`
}

func (p thingTypeProperties) change() things.TypeChange {
	ch := things.TypeChange{Description: p.Description, Searchable: p.Searchable}
	if p.MQTT5 != nil {
		ch.Propagating = append([]things.Propagation{}, p.MQTT5.Propagating...)
	}
	return ch
}

func propertiesOf(ty *things.Type) (p thingTypeProperties) {
	p.Searchable = ty.Searchable
	if ty.Description != "" {
		p.Description = &ty.Description
	}
	if len(ty.Propagating) > 0 {
		p.MQTT5 = &mqtt5Configuration{ty.Propagating}
	}
	return p
}

func (s *Server) createThingType(ctx context.Context, c *Call, in *struct {
	thingTypeName
	Properties thingTypeProperties `json:"thingTypeProperties"`
	Tags       tagList             `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	var ty *things.Type
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		ch := in.Properties.change()
		ty = &things.Type{Name: in.ThingTypeName, Searchable: ch.Searchable, Propagating: ch.Propagating, Tags: tags, Created: s.cfg.Now()}
		if ch.Description != nil {
			ty.Description = *ch.Description
		}
		return things.CreateType(ctx, tx, c.Tenant, ty)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		thingTypeName
		ThingTypeARN string `json:"thingTypeArn"`
		ThingTypeID  string `json:"thingTypeId"`
	}{in.thingTypeName, c.Tenant.Resource("thingtype", ty.Name), ty.ID}, nil
}

type thingTypeDefinition struct {
	ThingTypeName string              `json:"thingTypeName"`
	ThingTypeARN  string              `json:"thingTypeArn"`
	Properties    thingTypeProperties `json:"thingTypeProperties"`
	Metadata      thingTypeMetadata   `json:"thingTypeMetadata"`
}

type thingTypeMetadata struct {
	Deprecated   bool    `json:"deprecated"`
	DeprecatedAt seconds `json:"deprecationDate,omitzero"`
	Created      seconds `json:"creationDate"`
}

func typeDefinition(c *Call, ty *things.Type) thingTypeDefinition {
	return thingTypeDefinition{
		ThingTypeName: ty.Name, ThingTypeARN: c.Tenant.Resource("thingtype", ty.Name),
		Properties: propertiesOf(ty),
		Metadata:   thingTypeMetadata{ty.Deprecated, seconds{ty.DeprecatedAt}, seconds{ty.Created}},
	}
}

func (s *Server) thingType(ctx context.Context, c *Call, name string) (ty *things.Type, err error) {
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		ty, err = tx.ThingType(ctx, c.Tenant, name)
		return absent(err, "Thing type %s does not exist.", name)
	})
	return ty, err
}

func (s *Server) describeThingType(ctx context.Context, c *Call, in *thingTypeName) (any, error) {
	ty, err := s.thingType(ctx, c, in.ThingTypeName)
	if err != nil {
		return nil, err
	}
	return struct {
		thingTypeDefinition
		ThingTypeID string `json:"thingTypeId"`
	}{typeDefinition(c, ty), ty.ID}, nil
}

func (s *Server) updateThingType(ctx context.Context, c *Call, in *struct {
	thingTypeName
	Properties thingTypeProperties `json:"thingTypeProperties"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.UpdateType(ctx, tx, c.Tenant, in.ThingTypeName, in.Properties.change(), s.cfg.Now())
	})
}

func (s *Server) deprecateThingType(ctx context.Context, c *Call, in *struct {
	thingTypeName
	Undo bool `json:"undoDeprecate"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.Deprecate(ctx, tx, c.Tenant, in.ThingTypeName, in.Undo, s.cfg.Now())
	})
}

func (s *Server) deleteThingType(ctx context.Context, c *Call, in *thingTypeName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.DeleteType(ctx, tx, c.Tenant, in.ThingTypeName, s.cfg.Now())
	})
}

func (s *Server) listThingTypes(ctx context.Context, c *Call, in *struct {
	byToken
	thingTypeName
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	list := []thingTypeDefinition{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if in.ThingTypeName != "" {
			ty, err := tx.ThingType(ctx, c.Tenant, in.ThingTypeName)
			if fault.Is(err, fault.Missing) {
				return nil
			}
			if err == nil {
				list = append(list, typeDefinition(c, ty))
			}
			return err
		}
		found, after, err := tx.ListThingTypes(ctx, c.Tenant, p)
		for _, ty := range found {
			list = append(list, typeDefinition(c, ty))
		}
		next = after
		return err
	})
	return struct {
		ThingTypes []thingTypeDefinition `json:"thingTypes"`
		NextToken  string                `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}
