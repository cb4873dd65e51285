package records

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// A Statement is one of several that run together.
type Statement struct {
	Query string
	Args  []any

	Lists [][]any // of an ExecEach; Args are empty then
	Dest  []any   // of a Query
	row   func() error
	echo  []*Statement // those that ask the same

	Changed int64 // outcome of an Exec: how many rows it changed
	Err     error
}

// Reads says that the statement is a Query: Row is called for each of its rows.
func (s *Statement) Reads() bool { return s.row != nil }

// Row hands a row on, which the driver has put into Dest.
func (s *Statement) Row() error {
	for _, e := range s.echo {
		for i, d := range s.Dest {
			duplicate(e.Dest[i], d)
		}
		if err := e.row(); err != nil {
			return err
		}
	}
	return s.row()
}

// duplicate copies between two destinations of a query's column.
func duplicate(to, from any) {
	switch d := to.(type) {
	case *string:
		*d = *from.(*string)
	case *int64:
		*d = *from.(*int64)
	case *[]byte:
		*d = slices.Clone(*from.(*[]byte))
	}
}

// A voice is one of the functions of Each. It is a coroutine: it runs until it
// has a statement, and goes on when that was answered.
type voice struct {
	next   func() (*Statement, bool)
	stop   func()
	err    error
	events []event.Event
}

// Each runs f for 0 to n-1. Each has a Tx of its own on tx's connection; when
// all of them wait for a statement, these run together.
func (tx *Tx) Each(ctx context.Context, n int, f func(ctx context.Context, tx store.Tx, i int) error) error {
	if err := tx.usable(nil); err != nil {
		return err
	}
	if tx.writes {
		defer tx.held.Forget() // what the voices write does not pass through it
	}
	voices := make([]*voice, 0, n)
	defer func() { // also when one of them panics
		for _, v := range voices {
			v.stop()
		}
	}()
	for i := range n {
		voices = append(voices, tx.voice(ctx, func(ctx context.Context, tx store.Tx) error { return f(ctx, tx, i) }))
	}
	for singing := slices.Clone(voices); len(singing) > 0; {
		var asked []*Statement
		still := singing[:0]
		for _, v := range singing {
			s, more := v.next()
			if more {
				asked, still = append(asked, s), append(still, v)
			} else if v.err != nil {
				return v.err
			}
		}
		if singing = still; len(asked) > 0 {
			tx.together(ctx, asked)
		}
	}
	for _, v := range voices {
		tx.events = append(tx.events, v.events...)
	}
	return nil
}

func (tx *Tx) voice(ctx context.Context, f func(context.Context, store.Tx) error) *voice {
	v := &voice{}
	v.next, v.stop = iter.Pull(func(yield func(*Statement) bool) {
		own := &Tx{conn: &mouth{yield: yield}, memory: tx.memory, now: tx.now, writes: tx.writes}
		defer func() { v.events = own.End() }()
		v.err = f(ctx, own)
	})
	return v
}

// together runs statements of one moment: the same question once, and those
// that are alike beside each other, so that a driver finds them.
func (tx *Tx) together(ctx context.Context, asked []*Statement) {
	slices.SortStableFunc(asked, func(a, b *Statement) int { return strings.Compare(a.Query, b.Query) })
	distinct := asked[:0:0]
	var last *Statement
	for _, s := range asked {
		if last != nil && last.asks(s) {
			last.echo = append(last.echo, s)
			continue
		}
		distinct, last = append(distinct, s), s
	}
	tx.conn.Together(ctx, distinct)
	for _, s := range distinct {
		for _, e := range s.echo {
			e.Err = s.Err
		}
	}
}

// asks says whether both are the same question.
func (s *Statement) asks(other *Statement) bool {
	return s.Reads() && other.Reads() && s.Query == other.Query && slices.EqualFunc(s.Args, other.Args, func(a, b any) bool {
		if x, ok := a.([]byte); ok {
			y, ok := b.([]byte)
			return ok && bytes.Equal(x, y)
		}
		if _, ok := b.([]byte); ok {
			return false
		}
		return a == b
	})
}

// A mouth is the connection as a voice sees it.
type mouth struct {
	yield func(*Statement) bool
	over  bool
}

var _ Conn = (*mouth)(nil)

func (m *mouth) say(s *Statement) error {
	if m.over || !m.yield(s) {
		m.over = true
		return fault.New(fault.Internal, "Another part of this transaction failed.")
	}
	return s.Err
}

func (m *mouth) Exec(_ context.Context, query string, args ...any) (int64, error) {
	s := &Statement{Query: query, Args: args}
	err := m.say(s)
	return s.Changed, err
}

func (m *mouth) ExecEach(_ context.Context, query string, lists [][]any) error {
	if len(lists) == 0 {
		return nil
	}
	return m.say(&Statement{Query: query, Lists: lists})
}

func (m *mouth) Query(_ context.Context, query string, args, dest []any, each func() error) error {
	return m.say(&Statement{Query: query, Args: args, Dest: dest, row: each})
}

func (m *mouth) Together(_ context.Context, all []*Statement) {
	for _, s := range all {
		s.Err = m.say(s)
	}
}
