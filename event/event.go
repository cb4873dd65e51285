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
	ThingChanged       Kind = "thing.changed"       // thing name: created, updated or deleted
	ThingGroups        Kind = "thing.groups"        // thing name: joined or left a group
	GroupChanged       Kind = "group.changed"       // group name
	TypeChanged        Kind = "type.changed"        // thing type name
	TemplateChanged    Kind = "template.changed"    // template name
	RuleChanged        Kind = "rule.changed"        // topic rule name
	FunctionChanged    Kind = "function.changed"    // function name
	TenantChanged      Kind = "tenant.changed"      // account; made, changed, disabled or enabled
	KeyChanged         Kind = "key.changed"         // access key id
)

// An Event is one thing that happened.
type Event struct {
	Kind   Kind
	Tenant arn.Tenant
	ID     string
	Detail string
	At     time.Time
}
