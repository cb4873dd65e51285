// Package things holds the rules for things, thing types, thing groups and
// billing groups, and for the principals attached to a thing.
package things

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
)

// A Thing is one entry of the registry.
type Thing struct {
	Tenant       arn.Tenant
	Name         string
	ID           string // UUID
	Type         string // empty: none
	BillingGroup string // empty: none
	Attributes   map[string]string
	Version      int64 // 1 at creation, +1 at every change
	Created      time.Time
}

// A Type is a thing type.
type Type struct {
	Name         string
	ID           string
	Description  string
	Searchable   []string
	Propagating  []Propagation
	Deprecated   bool
	DeprecatedAt time.Time
	Created      time.Time
	Tags         map[string]string
}

// A Propagation hands an attribute of a thing, or of its connection, to the
// messages that it publishes, as an MQTT 5 user property.
type Propagation struct {
	UserProperty string `json:"userPropertyKey,omitempty"`
	Thing        string `json:"thingAttribute,omitempty"`
	Connection   string `json:"connectionAttribute,omitempty"`
}

// A Group is a static thing group; Parent is empty at the root.
type Group struct {
	Name        string
	ID          string
	Description string
	Parent      string
	Attributes  map[string]string
	Version     int64
	Created     time.Time
	Tags        map[string]string
}

// A BillingGroup collects things for accounting.
type BillingGroup struct {
	Name        string
	ID          string
	Description string
	Version     int64
	Created     time.Time
	Tags        map[string]string
}

// A Filter narrows a list of things; zero members do not narrow.
type Filter struct {
	Type             string
	Attribute, Value string
	Prefix           bool // Value is how the attribute's value begins
}

// The ways in which a principal may be attached (methods.md, section 1.3).
const (
	NonExclusive = "NON_EXCLUSIVE_THING"
	Exclusive    = "EXCLUSIVE_THING"
)

// Store is what this package asks of a database. Each Get answers
// fault.Missing when there is nothing, InsertThing fault.Exists when the name
// is taken. Put writes whether or not it was there.
type Store interface {
	Thing(ctx context.Context, t arn.Tenant, name string) (*Thing, error)
	InsertThing(ctx context.Context, th *Thing) error
	UpdateThing(ctx context.Context, th *Thing) error
	DeleteThing(ctx context.Context, t arn.Tenant, name string) error
	ListThings(ctx context.Context, t arn.Tenant, f Filter, p ref.Page) ([]*Thing, string, error)

	ThingType(ctx context.Context, t arn.Tenant, name string) (*Type, error)
	PutThingType(ctx context.Context, t arn.Tenant, ty *Type) error
	DeleteThingType(ctx context.Context, t arn.Tenant, name string) error
	ListThingTypes(ctx context.Context, t arn.Tenant, p ref.Page) ([]*Type, string, error)

	Group(ctx context.Context, t arn.Tenant, name string) (*Group, error)
	PutGroup(ctx context.Context, t arn.Tenant, g *Group) error
	DeleteGroup(ctx context.Context, t arn.Tenant, name string) error
	ListGroups(ctx context.Context, t arn.Tenant, p ref.Page) ([]*Group, string, error)

	BillingGroup(ctx context.Context, t arn.Tenant, name string) (*BillingGroup, error)
	PutBillingGroup(ctx context.Context, t arn.Tenant, g *BillingGroup) error
	DeleteBillingGroup(ctx context.Context, t arn.Tenant, name string) error
	ListBillingGroups(ctx context.Context, t arn.Tenant, p ref.Page) ([]*BillingGroup, string, error)

	PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (created bool, err error)
	DropLink(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (existed bool, err error)
	Lefts(ctx context.Context, t arn.Tenant, k ref.Kind, right string, p ref.Page) ([]ref.Link, string, error)
	Rights(ctx context.Context, t arn.Tenant, k ref.Kind, left string, p ref.Page) ([]ref.Link, string, error)
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
	Emit(event.Event)
}
