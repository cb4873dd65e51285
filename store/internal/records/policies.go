package records

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
)

// The stored forms have names of their own, so that renaming a field in the
// domain changes nothing on disk.

type policyBody struct {
	Default    string              `json:"default"`
	Next       int                 `json:"next"`
	Versions   []policyVersionBody `json:"versions"`
	Generation string              `json:"generation,omitempty"`
	Created    int64               `json:"created"`
	Modified   int64               `json:"modified"`
	Tags       map[string]string   `json:"tags,omitempty"`
}

type policyVersionBody struct {
	ID       string `json:"id"`
	Document string `json:"document"`
	Created  int64  `json:"created"`
}

var policyShelf = shelf[policy.Record]{kind: "policy", noun: "Policy", pack: packPolicy, open: openPolicy, copy: copyPolicy}

func packPolicy(r *policy.Record) any {
	b := policyBody{
		Default: r.Default, Next: r.Next, Generation: r.Generation,
		Created: micros(r.Created), Modified: micros(r.Modified), Tags: r.Tags,
	}
	for _, v := range r.Versions {
		b.Versions = append(b.Versions, policyVersionBody{v.ID, v.Document, micros(v.Created)})
	}
	return b
}

func openPolicy(t arn.Tenant, name, body string) (*policy.Record, error) {
	var b policyBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	r := &policy.Record{
		Tenant: t, Name: name, Default: b.Default, Next: b.Next, Generation: b.Generation,
		Created: moment(b.Created), Modified: moment(b.Modified), Tags: b.Tags,
	}
	for _, v := range b.Versions {
		r.Versions = append(r.Versions, policy.VersionRecord{ID: v.ID, Document: v.Document, Created: moment(v.Created)})
	}
	return r, nil
}

func copyPolicy(r *policy.Record) *policy.Record {
	c := *r
	c.Versions, c.Tags = slices.Clone(r.Versions), maps.Clone(r.Tags)
	return &c
}

// Policy gives the policy with the name, all its versions included.
func (tx *Tx) Policy(ctx context.Context, t arn.Tenant, name string) (*policy.Record, error) {
	return policyShelf.get(ctx, tx, t, name)
}

// PutPolicy writes the policy, whether or not it was there.
func (tx *Tx) PutPolicy(ctx context.Context, r *policy.Record) error {
	return policyShelf.put(ctx, tx, r.Tenant, r.Name, r)
}

// DeletePolicy removes the policy alone; its attachments are the caller's.
func (tx *Tx) DeletePolicy(ctx context.Context, t arn.Tenant, name string) error {
	return policyShelf.delete(ctx, tx, t, name)
}

// ListPolicies orders by name.
func (tx *Tx) ListPolicies(ctx context.Context, t arn.Tenant, p ref.Page) ([]*policy.Record, string, error) {
	return policyShelf.list(ctx, tx, t, p)
}
