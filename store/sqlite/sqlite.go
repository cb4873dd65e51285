// Package sqlite keeps Slipway's registry in one SQLite file: the default, for
// a single node.
//
// One connection writes and a few read. The writer makes a group of whatever
// waits: all share one commit, so that one flush of the disk serves many
// devices, and one that fails is undone alone. Nothing is answered before
// its commit is on disk (WAL, synchronous=FULL).
package sqlite

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// Options say where the database is. The zero value is a private one.
type Options struct {
	// Path of the database file. Empty or ":memory:" makes a private database
	// that vanishes with Close and takes no care to survive a crash.
	Path string
	// Now stamps events that carry no time; time.Now if nil.
	Now func() time.Time
}

// A DB is an open SQLite database.
type DB struct {
	path    string
	scratch string // directory to remove at Close; empty unless private
	now     func() time.Time

	writer  *writer
	folder  *folder
	readers readers
	conns   []*conn // all of them, the writer's first

	memory    records.Memory
	committed chan struct{}
	at        positions // in the outbox
	commits   atomic.Int64
	updates   atomic.Int64
	retries   atomic.Int64

	closed   chan struct{}
	closing  sync.Once
	closeErr error
}

var _ store.DB = (*DB)(nil)

// readerCount bounds the functions that read at the same time.
const readerCount = 4

// Open opens the database, makes it if need be, and brings its schema up to
// date.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{
		path:      o.Path,
		now:       o.Now,
		readers:   readers{free: make(chan struct{}, readerCount)},
		committed: make(chan struct{}, 1),
		closed:    make(chan struct{}),
	}
	if db.now == nil {
		db.now = time.Now
	}
	if err := db.open(ctx); err != nil {
		db.release()
		return nil, err
	}
	go db.writer.run()
	go db.folder.run()
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := db.locate(); err != nil {
		return err
	}
	w, err := db.connect(writing)
	if err != nil {
		return err
	}
	if err := migrated(ctx, w); err != nil {
		return err
	}
	for range readerCount {
		r, err := db.connect(reading)
		if err != nil {
			return err
		}
		db.readers.give(r)
	}
	f, err := db.connect(writing)
	if err != nil {
		return err
	}
	db.folder = newFolder(f)
	db.writer = newWriter(db, w)
	return db.markLeft(ctx, w)
}

// locate finds the file and makes it readable by its owner alone. SQLite gives
// its companion files the same mode.
func (db *DB) locate() error {
	if db.path == "" || db.path == ":memory:" {
		dir, err := os.MkdirTemp("", "slipway-*")
		if err != nil {
			return fault.Wrap(fault.Internal, err, "No temporary directory can be made for the private database.")
		}
		db.scratch, db.path = dir, filepath.Join(dir, "private.db")
	}
	path, err := filepath.Abs(db.path)
	if err == nil {
		db.path = path
		err = owned(path)
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The database file cannot be opened for reading and writing.")
	}
	return nil
}

func owned(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return cmp.Or(f.Chmod(0o600), f.Close())
}

func (db *DB) connect(m mode) (*conn, error) {
	c, err := openConn(db.path, m, db.scratch == "")
	if err == nil {
		db.conns = append(db.conns, c)
	}
	return c, err
}

// View runs f on a snapshot: it sees one committed state throughout. Only a
// few run at once, so f does not call View itself.
func (db *DB) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	c, err := db.reader(ctx)
	if err != nil {
		return err
	}
	defer db.readers.give(c)
	if err := c.run(begin); err != nil {
		return err
	}
	tx := records.Reader(c, &db.memory, nil)
	defer func() {
		tx.End()
		c.run(rollback) // a snapshot has nothing to lose
	}()
	return f(ctx, tx)
}

// Peek runs f on the writer's connection, before the group that waits begins
// to write. Its pages are warm there: a reader's are dropped at every commit.
func (db *DB) Peek(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return db.writer.peek(ctx, func(ctx context.Context, _ records.Conn, tx *records.Tx) error {
		return f(ctx, tx)
	})
}

// readers are the connections that nobody uses. The one that was used last is
// the next: its cache is warm, and those of the others stay small until more
// than one is needed.
type readers struct {
	free chan struct{} // holds a token for each
	mu   sync.Mutex
	idle []*conn
}

func (r *readers) give(c *conn) {
	r.mu.Lock()
	r.idle = append(r.idle, c)
	r.mu.Unlock()
	r.free <- struct{}{}
}

// take gives a connection to who took a token.
func (r *readers) take() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	c := r.idle[last]
	r.idle = r.idle[:last]
	return c
}

// reader takes a connection from the pool; its taker puts it back.
func (db *DB) reader(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, callerLeft(err)
	}
	select {
	case <-db.closed:
		return nil, errClosed()
	default:
	}
	select {
	case <-db.readers.free:
		return db.readers.take(), nil
	case <-ctx.Done():
		return nil, callerLeft(ctx.Err())
	case <-db.closed:
		return nil, errClosed()
	}
}

// Update runs f on the writer's goroutine, in a group with its neighbours, and
// returns when their commit is on disk. f does not call Update itself.
func (db *DB) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return db.writer.update(ctx, func(ctx context.Context, _ records.Conn, tx *records.Tx) error {
		return f(ctx, tx)
	})
}

// Ping takes the way of a write, and changes nothing.
func (db *DB) Ping(ctx context.Context) error {
	return db.Update(ctx, func(context.Context, store.Tx) error { return nil })
}

// Stats counts since Open. Retries are functions that ran again because one
// that shared their transaction failed.
func (db *DB) Stats() store.Stats {
	return store.Stats{Commits: db.commits.Load(), Updates: db.updates.Load(), Retries: db.retries.Load()}
}

// Close refuses whoever waits, lets the functions that run come to their end,
// and releases the file. It may be called again.
func (db *DB) Close() error {
	db.closing.Do(func() {
		close(db.closed)
		_ = db.sweep(context.Background()) // else the next process tells them again
		db.writer.stop()
		db.folder.stop()
		for range readerCount {
			<-db.readers.free // a running View gives its own back
		}
		db.closeErr = db.release()
	})
	return db.closeErr
}

// release closes every connection, the writer's last: it folds the log into
// the file.
func (db *DB) release() error {
	var err error
	for len(db.conns) > 0 {
		last := len(db.conns) - 1
		err = cmp.Or(err, db.conns[last].close())
		db.conns = db.conns[:last]
	}
	if db.scratch != "" {
		err = cmp.Or(err, os.RemoveAll(db.scratch))
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The database could not be closed in good order.")
	}
	return nil
}

func errClosed() error { return fault.New(fault.Unavailable, "The store is closed.") }

func callerLeft(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The caller left before its turn came; nothing was done.")
}
