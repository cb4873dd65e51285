// Package access holds the rules for what lets a device in besides its own
// certificate: role aliases, which name the role behind temporary credentials;
// authorizers, which are functions that judge a token; and domain
// configurations, which say what a host name serves (rest-api.md, sections
// 4.11 to 4.13; device-gateway.md, section 1.1).
//
// The edge has checked the form and bounds of every member by AWS's model. This
// package checks what the model cannot say: which members belong together, what
// a resource refers to, and what still refers to it. Role and function ARNs are
// stored unchecked (DESIGN.md, decision 9).
package access

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// Kinds of documents. Their names stand in sentences for callers: "The role
// alias X does not exist."
const (
	roleAliases       = "role alias"
	authorizers       = "authorizer"
	defaultAuthorizer = "default authorizer"
	domains           = "domain configuration"
)

// Store is what this package asks of a database. Document and DeleteDocument
// answer fault.Missing when there is nothing; lists are ordered by name.
type Store interface {
	documents.Store
	// Limit gives what holds for the tenant; certificates-lifecycle.md, section
	// 7, has AWS's numbers.
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
	// Emit tells what happened, once it is committed.
	Emit(event.Event)
}

// all lists a kind of which an account has few.
func all[T any](ctx context.Context, s Store, t arn.Tenant, kind string) ([]*T, error) {
	var found []*T
	for p := ref.All; ; {
		some, next, err := documents.List[T](ctx, s, t, kind, p)
		if found = append(found, some...); err != nil || next == "" {
			return found, err
		}
		p.After = next
	}
}

// vacant says whether a name is free and one more of its kind may be made;
// taken is what to answer when it is not free.
func vacant(ctx context.Context, s Store, t arn.Tenant, kind, name string, limit ref.Limit, taken *fault.Error) error {
	_, err := s.Document(ctx, t, kind, name)
	if err == nil {
		return taken
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	most, err := s.Limit(ctx, t, limit)
	if err != nil {
		return err
	}
	names, _, _, err := s.ListDocuments(ctx, t, kind, ref.Page{Limit: most})
	if err == nil && len(names) >= most {
		return fault.New(fault.LimitExceeded, "There are %d of the kind %s; the limit is %d.", len(names), kind, most)
	}
	return err
}

// taken names what has the name already.
func taken(name, resource, format string, args ...any) *fault.Error {
	e := fault.New(fault.Exists, format, args...)
	e.ResourceID, e.ResourceARN = name, resource
	return e
}
