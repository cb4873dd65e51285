package records

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/event"
)

// An eventBody is an event as the outbox keeps it.
type eventBody struct {
	Kind   event.Kind `json:"k"`
	Tenant string     `json:"t"`
	ID     string     `json:"i"`
	Detail string     `json:"d,omitempty"`
	Body   string     `json:"b,omitempty"`
	At     int64      `json:"a"`
}

// PackEvents is the body of an outbox row.
func PackEvents(events []event.Event) (string, error) {
	out := make([]eventBody, len(events))
	for i, e := range events {
		out[i] = eventBody{e.Kind, e.Tenant.String(), e.ID, e.Detail, e.Body, micros(e.At)}
	}
	b, err := json.Marshal(out)
	return string(b), err
}

// OpenEvents reads what PackEvents wrote.
func OpenEvents(body string) ([]event.Event, error) {
	var in []eventBody
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return nil, damaged(err, "an event")
	}
	events := make([]event.Event, len(in))
	for i, e := range in {
		events[i] = event.Event{Kind: e.Kind, Tenant: tenant(e.Tenant), ID: e.ID, Detail: e.Detail, Body: e.Body, At: moment(e.At)}
	}
	return events, nil
}

// StoredEvents gives the events as OpenEvents would, none if JSON changes them.
func StoredEvents(events []event.Event) []event.Event {
	out := slices.Clone(events)
	for i, e := range out {
		if !utf8.ValidString(e.ID) || !utf8.ValidString(e.Detail) || !utf8.ValidString(e.Body) {
			return nil
		}
		out[i].At = moment(micros(e.At))
	}
	return out
}
