package rules

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// A Status is the state of a destination.
type Status string

const (
	InProgress Status = "IN_PROGRESS" // an endpoint was challenged and has not confirmed
	Enabled    Status = "ENABLED"
	Disabled   Status = "DISABLED" // confirmed, and switched off
)

// A Destination is where the HTTP or Kafka actions of rules may go: an
// endpoint that confirmed that it wants to be called, or a VPC.
type Destination struct {
	ID        string          `json:"id"` // http/UUID or vpc/UUID, as in its ARN
	Status    Status          `json:"status"`
	Reason    string          `json:"reason,omitempty"`
	URL       string          `json:"url,omitempty"` // the confirmation URL of an endpoint
	VPC       json.RawMessage `json:"vpc,omitempty"` // as it came
	Created   time.Time       `json:"created"`
	Updated   time.Time       `json:"updated"`
	Challenge string          `json:"challenge,omitempty"` // of the last confirmation message
}

// ARN names the destination.
func (d *Destination) ARN(t arn.Tenant) string { return t.Resource("ruledestination", d.ID) }

// idOf reads the ARN of a destination of the tenant.
func idOf(t arn.Tenant, name string) (string, error) {
	n, err := arn.Parse(name)
	if err != nil {
		return "", err
	}
	if n.Service != "iot" || n.Kind != "ruledestination" {
		return "", fault.New(fault.InvalidRequest, "%s is not the ARN of a topic rule destination.", arn.Clip(name, 200))
	}
	if n.Tenant() != t {
		return "", hidden(nil, name)
	}
	return n.ID, nil
}

func hidden(err error, name string) error {
	return fault.Wrap(fault.Unauthorized, err, "Access to TopicRuleDestination '%s' was denied", arn.Clip(name, 200))
}

// Endpoint makes the destination of an HTTP endpoint, which has to confirm.
// There is one destination for a URL.
func Endpoint(ctx context.Context, s Store, t arn.Tenant, confirmationURL string, now time.Time) (*Destination, error) {
	u, err := url.Parse(confirmationURL)
	if err != nil || u.Host == "" || u.Scheme != "https" {
		return nil, fault.New(fault.InvalidRequest, "confirmationUrl %q: expected an https URL.", arn.Clip(confirmationURL, 200))
	}
	if err := checkURLFree(ctx, s, t, confirmationURL); err != nil {
		return nil, err
	}
	d := &Destination{ID: "http/" + ref.ID(t.String(), "destination", confirmationURL, now), URL: confirmationURL, Created: now}
	d.challenge(t, now)
	return d, d.put(ctx, s, t)
}

func checkURLFree(ctx context.Context, s Store, t arn.Tenant, confirmationURL string) error {
	for p := ref.All; ; {
		page, next, err := Destinations(ctx, s, t, p)
		if err != nil {
			return err
		}
		for _, d := range page {
			if d.URL == confirmationURL {
				e := fault.New(fault.Exists, "A destination for confirmationUrl %s already exists", arn.Clip(confirmationURL, 200))
				e.ResourceID, e.ResourceARN = d.ID, d.ARN(t)
				return e
			}
		}
		if next == "" {
			return nil
		}
		p.After = next
	}
}

// VPC makes the destination of a virtual private cloud. Nothing is set up for
// it: what this server reaches is a matter of its host's network, so it is
// ENABLED at once.
func VPC(ctx context.Context, s Store, t arn.Tenant, properties json.RawMessage, now time.Time) (*Destination, error) {
	d := &Destination{
		ID: "vpc/" + ref.ID(t.String(), "destination", string(properties), now), Status: Enabled,
		VPC: properties, Created: now, Updated: now,
	}
	return d, d.put(ctx, s, t)
}

func (d *Destination) put(ctx context.Context, s Store, t arn.Tenant) error {
	return documents.Put(ctx, s, t, DestinationDocument, d.ID, d)
}

// challenge begins a confirmation. Earlier challenges confirm nothing any more.
func (d *Destination) challenge(t arn.Tenant, now time.Time) {
	d.Status, d.Updated = InProgress, now
	d.Reason = "Awaiting confirmation. Confirmation message sent on " + now.UTC().Format(time.RFC3339) + "."
	d.Challenge = ref.ID(t.String(), "challenge", d.ID, now)
}

// GetDestination gives a destination by its ARN.
func GetDestination(ctx context.Context, s Store, t arn.Tenant, name string) (*Destination, error) {
	id, err := idOf(t, name)
	if err != nil {
		return nil, err
	}
	d, err := documents.Find[Destination](ctx, s, t, DestinationDocument, id)
	if fault.Is(err, fault.Missing) {
		err = hidden(err, name)
	}
	return d, err
}

// SetStatus moves a destination: a confirmed one between ENABLED and DISABLED,
// and any endpoint to IN_PROGRESS, which challenges it anew.
func SetStatus(ctx context.Context, s Store, t arn.Tenant, name string, to Status, now time.Time) (*Destination, error) {
	d, err := GetDestination(ctx, s, t, name)
	if err != nil {
		return nil, err
	}
	confirmed := d.Status == Enabled || d.Status == Disabled
	switch {
	case to == InProgress && d.URL != "":
		d.challenge(t, now)
	case confirmed && (to == Enabled || to == Disabled):
		d.Status, d.Updated = to, now
	case to == Enabled || to == Disabled:
		return nil, fault.New(fault.InvalidRequest, "The destination is %s and cannot become %s: its endpoint has to confirm first.", d.Status, to)
	default:
		return nil, fault.New(fault.InvalidRequest, "The destination is %s and cannot become %s: expected ENABLED, DISABLED or, for an HTTP endpoint, IN_PROGRESS.", d.Status, to)
	}
	return d, d.put(ctx, s, t)
}

// Undelivered notes why the last confirmation message did not reach the
// endpoint. A destination that moved on meanwhile stays as it is.
func Undelivered(ctx context.Context, s Store, t arn.Tenant, d *Destination, why string, now time.Time) error {
	stored, err := documents.Find[Destination](ctx, s, t, DestinationDocument, d.ID)
	if fault.Is(err, fault.Missing) || err == nil && (stored.Challenge != d.Challenge || stored.Status != InProgress) {
		return nil
	}
	if err != nil {
		return err
	}
	stored.Reason, stored.Updated = why, now
	*d = *stored
	return d.put(ctx, s, t)
}

// Confirm enables the destination that was challenged so; confirming twice is
// confirming.
func Confirm(ctx context.Context, s Store, t arn.Tenant, id, challenge string, now time.Time) error {
	d, err := documents.Find[Destination](ctx, s, t, DestinationDocument, id)
	if err != nil && !fault.Is(err, fault.Missing) {
		return err
	}
	if err != nil || d.Challenge != challenge {
		return fault.New(fault.InvalidRequest, "The confirmation token is not that of the last confirmation message of a destination.")
	}
	if d.Status != InProgress {
		return nil
	}
	d.Status, d.Reason, d.Updated = Enabled, "", now
	return d.put(ctx, s, t)
}

// DeleteDestination removes a destination; one that is not there is deleted
// already.
func DeleteDestination(ctx context.Context, s Store, t arn.Tenant, name string) error {
	id, err := idOf(t, name)
	if err != nil {
		return err
	}
	return documents.Drop(ctx, s, t, DestinationDocument, id)
}

// Destinations gives a page of destinations, and the cursor of the next.
func Destinations(ctx context.Context, s Store, t arn.Tenant, p ref.Page) ([]*Destination, string, error) {
	return documents.List[Destination](ctx, s, t, DestinationDocument, p)
}
