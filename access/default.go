package access

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
)

// theOne names the only document of its kind in a tenant.
const theOne = "default"

type chosen struct {
	Name string `json:"name"`
}

// defaultName gives the name of the default authorizer, empty when there is
// none.
func defaultName(ctx context.Context, s Store, t arn.Tenant) (string, error) {
	c, err := documents.Find[chosen](ctx, s, t, defaultAuthorizer, theOne)
	if fault.Is(err, fault.Missing) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.Name, nil
}

// SetDefaultAuthorizer makes an authorizer the one that judges when a device
// names none. The same again succeeds. Another one is fault.Exists until the
// default is cleared: AWS's model says that setting may meet an existing
// default, and not what then becomes of it.
func SetDefaultAuthorizer(ctx context.Context, s Store, t arn.Tenant, name string) error {
	if _, err := GetAuthorizer(ctx, s, t, name); err != nil {
		return err
	}
	old, err := defaultName(ctx, s, t)
	if err != nil {
		return err
	}
	if old != "" && old != name {
		return taken(old, AuthorizerARN(t, old), "The default authorizer is %s already; it must be cleared first.", old)
	}
	return documents.Put(ctx, s, t, defaultAuthorizer, theOne, chosen{name})
}

// DefaultAuthorizer reads the default authorizer.
func DefaultAuthorizer(ctx context.Context, s Store, t arn.Tenant) (*Authorizer, error) {
	name, err := defaultName(ctx, s, t)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, noDefault()
	}
	return GetAuthorizer(ctx, s, t, name)
}

// ClearDefaultAuthorizer forgets which authorizer is the default.
func ClearDefaultAuthorizer(ctx context.Context, s Store, t arn.Tenant) error {
	err := s.DeleteDocument(ctx, t, defaultAuthorizer, theOne)
	if fault.Is(err, fault.Missing) {
		return noDefault()
	}
	return err
}

func noDefault() error {
	return fault.New(fault.Missing, "The account has no default authorizer.")
}
