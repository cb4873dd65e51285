package policy

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
)

// A Record is a named policy with its versions, at most five, oldest first.
type Record struct {
	Tenant     arn.Tenant
	Name       string
	Default    string // id of the default version
	Next       int    // number of the next version; ids are never reused
	Versions   []VersionRecord
	Generation string // UUID made with the record
	Created    time.Time
	Modified   time.Time
	Tags       map[string]string
}

// A VersionRecord is one immutable document.
type VersionRecord struct {
	ID       string // decimal, from "1"
	Document string
	Created  time.Time
}

// Version gives the version with the id, or nil.
func (r *Record) Version(id string) *VersionRecord {
	for i := range r.Versions {
		if r.Versions[i].ID == id {
			return &r.Versions[i]
		}
	}
	return nil
}

// Store is what the registry of policies asks of a database. Policy answers
// fault.Missing when there is none.
type Store interface {
	Policy(ctx context.Context, t arn.Tenant, name string) (*Record, error)
	PutPolicy(ctx context.Context, r *Record) error
	DeletePolicy(ctx context.Context, t arn.Tenant, name string) error
	ListPolicies(ctx context.Context, t arn.Tenant, p ref.Page) ([]*Record, string, error)

	PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (created bool, err error)
	DropLink(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (existed bool, err error)
	Lefts(ctx context.Context, t arn.Tenant, k ref.Kind, right string, p ref.Page) ([]ref.Link, string, error)
	Rights(ctx context.Context, t arn.Tenant, k ref.Kind, left string, p ref.Page) ([]ref.Link, string, error)
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
	Emit(event.Event)
}
