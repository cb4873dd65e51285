// Package event says what happened in the registry, after it happened.
//
// Events are written in the transaction that caused them (store.Tx.Emit) and
// leave after its commit: the bus carries them to whoever keeps something that
// became stale, above all to the gateway, which cuts connections.
package event

import (
	"time"

	"github.com/slipway-iot/slipway/arn"
)

// A Kind is what happened. The comment says what ID and Detail hold.
type Kind string

const (
	CertificateCreated Kind = "certificate.created" // certificate id; status
	CertificateStatus  Kind = "certificate.status"  // certificate id; new status
	CertificateDeleted Kind = "certificate.deleted" // certificate id
	PolicyChanged      Kind = "policy.changed"      // policy name: new default version, or deleted
	PolicyAttachment   Kind = "policy.attachment"   // target ARN; policy name
	PrincipalChanged   Kind = "principal.changed"   // thing name; principal ARN
	PrincipalUnbound   Kind = "principal.unbound"   // thing name; ARN of the principal that had been its exclusively
	ThingChanged       Kind = "thing.changed"       // thing name; Created, Updated or Deleted
	ThingTyped         Kind = "thing.typed"         // name of a thing that was there already; Added or Removed, a space, the type
	ThingGroups        Kind = "thing.groups"        // thing name; Added or Removed, a space, the group
	GroupChanged       Kind = "group.changed"       // group name; Created, Updated, Deleted, or empty: its tags
	TypeChanged        Kind = "type.changed"        // thing type name; as with groups
	EventsChanged      Kind = "events.changed"      // account: which of these are published
	TemplateChanged    Kind = "template.changed"    // template name
	RuleChanged        Kind = "rule.changed"        // topic rule name
	FunctionChanged    Kind = "function.changed"    // function name
	DomainChanged      Kind = "domain.changed"      // domain configuration name; its status, or Deleted
	TenantChanged      Kind = "tenant.changed"      // account; made, changed, disabled or enabled
	KeyChanged         Kind = "key.changed"         // access key id; disabled, or empty: it was made
)

// What Detail holds of an event that tells of one of several operations.
const (
	Created = "created"
	Updated = "updated"
	Deleted = "deleted"
	Added   = "added"
	Removed = "removed"
)

// An Event is one thing that happened.
type Event struct {
	Kind   Kind
	Tenant arn.Tenant
	ID     string
	Detail string
	Body   string // JSON of what went, if nobody can read it any more
	At     time.Time
}
