// Package documents keeps registry resources that nothing queries by content as
// JSON, one document each, for the domain packages that have such resources.
package documents

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Store is what this package asks of a database. Document and DeleteDocument
// answer fault.Missing when there is nothing; lists are ordered by name.
type Store interface {
	Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error)
	PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error
	DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error
	ListDocuments(ctx context.Context, t arn.Tenant, kind string, p ref.Page) (names []string, bodies [][]byte, next string, err error)
}

// Find gives the document of a name, fault.Missing if there is none.
func Find[T any](ctx context.Context, s Store, t arn.Tenant, kind, name string) (*T, error) {
	body, err := s.Document(ctx, t, kind, name)
	if err != nil {
		return nil, err
	}
	return open[T](kind, name, body)
}

func open[T any](kind, name string, body []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The record of %s %s is damaged.", kind, name)
	}
	return v, nil
}

// Put writes a document, in place of the one there is.
func Put(ctx context.Context, s Store, t arn.Tenant, kind, name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The record of %s %s cannot be written.", kind, name)
	}
	return s.PutDocument(ctx, t, kind, name, body)
}

// Drop deletes a document; one that is not there is deleted already.
func Drop(ctx context.Context, s Store, t arn.Tenant, kind, name string) error {
	if err := s.DeleteDocument(ctx, t, kind, name); err != nil && !fault.Is(err, fault.Missing) {
		return err
	}
	return nil
}

// List gives a page of a kind, and the cursor of the next.
func List[T any](ctx context.Context, s Store, t arn.Tenant, kind string, p ref.Page) ([]*T, string, error) {
	names, bodies, next, err := s.ListDocuments(ctx, t, kind, p)
	if err != nil {
		return nil, "", err
	}
	out := make([]*T, len(bodies))
	for i, body := range bodies {
		if out[i], err = open[T](kind, names[i], body); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}
