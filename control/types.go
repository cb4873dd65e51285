package control

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

type thingTypeName struct {
	ThingTypeName string `json:"thingTypeName"`
}

type thingTypeProperties struct {
	Description string          `json:"thingTypeDescription,omitempty"`
	Searchable  []string        `json:"searchableAttributes,omitempty"`
	MQTT5       json.RawMessage `json:"mqtt5Configuration,omitempty"`
}

func (p thingTypeProperties) check() error {
	if len(p.MQTT5) > 0 {
		return fault.New(fault.NotImplemented, "thingTypeProperties.mqtt5Configuration is not implemented by Slipway yet.")
	}
	return nil
}

func (s *Server) createThingType(ctx context.Context, c *Call, in *struct {
	thingTypeName
	Properties thingTypeProperties `json:"thingTypeProperties"`
	Tags       tagList             `json:"tags"`
}) (any, error) {
	if err := in.Properties.check(); err != nil {
		return nil, err
	}
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	var ty *things.Type
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		ty = &things.Type{
			Name: in.ThingTypeName, Description: in.Properties.Description,
			Searchable: in.Properties.Searchable, Tags: tags, Created: s.cfg.Now(),
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
		Properties: thingTypeProperties{Description: ty.Description, Searchable: ty.Searchable},
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
	if err := in.Properties.check(); err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return things.UpdateType(ctx, tx, c.Tenant, in.ThingTypeName, in.Properties.Searchable, s.cfg.Now())
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
