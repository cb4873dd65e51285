// Package settings holds what an account switches on and off: the events that
// the registry publishes, what an index holds, and what is logged (rest-api.md,
// sections 4.14 to 4.16).
//
// The edge has checked the form and bounds of every member by AWS's model. Each
// setting is one document of the tenant, and reads as its default until it was
// set.
package settings

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// Kinds of documents.
const (
	eventConfigurations = "event configurations"
	indexing            = "indexing configuration"
	logging             = "logging options"
	loggingV2           = "V2 logging options"
	loggingLevels       = "V2 logging level"
)

// theOne names the only document of its kind in a tenant.
const theOne = "account"

// Store is what this package asks of a database. Document and DeleteDocument
// answer fault.Missing when there is nothing; lists are ordered by name.
type Store interface {
	documents.Store
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
	Emit(event.Event)
}

// load reads a document into v, and says whether there was one.
func load(ctx context.Context, s Store, t arn.Tenant, kind, name string, v any) (bool, error) {
	body, err := s.Document(ctx, t, kind, name)
	if fault.Is(err, fault.Missing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return false, fault.Wrap(fault.Internal, err, "The %s %s cannot be read.", kind, name)
	}
	return true, nil
}
