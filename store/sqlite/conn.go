package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// A mode is what a connection is for.
type mode int

const (
	writing mode = iota
	reading
)

// Statements without arguments that the driver runs around every function.
const (
	begin     = "BEGIN"
	beginNow  = "BEGIN IMMEDIATE"
	commit    = "COMMIT"
	rollback  = "ROLLBACK"
	savepoint = "SAVEPOINT turn"
	keep      = "RELEASE turn"
	undo      = "ROLLBACK TO turn"
)

// A conn is one connection with its prepared statements. One goroutine uses it
// at a time. It speaks to the driver directly: database/sql would add its own
// locks, goroutines and copies to statements that take a few microseconds.
type conn struct {
	raw    driver.Conn
	stmts  map[string]statement
	args   []driver.NamedValue // scratch
	row    []driver.Value      // scratch
	broken error               // the first error after which SQLite may have rolled back
}

var _ records.Conn = (*conn)(nil)

// A statement is what the SQLite driver's statements can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// openConn opens the file at path. Where it is to be durable, a commit returns
// after the log was flushed to disk.
func openConn(path string, m mode, durable bool) (*conn, error) {
	raw, err := new(sqlite.Driver).Open((&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The database file cannot be opened.")
	}
	c := &conn{raw: raw, stmts: make(map[string]statement)}
	for _, p := range pragmas(m, durable) {
		if err := c.run("PRAGMA " + p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func pragmas(m mode, durable bool) []string {
	p := []string{"busy_timeout = 5000", "temp_store = MEMORY"}
	if m == reading { // its cache holds the inner pages of a million things
		return append(p, "query_only = ON", "cache_size = -16384")
	}
	flush := "OFF"
	if durable {
		flush = "FULL"
	}
	return append(p, "journal_mode = WAL", "synchronous = "+flush, "cache_size = -8192",
		"wal_autocheckpoint = 6000", "journal_size_limit = 67108864")
}

// run runs a statement without arguments.
func (c *conn) run(query string) error {
	_, err := c.Exec(context.Background(), query)
	return err
}

// Exec ignores the end of ctx: a statement cut short would take the group's
// transaction with it.
func (c *conn) Exec(_ context.Context, query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), c.named(args))
	if err != nil {
		return 0, c.failed(err)
	}
	return result.RowsAffected()
}

// ExecEach runs the statement for each list of arguments: an INSERT for eight
// of them at a time, since starting a statement costs more than a row.
func (c *conn) ExecEach(ctx context.Context, query string, lists [][]any) error {
	if many := eightfold(query); many != "" {
		for ; len(lists) >= 8; lists = lists[8:] {
			if _, err := c.Exec(ctx, many, slices.Concat(lists[:8]...)...); err != nil {
				return err
			}
		}
	}
	for _, args := range lists {
		if _, err := c.Exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

var oneRow = regexp.MustCompile(`\bVALUES (\([$0-9, ]+\))`)

// eightfold writes an INSERT of one row as one of eight; any other statement
// gives "".
func eightfold(query string) string {
	at := oneRow.FindStringSubmatchIndex(query)
	if at == nil {
		return ""
	}
	row := numbered.ReplaceAllString(query[at[2]:at[3]], "?")
	return query[:at[2]] + strings.Repeat(row+", ", 7) + row + query[at[3]:]
}

// Query looks at ctx before it begins and between rows.
func (c *conn) Query(ctx context.Context, query string, args, dest []any, each func() error) error {
	if err := ctx.Err(); err != nil {
		return callerLeft(err)
	}
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), c.named(args))
	if err != nil {
		return c.failed(err)
	}
	defer rows.Close()
	if cap(c.row) < len(dest) {
		c.row = make([]driver.Value, len(dest))
	}
	for {
		switch err := rows.Next(c.row[:len(dest)]); {
		case err == io.EOF:
			return nil
		case err != nil:
			return c.failed(err)
		}
		if err := scan(c.row[:len(dest)], dest); err != nil {
			return err
		}
		if err := each(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return callerLeft(err)
		}
	}
}

func scan(row []driver.Value, dest []any) error {
	for i, v := range row {
		ok := true
		switch d := dest[i].(type) {
		case *string:
			*d, ok = v.(string)
		case *int64:
			*d, ok = v.(int64)
		case *[]byte:
			*d, ok = v.([]byte)
		default:
			ok = false
		}
		if !ok {
			return fault.New(fault.Internal, "Column %d of a record has an unexpected type.", i+1)
		}
	}
	return nil
}

// named gives args in the driver's form, valid until the next call.
func (c *conn) named(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// prepare gives the connection's own compiled form of the query.
func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	raw, err := c.raw.Prepare(unnamed(query))
	if err != nil {
		return nil, c.failed(err)
	}
	s, ok := raw.(statement)
	if !ok {
		raw.Close()
		return nil, fault.New(fault.Internal, "The SQLite driver lacks an interface that Slipway needs.")
	}
	c.stmts[query] = s
	return s, nil
}

var numbered = regexp.MustCompile(`\$[0-9]+`)

// unnamed writes ? for $1, $2, … where they come once each and in order, as in
// package records. SQLite takes $1 for a name, and the driver would look each
// name up at every run.
func unnamed(query string) string {
	for i, p := range numbered.FindAllString(query, -1) {
		if p != "$"+strconv.Itoa(i+1) {
			return query
		}
	}
	return numbered.ReplaceAllString(query, "?")
}

// failed makes a fault of an SQLite error. Some errors end the whole
// transaction, not the statement alone; they mark the connection.
func (c *conn) failed(err error) error {
	var e *sqlite.Error
	code := lib.SQLITE_ERROR
	if errors.As(err, &e) {
		code = e.Code() & 0xff
	}
	switch code {
	case lib.SQLITE_ERROR, lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG,
		lib.SQLITE_RANGE, lib.SQLITE_MISUSE, lib.SQLITE_READONLY:
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		c.broken = fault.Wrap(fault.Unavailable, err, "Another process holds the database; try again.")
		return c.broken
	case lib.SQLITE_FULL:
		c.broken = fault.Wrap(fault.Internal, err, "The disk is full; nothing was stored.")
		return c.broken
	default:
		c.broken = fault.Wrap(fault.Internal, err, "The database failed; nothing was stored.")
		return c.broken
	}
	return fault.Wrap(fault.Internal, err, "The database refused a statement.")
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.raw.Close()
}

// text and number read a single value.
func (c *conn) text(query string) (string, error) {
	var v string
	err := c.Query(context.Background(), query, nil, []any{&v}, func() error { return nil })
	return v, err
}

func (c *conn) number(query string) (int64, error) {
	var v int64
	err := c.Query(context.Background(), query, nil, []any{&v}, func() error { return nil })
	return v, err
}
