// Package store is the contract between Slipway's rules and a database.
//
// Two drivers keep it: sqlite, embedded and the default, and postgres. Both
// pass storetest.Run. A transaction embeds the narrow interfaces that the
// domain packages declare, so a rule written over one of them composes inside
// any caller's transaction.
package store

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/retained"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wills"
)

// A Tx is one transaction. It is valid until the function that received it
// returns, and belongs to that function's goroutine.
//
// Within View every method that writes fails with fault.Internal.
type Tx interface {
	certs.Store
	things.Store
	policy.Store
	templates.Store
	tenants.Store
	attempts.Store
	audit.Store
	retained.Store
	wills.Store
	sessions.Store

	// Link gives one link; fault.Missing if the two are not tied.
	Link(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (ref.Link, error)

	// Document, PutDocument, DeleteDocument and ListDocuments keep registry
	// resources that nothing queries by content. Document answers
	// fault.Missing when there is none. Lists are ordered by name.
	Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error)
	PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error
	DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error
	ListDocuments(ctx context.Context, t arn.Tenant, kind string, p ref.Page) (names []string, bodies [][]byte, next string, err error)

	// Each runs f for 0 to n-1, each with a Tx that is good for that call, as
	// parts of this transaction. Their statements take turns, so that a driver
	// may run those of many parts at once: no part reads what another one
	// writes, or writes it too. One goroutine runs at a time. Where a part fails
	// the others end where they are, and the caller fails with the error that
	// Each gives.
	Each(ctx context.Context, n int, f func(ctx context.Context, tx Tx, i int) error) error
}

// A DB holds everything that must survive.
//
// What Update's function did is on disk before Update returns nil. Update may
// run the function again after a conflict, so it touches nothing but its Tx and
// variables that it sets anew each time; it never runs it again after a commit
// of unknown outcome. Closures are short: no signing, no network. Update gives
// the function a context of its own, since a caller's cancelled write would
// undo its neighbours in a shared commit: the caller's context ends at the door.
type DB interface {
	View(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	// Peek is View for a few lookups by key, such as a device waits for: a
	// driver may let it pass between its writes, so f holds everyone up who
	// writes. It sees one committed state throughout, as View does.
	Peek(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	Update(ctx context.Context, f func(ctx context.Context, tx Tx) error) error

	// Outbox gives up to limit committed events of this node in commit order,
	// with the position to pass to Forget once they were carried away. Events
	// of one Update are never parted: the last one may bring more than limit.
	Outbox(ctx context.Context, limit int) (events []event.Event, position int64, err error)
	Forget(ctx context.Context, position int64) error
	// Committed receives a token whenever events may wait in the outbox.
	Committed() <-chan struct{}
	// Adopt takes over events that a dead node left in its outbox, and says
	// how many.
	Adopt(ctx context.Context) (int, error)

	// Ping fails when the database cannot be reached or written.
	Ping(ctx context.Context) error
	Stats() Stats
	Close() error
}

// Stats counts what the store did since it was opened.
type Stats struct {
	Commits int64 // commits on disk
	Updates int64 // calls of Update that were committed; Updates/Commits is the batch size
	Retries int64 // functions run again after a conflict
}

// Kinds of documents that have no type of their own.
const (
	FunctionDocument = "function"
)
