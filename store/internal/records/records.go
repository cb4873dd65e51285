// Package records is the SQL of Slipway's registry, written once for every
// database that understands it.
//
// A driver owns connections, transactions, retries and the outbox; it hands
// each transaction to this package as a Conn and gets a store.Tx back.
// Statements use $1, $2, … each once and in order, text keys are compared by
// their bytes, times are microseconds since 1970 in UTC, booleans 0 and 1.
package records

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// A Conn runs SQL inside one open transaction. Arguments are string, int64 or
// []byte; destinations are pointers to these. Its errors are faults already.
type Conn interface {
	// Exec runs a statement and says how many rows it changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// ExecEach runs the statement once for each list of arguments.
	ExecEach(ctx context.Context, query string, lists [][]any) error
	// Query fills dest from each row in turn and calls each, which runs no
	// SQL itself.
	Query(ctx context.Context, query string, args, dest []any, each func() error) error
	// Together runs statements that do not depend on each other, in any order,
	// and fills in their outcomes. After one failed the others may have failed.
	Together(ctx context.Context, all []*Statement)
}

// Tx is the store.Tx of one transaction on a Conn.
type Tx struct {
	conn   Conn
	memory *Memory
	held   *Held
	now    func() time.Time
	node   string // who writes
	writes bool
	ended  bool
	events []event.Event

	limited *tenants.Record // whose limits were asked for last
}

var _ store.Tx = (*Tx)(nil)

// New makes the Tx of a transaction of the node that may write. Its events are
// stamped with now where they carry no time.
func New(c Conn, m *Memory, h *Held, now func() time.Time, node string) *Tx {
	return &Tx{conn: c, memory: m, held: h, now: now, node: node, writes: true}
}

// Reader makes the Tx of a transaction that only reads.
func Reader(c Conn, m *Memory, h *Held) *Tx { return &Tx{conn: c, memory: m, held: h} }

// End makes every later call fail, so that a Tx which outlives its function
// cannot touch a neighbour's transaction, and gives the events that it emitted.
func (tx *Tx) End() []event.Event {
	tx.ended = true
	return tx.events
}

// Emit queues an event for the outbox. In a transaction that only reads it
// does nothing, since nothing happened.
func (tx *Tx) Emit(e event.Event) {
	if !tx.writes || tx.ended {
		return
	}
	if e.At.IsZero() {
		e.At = tx.now()
	}
	tx.events = append(tx.events, e)
}

// usable says why a call cannot be served, if it cannot.
func (tx *Tx) usable(args []any) error {
	if tx.ended {
		return fault.New(fault.Internal, "This transaction has ended.")
	}
	for _, a := range args {
		if s, ok := a.(string); ok && !storable(s) {
			return fault.New(fault.InvalidRequest, "%q: expected valid UTF-8 without NUL characters.", arn.Clip(s, 80))
		}
	}
	return nil
}

func storable(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// clean makes foreign text storable that nobody looks up byte by byte.
func clean(s string) string {
	if storable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if !tx.writes {
		return 0, fault.New(fault.Internal, "This transaction only reads.")
	}
	if err := tx.usable(args); err != nil {
		return 0, err
	}
	return tx.conn.Exec(ctx, query, args...)
}

func (tx *Tx) execEach(ctx context.Context, query string, lists [][]any) error {
	if !tx.writes {
		return fault.New(fault.Internal, "This transaction only reads.")
	}
	for _, args := range lists {
		if err := tx.usable(args); err != nil {
			return err
		}
	}
	return tx.conn.ExecEach(ctx, query, lists)
}

func (tx *Tx) query(ctx context.Context, query string, args, dest []any, each func() error) error {
	if err := tx.usable(args); err != nil {
		return err
	}
	return tx.conn.Query(ctx, query, args, dest, each)
}

// get fills dest from the one row there is, and says whether there is one.
func (tx *Tx) get(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	found := false
	err := tx.query(ctx, query, args, dest, func() error {
		found = true
		return nil
	})
	return found && err == nil, err
}

// expect turns a statement that changed no row into a fault of kind k.
func expect(n int64, err error, k fault.Kind, format string, args ...any) error {
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(k, format, args...)
	}
	return nil
}

// micros is t as it is stored. The zero time survives the journey.
func micros(t time.Time) int64 { return t.UnixMicro() }

func moment(us int64) time.Time { return time.UnixMicro(us).UTC() }

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// tenant reads what arn.Tenant.String wrote.
func tenant(s string) arn.Tenant {
	account, region, _ := strings.Cut(s, "/")
	return arn.Tenant{Account: account, Region: region}
}
