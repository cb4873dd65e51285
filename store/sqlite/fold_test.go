package sqlite

import (
	"context"
	"testing"

	"github.com/slipway-iot/slipway/store/internal/records"
)

// A logbook is a database whose log grows, and is looked at from beside.
type logbook struct {
	t    *testing.T
	db   *DB
	look *conn
}

func newLogbook(t *testing.T) *logbook {
	db := private(t)
	look, err := openConn(db.path, reading, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { look.close() })
	b := &logbook{t, db, look}
	b.writes("CREATE TABLE big (b)")
	return b
}

func (b *logbook) writes(query string, args ...any) {
	b.t.Helper()
	err := b.db.writer.update(b.t.Context(), func(ctx context.Context, c records.Conn, _ *records.Tx) error {
		_, err := c.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// grow has the writer put about so many pages into the log, and gives its length.
func (b *logbook) grow(by int64) (pages, left int64) {
	b.t.Helper()
	b.writes("INSERT INTO big VALUES (zeroblob($1))", by*4096)
	pages, left, err := b.look.logged("NOOP")
	if err != nil {
		b.t.Fatal(err)
	}
	return pages, left
}

func TestALongLogIsFoldedBesideAndBeginsAnew(t *testing.T) {
	b := newLogbook(t)
	longest := int64(0)
	for pages := int64(0); pages >= longest; { // until it is shorter than it was
		longest = pages
		pages, _ = b.grow(100)
	}
	if longest < longLog {
		t.Errorf("the log began anew at %d pages", longest)
	}
}

// A reader that stays keeps what it sees: the log grows until it is gone, and
// nobody waits for that.
func TestAReaderHoldsTheLog(t *testing.T) {
	b := newLogbook(t)
	c, err := b.db.reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.run(begin); err != nil {
		t.Fatal(err)
	}
	const rows = "SELECT count(*) FROM big"
	if n, err := c.number(rows); n != 0 || err != nil {
		t.Fatalf("%d rows: %v", n, err)
	}
	left := int64(0)
	for left < 2*longLog {
		_, left = b.grow(200)
	}
	if n, err := c.number(rows); n != 0 || err != nil {
		t.Errorf("the reader sees %d rows that came after it: %v", n, err)
	}
	if err := c.run(rollback); err != nil {
		t.Fatal(err)
	}
	b.db.readers.give(c)
	for left > shortLog {
		_, left = b.grow(1)
	}
}
