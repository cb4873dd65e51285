package sqlite

import (
	"context"

	"github.com/slipway-iot/slipway/store/internal/records"
)

// Together runs one statement after the other. INSERTs that are alike were
// tried eight to a statement: what that spared was spent on the copies of pages
// that SQLite keeps of a statement which may fail in its middle.
func (c *conn) Together(ctx context.Context, all []*records.Statement) {
	for _, s := range all {
		switch {
		case s.Reads():
			s.Err = c.Query(ctx, s.Query, s.Args, s.Dest, s.Row)
		case s.Lists != nil:
			s.Err = c.ExecEach(ctx, s.Query, s.Lists)
		default:
			s.Changed, s.Err = c.Exec(ctx, s.Query, s.Args...)
		}
	}
}
