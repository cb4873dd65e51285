package records

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/things"
)

type typeBody struct {
	ID           string               `json:"id"`
	Description  string               `json:"description,omitempty"`
	Searchable   []string             `json:"searchable,omitempty"`
	Propagating  []things.Propagation `json:"propagating,omitempty"`
	Deprecated   bool                 `json:"deprecated,omitempty"`
	DeprecatedAt int64                `json:"deprecatedAt,omitempty"`
	Created      int64                `json:"created"`
	Tags         map[string]string    `json:"tags,omitempty"`
}

// groupBody serves thing groups and billing groups, which have neither parent
// nor attributes.
type groupBody struct {
	ID          string            `json:"id"`
	Description string            `json:"description,omitempty"`
	Parent      string            `json:"parent,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Version     int64             `json:"version"`
	Created     int64             `json:"created"`
	Tags        map[string]string `json:"tags,omitempty"`
}

var (
	typeShelf    = shelf[things.Type]{kind: "thing type", noun: "Thing type", pack: packType, open: openType, copy: copyType}
	groupShelf   = shelf[things.Group]{kind: "thing group", noun: "Thing group", pack: packGroup, open: openGroup}
	billingShelf = shelf[things.BillingGroup]{kind: "billing group", noun: "Billing group", pack: packBilling, open: openBilling}
)

func packType(ty *things.Type) any {
	b := typeBody{
		ID: ty.ID, Description: ty.Description, Searchable: ty.Searchable, Propagating: ty.Propagating,
		Deprecated: ty.Deprecated, Created: micros(ty.Created), Tags: ty.Tags,
	}
	if !ty.DeprecatedAt.IsZero() {
		b.DeprecatedAt = micros(ty.DeprecatedAt)
	}
	return b
}

func copyType(ty *things.Type) *things.Type {
	c := *ty
	c.Searchable, c.Propagating, c.Tags = slices.Clone(ty.Searchable), slices.Clone(ty.Propagating), maps.Clone(ty.Tags)
	return &c
}

func openType(_ arn.Tenant, name, body string) (*things.Type, error) {
	var b typeBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	ty := &things.Type{
		Name: name, ID: b.ID, Description: b.Description, Searchable: b.Searchable, Propagating: b.Propagating,
		Deprecated: b.Deprecated, Created: moment(b.Created), Tags: b.Tags,
	}
	if b.DeprecatedAt != 0 {
		ty.DeprecatedAt = moment(b.DeprecatedAt)
	}
	return ty, nil
}

func packGroup(g *things.Group) any {
	return groupBody{
		ID: g.ID, Description: g.Description, Parent: g.Parent, Attributes: g.Attributes,
		Version: g.Version, Created: micros(g.Created), Tags: g.Tags,
	}
}

func openGroup(_ arn.Tenant, name, body string) (*things.Group, error) {
	var b groupBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	return &things.Group{
		Name: name, ID: b.ID, Description: b.Description, Parent: b.Parent, Attributes: b.Attributes,
		Version: b.Version, Created: moment(b.Created), Tags: b.Tags,
	}, nil
}

func packBilling(g *things.BillingGroup) any {
	return groupBody{ID: g.ID, Description: g.Description, Version: g.Version, Created: micros(g.Created), Tags: g.Tags}
}

func openBilling(_ arn.Tenant, name, body string) (*things.BillingGroup, error) {
	var b groupBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	return &things.BillingGroup{
		Name: name, ID: b.ID, Description: b.Description,
		Version: b.Version, Created: moment(b.Created), Tags: b.Tags,
	}, nil
}

// ThingType gives the thing type with the name.
func (tx *Tx) ThingType(ctx context.Context, t arn.Tenant, name string) (*things.Type, error) {
	return typeShelf.get(ctx, tx, t, name)
}

// PutThingType writes the type, whether or not it was there.
func (tx *Tx) PutThingType(ctx context.Context, t arn.Tenant, ty *things.Type) error {
	return typeShelf.put(ctx, tx, t, ty.Name, ty)
}

// DeleteThingType removes the type alone.
func (tx *Tx) DeleteThingType(ctx context.Context, t arn.Tenant, name string) error {
	return typeShelf.delete(ctx, tx, t, name)
}

// ListThingTypes orders by name.
func (tx *Tx) ListThingTypes(ctx context.Context, t arn.Tenant, p ref.Page) ([]*things.Type, string, error) {
	return typeShelf.list(ctx, tx, t, p)
}

// Group gives the thing group with the name.
func (tx *Tx) Group(ctx context.Context, t arn.Tenant, name string) (*things.Group, error) {
	return groupShelf.get(ctx, tx, t, name)
}

// PutGroup writes the group, whether or not it was there.
func (tx *Tx) PutGroup(ctx context.Context, t arn.Tenant, g *things.Group) error {
	return groupShelf.put(ctx, tx, t, g.Name, g)
}

// DeleteGroup removes the group alone; its members and policies are the
// caller's.
func (tx *Tx) DeleteGroup(ctx context.Context, t arn.Tenant, name string) error {
	return groupShelf.delete(ctx, tx, t, name)
}

// ListGroups orders by name.
func (tx *Tx) ListGroups(ctx context.Context, t arn.Tenant, p ref.Page) ([]*things.Group, string, error) {
	return groupShelf.list(ctx, tx, t, p)
}

// BillingGroup gives the billing group with the name.
func (tx *Tx) BillingGroup(ctx context.Context, t arn.Tenant, name string) (*things.BillingGroup, error) {
	return billingShelf.get(ctx, tx, t, name)
}

// PutBillingGroup writes the group, whether or not it was there.
func (tx *Tx) PutBillingGroup(ctx context.Context, t arn.Tenant, g *things.BillingGroup) error {
	return billingShelf.put(ctx, tx, t, g.Name, g)
}

// DeleteBillingGroup removes the group alone.
func (tx *Tx) DeleteBillingGroup(ctx context.Context, t arn.Tenant, name string) error {
	return billingShelf.delete(ctx, tx, t, name)
}

// ListBillingGroups orders by name.
func (tx *Tx) ListBillingGroups(ctx context.Context, t arn.Tenant, p ref.Page) ([]*things.BillingGroup, string, error) {
	return billingShelf.list(ctx, tx, t, p)
}
