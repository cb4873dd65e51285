package templates

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
)

// The types of a named template (templates.md, section 7).
const (
	FleetProvisioning = "FLEET_PROVISIONING"
	JustInTime        = "JITP"
)

// A Record is a named template with its versions, at most five, oldest first.
type Record struct {
	Tenant      arn.Tenant
	Name        string
	Description string
	Type        string // FleetProvisioning or JustInTime
	Enabled     bool
	RoleARN     string
	Hook        *HookRecord
	Default     int // id of the default version
	Next        int // id of the next version; ids are never reused
	Versions    []VersionRecord
	Created     time.Time
	Modified    time.Time
	Tags        map[string]string
}

// A HookRecord names the pre-provisioning function.
type HookRecord struct {
	PayloadVersion string
	TargetARN      string
}

// A VersionRecord is one immutable body.
type VersionRecord struct {
	ID      int // from 1
	Body    string
	Created time.Time
}

// Version gives the version with the id, or nil.
func (r *Record) Version(id int) *VersionRecord {
	for i := range r.Versions {
		if r.Versions[i].ID == id {
			return &r.Versions[i]
		}
	}
	return nil
}

// Store is what the registry of templates asks of a database. TemplateRecord
// answers fault.Missing when there is none.
type Store interface {
	TemplateRecord(ctx context.Context, t arn.Tenant, name string) (*Record, error)
	PutTemplate(ctx context.Context, r *Record) error
	DeleteTemplate(ctx context.Context, t arn.Tenant, name string) error
	ListTemplates(ctx context.Context, t arn.Tenant, p ref.Page) ([]*Record, string, error)
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
	Emit(event.Event)
}
