// Package attempts holds the timeline of one device's try, from the first byte
// on the wire to its end (DESIGN.md, decision 8).
//
// A Recorder belongs to one connection. It gathers steps, and says at the end
// whether the attempt is worth keeping: one that asked for provisioning or was
// refused anything is; an ordinary reconnect is not.
package attempts

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ref"
)

// An Outcome is how an attempt ended.
type Outcome string

const (
	Provisioned Outcome = "provisioned" // a thing came of it
	Refused     Outcome = "refused"     // a rule said no
	Failed      Outcome = "failed"      // the network, the device or the server broke off
	Connected   Outcome = "connected"   // an ordinary connection
)

// A Step is one entry of the timeline.
type Step struct {
	After   time.Duration `json:"after"` // since the attempt opened
	Name    string        `json:"name"`  // tls, connect, subscribe, create, register, function, …
	Text    string        `json:"text"`
	Refused bool          `json:"refused,omitempty"`
}

// An Attempt is one device's try.
type Attempt struct {
	ID       string     `json:"id"`
	Tenant   arn.Tenant `json:"-"`
	Opened   time.Time  `json:"opened"`
	Closed   time.Time  `json:"closed"`
	Door     string     `json:"door"` // claim, trusted, connect, …
	Remote   string     `json:"remote"`
	ClientID string     `json:"clientId,omitempty"`
	CertID   arn.CertID `json:"certificateId,omitempty"` // of the connection
	NewCert  arn.CertID `json:"newCertificateId,omitempty"`
	Thing    string     `json:"thing,omitempty"`
	Template string     `json:"template,omitempty"`
	Outcome  Outcome    `json:"outcome"`
	Reason   string     `json:"reason,omitempty"` // the sentence that refused it
	Count    int        `json:"count"`            // alike attempts folded into this row (before authentication)
	Steps    []Step     `json:"steps"`
	// Keys are what `slipway trace` finds the attempt by: serials and other
	// parameter values, certificate ids, thing, client id, address.
	Keys []string `json:"-"`
}

// Store is what this package asks of a database.
type Store interface {
	InsertAttempts(ctx context.Context, as []*Attempt) error
	// FindAttempts gives the newest attempts of the tenant that carry the
	// key; an empty key finds all.
	FindAttempts(ctx context.Context, t arn.Tenant, key string, p ref.Page) ([]*Attempt, string, error)
	// PruneAttempts deletes up to limit attempts closed before the moment and
	// says how many went.
	PruneAttempts(ctx context.Context, before time.Time, limit int) (int, error)
}

// Copy gives an attempt of its own, sharing only what never changes.
func (a *Attempt) Copy() *Attempt {
	b := *a
	return &b
}
