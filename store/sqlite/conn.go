package sqlite

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

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
// at a time.
type conn struct {
	lib    *library
	stmts  map[string]*compiled
	broken error // the first error after which SQLite may have rolled back
}

var _ records.Conn = (*conn)(nil)

// openConn opens the file at path. Where it is to be durable, a commit returns
// after the log was flushed to disk.
func openConn(path string, m mode, durable bool) (*conn, error) {
	l, err := openLibrary(path)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The database file cannot be opened.")
	}
	c := &conn{lib: l, stmts: make(map[string]*compiled)}
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
		"wal_autocheckpoint = 0", "journal_size_limit = 67108864")
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
	if err := c.lib.bind(s, args); err != nil {
		return 0, c.failed(err)
	}
	more := true
	for more && err == nil { // some statements give rows that nobody asked for
		more, err = c.lib.step(s)
	}
	c.lib.reset(s)
	if err != nil {
		return 0, c.failed(err)
	}
	return c.lib.changes(), nil
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
	// One that fails leaves the rows before the failing one, as eight statements
	// would: SQLite then need not copy each page before it changes it.
	head := strings.Replace(query[:at[2]], "INSERT INTO", "INSERT OR FAIL INTO", 1)
	return head + strings.Repeat(row+", ", 7) + row + query[at[3]:]
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
	if err := c.lib.bind(s, args); err != nil {
		return c.failed(err)
	}
	defer c.lib.reset(s)
	for {
		more, err := c.lib.step(s)
		if err != nil {
			return c.failed(err)
		}
		if !more {
			return nil
		}
		for i, d := range dest {
			if !c.lib.column(s, int32(i), d) {
				return fault.New(fault.Internal, "Column %d of a record has an unexpected type.", i+1)
			}
		}
		if err := each(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return callerLeft(err)
		}
	}
}

// prepare gives the connection's own compiled form of the query.
func (c *conn) prepare(query string) (*compiled, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.lib.compile(plain(query))
	if err != nil {
		return nil, c.failed(err)
	}
	c.stmts[query] = s
	return s, nil
}

// forget drops a prepared statement that is at rest.
func (c *conn) forget(query string) {
	if s, ok := c.stmts[query]; ok {
		c.lib.finalize(s)
		delete(c.stmts, query)
	}
}

var numbered = regexp.MustCompile(`\$([0-9]+)`)

// plain writes ?1, ?2, … for $1, $2, …, which SQLite would take for names and
// number in the order in which they come.
func plain(query string) string { return numbered.ReplaceAllString(query, "?$1") }

// failed makes a fault of an SQLite error. Some errors end the whole
// transaction, not the statement alone; they mark the connection.
func (c *conn) failed(err error) error {
	var f *failure
	code := lib.SQLITE_ERROR
	if errors.As(err, &f) {
		code = f.code & 0xff
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
		c.lib.finalize(s)
	}
	return c.lib.close()
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
