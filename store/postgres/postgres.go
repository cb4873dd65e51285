// Package postgres keeps Slipway's registry in PostgreSQL, for several nodes.
//
// Each Update is a SERIALIZABLE transaction of its own on a pool of
// connections, run again when it lost a conflict. It is never run again after
// a commit of unknown outcome: there the device asks again and meets the
// remembered answer.
package postgres

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/internal/migrate"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// Options say who opens the database.
type Options struct {
	// Node names this process in the outbox and must be its own among those
	// that run. If it is empty, every opening is a node of its own.
	Node string
	// Now stamps events that carry no time; time.Now if nil.
	Now func() time.Time
}

// A DB is an open PostgreSQL database.
type DB struct {
	pool *pgxpool.Pool
	node string
	now  func() time.Time

	memory    records.Memory
	outbox    handed
	committed chan struct{}
	commits   atomic.Int64
	retries   atomic.Int64
	seed      maphash.Seed  // of the jitter
	shake     atomic.Uint64 // drawn from it so far

	closed  chan struct{}
	closing sync.Once
	heart   sync.WaitGroup
}

var _ store.DB = (*DB)(nil)

// poolSize is how many connections are used unless the URL says pool_max_conns.
// The more transactions run at once, the more of them conflict: twice as many
// made no more devices a second and five times as many retries.
const poolSize = 8

// Open connects to the database at the URL and brings its schema up to date.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	config, err := configure(url)
	if err != nil {
		return nil, err
	}
	if err := migrated(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, unreachable(err)
	}
	db := &DB{
		pool:      pool,
		node:      o.Node,
		now:       o.Now,
		seed:      maphash.MakeSeed(),
		committed: make(chan struct{}, 1),
		closed:    make(chan struct{}),
	}
	if db.now == nil {
		db.now = time.Now
	}
	if err := db.join(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// planning says how PostgreSQL is to find rows: along the one index that each
// statement was written for, whatever it knows of the tables.
//
// On a small table it would rather read all, and then every insert by another
// transaction is a conflict. Before a table was analysed it would rather sort
// a part of it than follow the order of an index. It would plan lists anew at
// each run, for the sake of their limits: that takes longer than the lists
// themselves; and a plan that serves every limit would rather merge two tables
// than look up the few rows that a page holds, set several workers to it, or
// compile it into machine code because all rows of a large table might be asked
// for.
const planning = "SET enable_seqscan = off; SET enable_sort = off; SET enable_mergejoin = off; SET enable_hashjoin = off; SET max_parallel_workers_per_gather = 0; SET jit = off; SET plan_cache_mode = force_generic_plan"

func configure(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil { // its text may hold the password
		return nil, fault.New(fault.InvalidRequest, "The database URL is not one that PostgreSQL understands: expected postgres://USER@HOST/DATABASE.")
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, planning)
		return err
	}
	return config, nil
}

func migrated(ctx context.Context, config *pgx.ConnConfig) error {
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return unreachable(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	return migrate.Up(ctx, session{c}, migrate.Postgres)
}

// A session changes the schema over a connection of its own.
type session struct{ c *pgx.Conn }

func (s session) Script(ctx context.Context, statements string) error {
	return s.c.PgConn().Exec(ctx, statements).Close()
}

func (s session) Number(ctx context.Context, query string) (n int64, err error) {
	return n, s.c.QueryRow(ctx, query).Scan(&n)
}

// View runs f on a snapshot: it sees one committed state throughout.
func (db *DB) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	t, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return unreachable(err)
	}
	tx := records.Reader(&conn{tx: t}, &db.memory, nil)
	defer func() {
		tx.End()
		t.Rollback(context.WithoutCancel(ctx)) // a snapshot has nothing to lose
	}()
	return f(ctx, tx)
}

// Peek is View.
func (db *DB) Peek(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return db.View(ctx, f)
}

// acquire takes a connection from the pool.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, callerLeft(err)
	}
	select {
	case <-db.closed:
		return nil, errClosed()
	default:
	}
	c, err := db.pool.Acquire(ctx)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, callerLeft(ctx.Err())
	}
	return nil, unreachable(err)
}

// Update runs f in a SERIALIZABLE transaction, again after a conflict.
func (db *DB) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return db.update(ctx, f)
}

// Ping fails when the database cannot be reached or takes no writes.
func (db *DB) Ping(ctx context.Context) error {
	c, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	var standby bool
	if err := c.QueryRow(ctx, "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool").Scan(&standby); err != nil {
		return unreachable(err)
	}
	if standby {
		return fault.New(fault.Unavailable, "The database only reads.")
	}
	return nil
}

// Stats counts since Open. Every Update has a commit of its own.
func (db *DB) Stats() store.Stats {
	n := db.commits.Load()
	return store.Stats{Commits: n, Updates: n, Retries: db.retries.Load()}
}

// Close waits for the functions that run, leaves the circle of nodes and
// disconnects. It may be called again.
func (db *DB) Close() error {
	db.closing.Do(func() {
		close(db.closed)
		db.heart.Wait()
		db.leave()
		db.pool.Close()
	})
	return nil
}

func errClosed() error { return fault.New(fault.Unavailable, "The store is closed.") }

func callerLeft(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The caller left before its turn came; nothing was done.")
}

func unreachable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The database cannot be reached; nothing was stored; try again.")
}
