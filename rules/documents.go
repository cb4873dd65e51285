package rules

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

func find[T any](ctx context.Context, s Store, t arn.Tenant, kind, name string) (*T, error) {
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

func put(ctx context.Context, s Store, t arn.Tenant, kind, name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The record of %s %s cannot be written.", kind, name)
	}
	return s.PutDocument(ctx, t, kind, name, body)
}

func drop(ctx context.Context, s Store, t arn.Tenant, kind, name string) error {
	if err := s.DeleteDocument(ctx, t, kind, name); err != nil && !fault.Is(err, fault.Missing) {
		return err
	}
	return nil
}

func list[T any](ctx context.Context, s Store, t arn.Tenant, kind string, p ref.Page) ([]*T, string, error) {
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
