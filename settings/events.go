package settings

import (
	"context"
	"maps"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/internal/documents"
)

// eventTypes are all that AWS has a switch for (hooks-and-events.md, section
// 6.2).
var eventTypes = []string{
	"THING", "THING_GROUP", "THING_TYPE", "THING_GROUP_MEMBERSHIP", "THING_GROUP_HIERARCHY",
	"THING_TYPE_ASSOCIATION", "JOB", "JOB_EXECUTION", "POLICY", "CERTIFICATE", "CA_CERTIFICATE",
}

// Events says which events the registry publishes.
type Events struct {
	Enabled  map[string]bool `json:"enabled"` // by event type, complete
	Created  time.Time       `json:"created"` // zero until they were set
	Modified time.Time       `json:"modified"`
}

// GetEvents reads the switches; all of them are there, off until set.
func GetEvents(ctx context.Context, s Store, t arn.Tenant) (*Events, error) {
	var stored Events
	if _, err := load(ctx, s, t, eventConfigurations, theOne, &stored); err != nil {
		return nil, err
	}
	enabled := make(map[string]bool, len(eventTypes))
	for _, kind := range eventTypes {
		enabled[kind] = stored.Enabled[kind]
	}
	stored.Enabled = enabled
	return &stored, nil
}

// UpdateEvents sets the switches that are given and leaves the others.
func UpdateEvents(ctx context.Context, s Store, t arn.Tenant, enabled map[string]bool, now time.Time) error {
	e, err := GetEvents(ctx, s, t)
	if err != nil {
		return err
	}
	maps.Copy(e.Enabled, enabled)
	if e.Modified = now; e.Created.IsZero() {
		e.Created = now
	}
	if err := documents.Put(ctx, s, t, eventConfigurations, theOne, e); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.EventsChanged, Tenant: t, ID: t.Account, At: now})
	return nil
}
