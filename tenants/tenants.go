// Package tenants holds accounts, their regions and the access keys that sign
// requests to the control plane (DESIGN.md, decisions 11 and 14).
package tenants

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
)

// A Role says which actions a key may call.
type Role string

const (
	Admin     Role = "admin"
	Operator  Role = "operator"
	Installer Role = "installer"
	Auditor   Role = "auditor"
	Function  Role = "function"
)

// A Record is one tenant: it exists once it was made.
type Record struct {
	Tenant   arn.Tenant
	Disabled bool
	Created  time.Time
	Settings Settings
}

// An AccessKey signs requests. The secret must be recoverable to verify a
// signature, so it is sealed, not hashed.
type AccessKey struct {
	ID        string // such as AKIA…; 12 to 128 letters and digits
	Account   string
	Role      Role
	Sealed    []byte
	Name      string // for people
	Disabled  bool
	Created   time.Time
	Templates []string // an installer's: those that it may hand out claims for
}

// Store is what this package asks of a database. Each Get answers
// fault.Missing when there is nothing, each Insert fault.Exists when there is
// something already.
type Store interface {
	Tenant(ctx context.Context, t arn.Tenant) (*Record, error)
	InsertTenant(ctx context.Context, r *Record) error
	UpdateTenant(ctx context.Context, r *Record) error
	ListTenants(ctx context.Context, p ref.Page) ([]*Record, string, error)

	AccessKey(ctx context.Context, id string) (*AccessKey, error)
	InsertAccessKey(ctx context.Context, k *AccessKey) error
	UpdateAccessKey(ctx context.Context, k *AccessKey) error
	ListAccessKeys(ctx context.Context, account string, p ref.Page) ([]*AccessKey, string, error)
	Emit(event.Event)
}
