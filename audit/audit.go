// Package audit holds the trail of what callers of the control plane changed:
// who, what, from where, with each resource before and after (DESIGN.md,
// decision 15).
//
// A Record joins the transaction of the change it tells of. After the commit a
// sealer gives it a number and chains it to the record before it by SHA-256
// (chain.go), so that a record which was changed, dropped or moved is found.
// No secret is ever part of a record (redact.go).
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// An Outcome is what came of a call.
type Outcome string

const (
	Done   Outcome = "done"
	Denied Outcome = "denied" // the caller's role did not allow it; nothing changed
)

// A Record is one entry of the trail. Its members and their order are part of
// what is chained: a new member goes last and is left out when empty.
type Record struct {
	Version   int       `json:"v"` // of this form
	At        time.Time `json:"at"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	Who       Who       `json:"who"`
	From      string    `json:"from"` // address of the caller; the server itself has none
	Action    string    `json:"action"`
	RequestID string    `json:"requestId"`
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason,omitempty"` // why it was denied
	Changes   []Change  `json:"changes,omitempty"`
	More      int       `json:"more,omitempty"` // how many links were tied or untied besides
}

// Who is the access key that signed the request; without one it is the server
// itself, whose name no key can have.
type Who struct {
	Key  string `json:"key"`
	Name string `json:"name,omitempty"`
	Role string `json:"role"`
}

// A Change is what became of one resource. Before is null where there was
// nothing, After where nothing is left.
type Change struct {
	Kind string `json:"kind"` // thing, policy, certificate, policy-target, …
	Name string `json:"name"` // in its tenant; of a link, its left end
	To   string `json:"to,omitempty"`
	// Account and Region are those of the resource where they are not the
	// caller's.
	Account string          `json:"account,omitempty"`
	Region  string          `json:"region,omitempty"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
}

// version is that of the form which Pack writes.
const version = 1

// Tenant is whose trail the record belongs to.
func (r *Record) Tenant() arn.Tenant { return arn.Tenant{Account: r.Account, Region: r.Region} }

// Pack gives the canonical bytes of a record: what is stored, and what is
// chained. They are JSON, made once and never again, so that one changed byte
// of them shows. A caller's text can neither break nor bloat them.
func Pack(r *Record) ([]byte, error) {
	kept := *r
	kept.Version, kept.At = version, r.At.UTC().Truncate(time.Microsecond)
	kept.From, kept.Reason = host(r.From), arn.Clip(r.Reason, 500)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&kept); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The audit record of this call cannot be written.")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Open reads what Pack wrote.
func Open(body []byte) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "An audit record is damaged.")
	}
	return r, nil
}

// host is an address without its port.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// An Entry is a record as the store has it.
type Entry struct {
	ID       int64 // the store's own; says nothing of the order
	Sequence int64 // from 1, without gaps; zero: not sealed yet
	Previous Hash  // of the record before it
	Hash     Hash
	Body     []byte // canonical bytes

	// Where the store files the entry. Verify compares it with Body.
	Tenant arn.Tenant
	At     time.Time
	Keys   []string // what it is to be found by, where the store was asked for that
	Lost   bool     // it is not found by all of them
}

// A Filter narrows a list of records; empty members do not narrow.
type Filter struct {
	Who       string // access key id, or its name
	Action    string // such as iot:CreateThing
	Resource  string // name, certificate id or ARN
	RequestID string
	Since     time.Time // at or after
	Until     time.Time // before
}

// Store is what the trail asks of a database.
type Store interface {
	// AppendAudit writes a record, unsealed, with the transaction.
	AppendAudit(ctx context.Context, r *Record) error
	// UnsealedAudit gives up to limit records that no one has sealed. One that
	// saw the effect of another comes after it.
	UnsealedAudit(ctx context.Context, limit int) ([]Entry, error)
	// CountUnsealedAudit counts them.
	CountUnsealedAudit(ctx context.Context) (int64, error)
	// AuditHead gives the end of the chain; of an empty chain the zero Head.
	AuditHead(ctx context.Context) (Head, error)
	// SealAudit chains entries behind the head from, which they lead to the
	// head to. It is fault.Conflict, and the transaction must fail, where
	// another sealer came first.
	SealAudit(ctx context.Context, from, to Head, entries []Entry) error
	// SealedAudit gives up to limit sealed records behind the given sequence
	// number, in the order of the chain.
	SealedAudit(ctx context.Context, after int64, limit int) ([]Entry, error)
	// FindAudit lists a tenant's records from the newest to the oldest,
	// whatever the page says.
	FindAudit(ctx context.Context, t arn.Tenant, f Filter, p ref.Page) ([]Entry, string, error)
}

// Keys are what the record is found by, besides time.
func (r *Record) Keys() []string {
	keys := []string{whoKey(r.Who.Key), actionKey(r.Action), requestKey(r.RequestID)}
	if r.Who.Key == "" { // the server itself
		keys = keys[1:]
	}
	if r.Who.Name != "" {
		keys = append(keys, whoKey(r.Who.Name))
	}
	for _, c := range r.Changes {
		keys = append(keys, resourceKey(c.Name))
		if c.To != "" {
			keys = append(keys, resourceKey(c.To))
		}
	}
	return keys
}

func whoKey(s string) string     { return "who " + s }
func actionKey(s string) string  { return "action " + strings.ToLower(s) }
func requestKey(s string) string { return "request " + s }

// resourceKey finds a resource by its name and by its ARN alike.
func resourceKey(s string) string {
	if n, err := arn.Parse(s); err == nil && n.ID != "" {
		s = n.ID
	}
	return "resource " + s
}

// Keys are what a record must be found by to pass the filter, the one that
// most likely finds the fewest first.
func (f Filter) Keys() []string {
	var keys []string
	if f.RequestID != "" {
		keys = append(keys, requestKey(f.RequestID))
	}
	if f.Resource != "" {
		keys = append(keys, resourceKey(f.Resource))
	}
	if f.Who != "" {
		keys = append(keys, whoKey(f.Who))
	}
	if f.Action != "" {
		keys = append(keys, actionKey(f.Action))
	}
	return keys
}
