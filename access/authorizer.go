package access

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// The states of an authorizer. Only an ACTIVE one judges.
const (
	Active   = "ACTIVE"
	Inactive = "INACTIVE"
)

// An Authorizer is a function that says who the bearer of a token is and what
// they may do (device-gateway.md, section 7).
type Authorizer struct {
	Name            string            `json:"name"`
	FunctionARN     string            `json:"function"`
	TokenKeyName    string            `json:"tokenKey,omitempty"`
	Keys            map[string]string `json:"keys,omitempty"` // PEM by name
	Status          string            `json:"status"`
	SigningDisabled bool              `json:"unsigned,omitempty"` // never changes
	Caching         bool              `json:"caching,omitempty"`
	Created         time.Time         `json:"created"`
	Modified        time.Time         `json:"modified"`
	Tags            map[string]string `json:"tags,omitempty"`
}

// An AuthorizerChange says what UpdateAuthorizer changes; nil and empty members
// leave things as they are. Keys replaces all of them.
type AuthorizerChange struct {
	FunctionARN  string
	TokenKeyName string
	Keys         map[string]string
	Status       string
	Caching      *bool
}

// AuthorizerARN gives the ARN of an authorizer.
func AuthorizerARN(t arn.Tenant, name string) string { return t.Resource("authorizer", name) }

// CreateAuthorizer stores an authorizer, INACTIVE unless a says otherwise. A
// name serves once, even with the same content.
func CreateAuthorizer(ctx context.Context, s Store, t arn.Tenant, a *Authorizer) error {
	if a.Status == "" {
		a.Status = Inactive
	}
	if err := checkSigning(a); err != nil {
		return err
	}
	if _, err := ref.Retag(ctx, s, t, nil, a.Tags, nil); err != nil {
		return err
	}
	err := vacant(ctx, s, t, authorizers, a.Name, ref.Authorizers,
		taken(a.Name, AuthorizerARN(t, a.Name), "Authorizer cannot be created - already exists (name=%s)", a.Name))
	if err != nil {
		return err
	}
	if a.Status == Active {
		if err := mayActivate(ctx, s, t); err != nil {
			return err
		}
	}
	a.Modified = a.Created
	return documents.Put(ctx, s, t, authorizers, a.Name, a)
}

// mayActivate says whether one more authorizer may be ACTIVE.
func mayActivate(ctx context.Context, s Store, t arn.Tenant) error {
	most, err := s.Limit(ctx, t, ref.ActiveAuthorizers)
	if err != nil {
		return err
	}
	found, err := all[Authorizer](ctx, s, t, authorizers)
	if err != nil {
		return err
	}
	active := 0
	for _, a := range found {
		if a.Status == Active {
			active++
		}
	}
	if active >= most {
		return fault.New(fault.LimitExceeded, "The account has %d ACTIVE authorizers; the limit is %d.", active, most)
	}
	return nil
}

// GetAuthorizer reads an authorizer.
func GetAuthorizer(ctx context.Context, s Store, t arn.Tenant, name string) (*Authorizer, error) {
	return documents.Find[Authorizer](ctx, s, t, authorizers, name)
}

// UpdateAuthorizer changes an authorizer.
func UpdateAuthorizer(ctx context.Context, s Store, t arn.Tenant, name string, ch AuthorizerChange, now time.Time) error {
	a, err := GetAuthorizer(ctx, s, t, name)
	if err != nil {
		return err
	}
	if ch.Status == Active && a.Status != Active {
		if err := mayActivate(ctx, s, t); err != nil {
			return err
		}
	}
	ch.apply(a)
	if err := checkSigning(a); err != nil {
		return err
	}
	a.Modified = now
	return documents.Put(ctx, s, t, authorizers, name, a)
}

func (ch AuthorizerChange) apply(a *Authorizer) {
	if ch.FunctionARN != "" {
		a.FunctionARN = ch.FunctionARN
	}
	if ch.TokenKeyName != "" {
		a.TokenKeyName = ch.TokenKeyName
	}
	if ch.Keys != nil {
		a.Keys = ch.Keys
	}
	if ch.Status != "" {
		a.Status = ch.Status
	}
	if ch.Caching != nil {
		a.Caching = *ch.Caching
	}
}

// TagAuthorizer writes the tags of set and removes the keys of remove.
func TagAuthorizer(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	a, err := GetAuthorizer(ctx, s, t, name)
	if err != nil {
		return err
	}
	if a.Tags, err = ref.Retag(ctx, s, t, a.Tags, set, remove); err != nil {
		return err
	}
	return documents.Put(ctx, s, t, authorizers, name, a)
}

// DeleteAuthorizer removes an authorizer that is INACTIVE, not the default, and
// that no domain configuration names.
func DeleteAuthorizer(ctx context.Context, s Store, t arn.Tenant, name string) error {
	a, err := GetAuthorizer(ctx, s, t, name)
	if err != nil {
		return err
	}
	if a.Status == Active {
		return fault.New(fault.DeleteConflict, "Authorizer %s is ACTIVE; it must be made INACTIVE before it can be deleted.", name)
	}
	preset, err := defaultName(ctx, s, t)
	if err != nil {
		return err
	}
	if preset == name {
		return fault.New(fault.DeleteConflict, "Authorizer %s is the default authorizer; the default must be cleared before it can be deleted.", name)
	}
	configured, err := all[Domain](ctx, s, t, domains)
	if err != nil {
		return err
	}
	for _, d := range configured {
		if d.Authorizer != nil && d.Authorizer.Name == name {
			return fault.New(fault.DeleteConflict, "Authorizer %s is in use by domain configuration %s.", name, d.Name)
		}
	}
	return s.DeleteDocument(ctx, t, authorizers, name)
}

// ListAuthorizers orders by name. With a status a page holds only those that
// have it, and may be short.
func ListAuthorizers(ctx context.Context, s Store, t arn.Tenant, status string, p ref.Page) ([]*Authorizer, string, error) {
	found, next, err := documents.List[Authorizer](ctx, s, t, authorizers, p)
	kept := found[:0]
	for _, a := range found {
		if status == "" || a.Status == status {
			kept = append(kept, a)
		}
	}
	return kept, next, err
}
