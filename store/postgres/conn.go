package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// A conn runs the statements of one transaction. PostgreSQL gives a
// transaction up at its first error, whatever the function makes of it, so
// the conn remembers.
type conn struct {
	tx     pgx.Tx
	wrote  bool
	again  bool  // lost a conflict, or the connection: nothing is stored
	failed error // any other error of a statement
}

var _ records.Conn = (*conn)(nil)

// Exec runs a statement and says how many rows it changed.
func (c *conn) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	c.wrote = true
	tag, err := c.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), c.judge(ctx, err)
}

// ExecEach sends all runs at once and then reads their answers.
func (c *conn) ExecEach(ctx context.Context, query string, lists [][]any) error {
	if len(lists) == 0 {
		return nil
	}
	c.wrote = true
	var b pgx.Batch
	for _, args := range lists {
		b.Queue(query, args...)
	}
	return c.judge(ctx, c.tx.SendBatch(ctx, &b).Close())
}

// Query fills dest from each row and calls each.
func (c *conn) Query(ctx context.Context, query string, args, dest []any, each func() error) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return c.judge(ctx, err)
	}
	var own error
	_, err = pgx.ForEachRow(rows, dest, func() error {
		own = each()
		return own
	})
	if own != nil {
		return own
	}
	return c.judge(ctx, err)
}

// Together sends all statements at once and then reads their answers.
func (c *conn) Together(ctx context.Context, all []*records.Statement) {
	var b pgx.Batch
	for _, s := range all {
		for _, args := range s.Lists {
			b.Queue(s.Query, args...)
		}
		if s.Lists == nil {
			b.Queue(s.Query, s.Args...)
		}
		c.wrote = c.wrote || !s.Reads()
	}
	answers := c.tx.SendBatch(ctx, &b)
	for _, s := range all {
		if s.Reads() {
			s.Err = c.read(ctx, answers, s)
			continue
		}
		for range max(1, len(s.Lists)) {
			tag, err := answers.Exec()
			if s.Changed = tag.RowsAffected(); s.Err == nil {
				s.Err = c.judge(ctx, err)
			}
		}
	}
	if err := c.judge(ctx, answers.Close()); err != nil && len(all) > 0 && all[0].Err == nil {
		all[0].Err = err
	}
}

func (c *conn) read(ctx context.Context, answers pgx.BatchResults, s *records.Statement) error {
	rows, err := answers.Query()
	if err != nil {
		return c.judge(ctx, err)
	}
	var own error
	_, err = pgx.ForEachRow(rows, s.Dest, func() error {
		own = s.Row()
		return own
	})
	if own != nil {
		return own
	}
	return c.judge(ctx, err)
}

// judge makes a fault of an error, and remembers it.
func (c *conn) judge(ctx context.Context, err error) error {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && conflict(e):
		c.again = true
		return fault.Wrap(fault.Conflict, err, "Another change came first; try again.")
	case e != nil && e.SeverityUnlocalized == "ERROR":
		err = fault.Wrap(fault.Internal, err, "The database refused a statement.")
	case ctx.Err() != nil:
		err = fault.Wrap(fault.Unavailable, err, "The caller left, or the database took too long; nothing was stored.")
	default:
		c.again = true
		return unreachable(err)
	}
	if c.failed == nil {
		c.failed = err
	}
	return err
}
