// Package rules holds topic rules and the destinations that their HTTP actions
// reach: what an operator stored, checked as far as it is data.
//
// A rule is SQL over messages and a list of actions. Both are kept as they
// came, so that Terraform reads back what it wrote; Compile makes of them what
// package dispatch runs (hooks-and-events.md, section 7; rest-api.md, section
// 7.7).
package rules

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// Kinds of documents in the store.
const (
	RuleDocument        = "topic-rule"
	DestinationDocument = "topic-rule-destination"
)

// defaultVersion is the SQL version of a rule that names none.
const defaultVersion = "2015-10-08"

var versions = []string{defaultVersion, "2016-03-23", "beta"}

// A Rule is one topic rule.
type Rule struct {
	Name        string            `json:"name"`
	SQL         string            `json:"sql"`
	Description string            `json:"description,omitempty"`
	Actions     []json.RawMessage `json:"actions"`
	ErrorAction json.RawMessage   `json:"errorAction,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	Version     string            `json:"version"` // of the SQL
	Created     time.Time         `json:"created"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// Store is what this package asks of a database: documents by name, what an
// account may have, and events.
type Store interface {
	documents.Store
	Limit(ctx context.Context, t arn.Tenant, l ref.Limit) (int, error)
	Emit(event.Event)
}

// Create stores a new rule; its name is taken once.
func Create(ctx context.Context, s Store, t arn.Tenant, r *Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	if _, err := ref.Retag(ctx, s, t, nil, r.Tags, nil); err != nil {
		return err
	}
	switch _, err := documents.Find[Rule](ctx, s, t, RuleDocument, r.Name); {
	case err == nil:
		e := fault.New(fault.Exists, "Rule with given name already exists")
		e.ResourceID, e.ResourceARN = r.Name, t.Resource("rule", r.Name)
		return e
	case !fault.Is(err, fault.Missing):
		return err
	}
	if err := checkRoom(ctx, s, t); err != nil {
		return err
	}
	return save(ctx, s, t, r)
}

// checkRoom holds an account to its number of rules (hooks-and-events.md,
// section 7.1).
func checkRoom(ctx context.Context, s Store, t arn.Tenant) error {
	limit, err := s.Limit(ctx, t, ref.Rules)
	if err != nil {
		return err
	}
	names, _, _, err := s.ListDocuments(ctx, t, RuleDocument, ref.Page{Limit: limit})
	if err == nil && len(names) >= limit {
		err = fault.New(fault.InvalidRequest, "The account has %d topic rules; the limit is %d.", len(names), limit)
	}
	return err
}

// check looks at what AWS's model does not bound, and fills the defaults.
func (r *Rule) check() error {
	if r.Version == "" {
		r.Version = defaultVersion
	}
	if !slices.Contains(versions, r.Version) {
		return fault.New(fault.InvalidRequest, "awsIotSqlVersion %q: expected one of %s, %s or %s.", arn.Clip(r.Version, 40), versions[0], versions[1], versions[2])
	}
	_, err := Compile(r)
	return err
}

// Get gives a rule. One that is not there is answered as one that the caller
// may not see (rest-api.md, section 7.7).
func Get(ctx context.Context, s Store, t arn.Tenant, name string) (*Rule, error) {
	r, err := documents.Find[Rule](ctx, s, t, RuleDocument, name)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Unauthorized, err, "Access to topic rule '%s' was denied", name)
	}
	return r, err
}

// Replace writes a rule's content anew; when it was made and its tags stay.
func Replace(ctx context.Context, s Store, t arn.Tenant, r *Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	old, err := Get(ctx, s, t, r.Name)
	if err != nil {
		return err
	}
	r.Created, r.Tags = old.Created, old.Tags
	return save(ctx, s, t, r)
}

// Enable switches a rule on or off.
func Enable(ctx context.Context, s Store, t arn.Tenant, name string, on bool) error {
	r, err := Get(ctx, s, t, name)
	if err != nil {
		return err
	}
	r.Disabled = !on
	return save(ctx, s, t, r)
}

// Delete removes a rule; one that is not there is deleted already.
func Delete(ctx context.Context, s Store, t arn.Tenant, name string) error {
	if err := documents.Drop(ctx, s, t, RuleDocument, name); err != nil {
		return err
	}
	changed(s, t, name)
	return nil
}

// save stores a rule and lets those know who run it.
func save(ctx context.Context, s Store, t arn.Tenant, r *Rule) error {
	if err := documents.Put(ctx, s, t, RuleDocument, r.Name, r); err != nil {
		return err
	}
	changed(s, t, r.Name)
	return nil
}

func changed(s Store, t arn.Tenant, name string) {
	s.Emit(event.Event{Kind: event.RuleChanged, Tenant: t, ID: name})
}

// Tags gives a copy of a rule's tags; no rule is fault.Missing.
func Tags(ctx context.Context, s Store, t arn.Tenant, name string) (map[string]string, error) {
	r, err := documents.Find[Rule](ctx, s, t, RuleDocument, name)
	if err != nil {
		return nil, err
	}
	return maps.Clone(r.Tags), nil
}

// Tag writes the tags of set and removes the keys of remove.
func Tag(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	r, err := documents.Find[Rule](ctx, s, t, RuleDocument, name)
	if err != nil {
		return err
	}
	if r.Tags, err = ref.Retag(ctx, s, t, r.Tags, set, remove); err != nil {
		return err
	}
	return documents.Put(ctx, s, t, RuleDocument, name, r)
}

// List gives a page of rules by name, and the cursor of the next.
func List(ctx context.Context, s Store, t arn.Tenant, p ref.Page) ([]*Rule, string, error) {
	return documents.List[Rule](ctx, s, t, RuleDocument, p)
}
