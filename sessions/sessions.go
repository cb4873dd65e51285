// Package sessions holds what is kept of an MQTT session that outlives its
// connections: whose it is, its subscriptions, and the QoS 1 messages that its
// device has not acknowledged (MQTT 5.0, 4.1).
package sessions

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
)

// A Session is one client id's, or the queue of one shared group.
type Session struct {
	Tenant arn.Tenant `json:"-"`
	// ClientID is a group's whole filter, $share/GROUP/FILTER, which no client
	// id can be.
	ClientID string `json:"-"`
	// ID is unique. It tells the session from an earlier one of the client id,
	// and owns the queue.
	ID            string         `json:"-"`
	Version       mqtt.Version   `json:"version,omitempty"`
	Principal     string         `json:"principal,omitempty"` // kind/name, such as certificate/ID
	Thing         string         `json:"thing,omitempty"`     // of the connection that was there last
	Expiry        time.Duration  `json:"expiry,omitempty"`    // after the end of a connection
	Ended         time.Time      `json:"-"`                   // of the last connection; zero while there is one
	Connections   int            `json:"connections,omitempty"`
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
}

// A Subscription is one filter of a session.
type Subscription struct {
	Filter      string `json:"filter"`
	QoS         byte   `json:"qos,omitempty"`
	NoLocal     bool   `json:"noLocal,omitempty"`
	AsPublished bool   `json:"retainAsPublished,omitempty"`
}

// A Message waits in one session's queue.
type Message struct {
	Session   *Session  // whose; Queue leaves it nil
	Seq       int64     // its place in the queue; no two messages of a store share one
	Published time.Time // when it was accepted
	Expires   time.Time // zero: never
	Sent      time.Time // first, to whoever did not acknowledge it; zero: as far as is known, never
	Packet    []byte    // the PUBLISH, as MQTT 5 writes it
}

// Store is what sessions ask of a database.
type Store interface {
	// PutSession writes a session, whether or not there was one; one with
	// another ID takes its place, and must have been deleted first for its
	// queue's sake.
	PutSession(ctx context.Context, s *Session) error
	// DeleteSession forgets a session and its queue, if there is one of this
	// ID.
	DeleteSession(ctx context.Context, s *Session) error
	// ListSessions gives the sessions of all tenants, ordered by tenant and
	// client id.
	ListSessions(ctx context.Context, p ref.Page) ([]*Session, string, error)

	// Enqueue writes messages, but for those whose session is not there any
	// more.
	Enqueue(ctx context.Context, ms []Message) error
	// Queue gives the first messages of a session with a Seq above after.
	Queue(ctx context.Context, s *Session, after int64, limit int) ([]Message, error)
	// QueueSize counts a session's messages, and the bytes of their packets.
	QueueSize(ctx context.Context, s *Session) (count, bytes int64, err error)
	// Acknowledge deletes messages by Seq; those that are gone do not matter.
	Acknowledge(ctx context.Context, seqs []int64) error
	// MarkSent notes when messages were first sent; of each, Seq and Sent count.
	MarkSent(ctx context.Context, ms []Message) error
	// PruneQueue deletes up to limit messages of a session that expired before
	// the moment, and says how many went; those that never expire go at the end
	// of time, EndOfTime.
	PruneQueue(ctx context.Context, s *Session, before time.Time, limit int) (int, error)
	// LastSeq gives the highest Seq that is stored, 0 if there is none.
	LastSeq(ctx context.Context) (int64, error)
}

// EndOfTime is later than the expiry of any message.
var EndOfTime = time.UnixMicro(1<<62 + 1)
