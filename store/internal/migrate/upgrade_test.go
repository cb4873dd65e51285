package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/pgtest"
)

var server pgtest.Server

func TestMain(m *testing.M) {
	defer server.Stop()
	m.Run()
}

// on is a Session of database/sql's.
type on struct{ c *sql.Conn }

func (o on) Script(ctx context.Context, statements string) error {
	_, err := o.c.ExecContext(ctx, statements)
	return err
}

func (o on) Number(ctx context.Context, query string) (n int64, err error) {
	return n, o.c.QueryRowContext(ctx, query).Scan(&n)
}

// strings reads one column.
func (o on) strings(t *testing.T, query string) (all []string) {
	t.Helper()
	rows, err := o.c.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// empty gives a session on a database of its own in each dialect.
func empty(t *testing.T, d Dialect) on { return connect(t, d, database(t, d)) }

func database(t *testing.T, d Dialect) (source string) {
	t.Helper()
	if d == Postgres {
		return server.Database(t) + "&default_query_exec_mode=simple_protocol"
	}
	return "file:" + filepath.Join(t.TempDir(), "db") + "?_busy_timeout=60000"
}

func connect(t *testing.T, d Dialect, source string) on {
	t.Helper()
	driver := map[Dialect]string{SQLite: "sqlite", Postgres: "pgx"}[d]
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return on{c}
}

func scripts(t *testing.T, d Dialect) fs.FS {
	t.Helper()
	all, err := fs.Sub(files, string(d))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shape lists what a database is made of.
var shape = map[Dialect]string{
	SQLite: `SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY 1`,
	Postgres: `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT trigger_name || ' ' || event_object_table || ' ' || event_manipulation FROM information_schema.triggers WHERE trigger_schema = 'public'
		ORDER BY 1`,
}

func each(t *testing.T, f func(*testing.T, Dialect)) {
	for _, d := range []Dialect{SQLite, Postgres} {
		t.Run(string(d), func(t *testing.T) { f(t, d) })
	}
}

// A database of some older version, with something in it, ends as a new one does,
// and has lost nothing.
func TestOlderDatabasesAreBroughtUpToDate(t *testing.T) {
	each(t, func(t *testing.T, d Dialect) {
		fresh := empty(t, d)
		if err := Up(t.Context(), fresh, d); err != nil {
			t.Fatal(err)
		}
		want := fresh.strings(t, shape[d])
		if len(want) < 40 {
			t.Fatalf("a new database is made of %q", want)
		}
		for version := int64(1); version <= Latest; version++ {
			t.Run(fmt.Sprint(version), func(t *testing.T) {
				o := empty(t, d)
				must(t, upTo(t.Context(), version, o, d, scripts(t, d)))
				must(t, o.Script(t.Context(), `INSERT INTO things (tenant, name, id, type, billing, attributes, version, created) VALUES ('t', 'lamp', 'i', '', '', '{"room":"hall"}', 1, 2);
					INSERT INTO links (tenant, kind, left_end, right_end, data, created) VALUES ('t', 'k', 'l', 'r', 'd', 3)`))
				must(t, Up(t.Context(), o, d))
				if diff := cmp.Diff(want, o.strings(t, shape[d])); diff != "" {
					t.Error(diff)
				}
				for query, want := range map[string]string{
					`SELECT name || attribute || value FROM things t JOIN thing_attributes a ON t.name = a.thing`: "lamproomhall",
					`SELECT tenant || kind || left_end || right_end || data || created FROM links`:                "tklrd3",
				} {
					if got := o.strings(t, query); len(got) != 1 || got[0] != want {
						t.Errorf("%s: got %q, want %s", query, got, want)
					}
				}
				if got := o.strings(t, "SELECT CAST(version_id AS text) FROM goose_db_version ORDER BY id"); strings.Join(got, "") != "012345678" {
					t.Errorf("versions %q", got)
				}
			})
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAScriptThatFailsLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, d Dialect) {
		o := empty(t, d)
		before := o.strings(t, shape[d])
		broken := fstest.MapFS{
			"00001_good.sql": {Data: []byte("CREATE TABLE good (n INTEGER)")},
			"00002_bad.sql":  {Data: []byte("CREATE TABLE bad (n INTEGER); INSERT INTO good VALUES (1); INSERT INTO nowhere VALUES (1)")},
		}
		err := upTo(t.Context(), 2, o, d, broken)
		if !fault.Is(err, fault.Internal) || !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "version 2") {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(before, o.strings(t, shape[d])); diff != "" {
			t.Error(diff)
		}
		broken["00002_bad.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE better (n INTEGER)")}
		must(t, upTo(t.Context(), 2, o, d, broken))
		if err := upTo(t.Context(), 3, o, d, broken); err == nil {
			t.Error("a version without a script was reached")
		}
	})
}

func TestADatabaseOfANewerProgramIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, d Dialect) {
		o := empty(t, d)
		must(t, Up(t.Context(), o, d))
		must(t, o.Script(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true)"))
		if _, text := fault.Show(Up(t.Context(), o, d)); !strings.Contains(text, "written by a newer Slipway") {
			t.Errorf("got %q", text)
		}
	})
}

// Whoever failed lets the next one work.
func TestAFailureHoldsNoLock(t *testing.T) {
	each(t, func(t *testing.T, d Dialect) {
		source := database(t, d)
		broken := fstest.MapFS{"00001_bad.sql": {Data: []byte("INSERT INTO nowhere VALUES (1)")}}
		if err := upTo(t.Context(), 1, connect(t, d, source), d, broken); err == nil {
			t.Error("it did not fail")
		}
		must(t, Up(t.Context(), connect(t, d, source), d))
	})
}

func TestSeveralMayComeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d Dialect) {
		source := database(t, d)
		var wg sync.WaitGroup
		for range 4 {
			o := connect(t, d, source)
			wg.Go(func() {
				if err := Up(t.Context(), o, d); err != nil {
					t.Error(err, errors.Unwrap(err))
				}
			})
		}
		wg.Wait()
		if got := connect(t, d, source).strings(t, "SELECT CAST(version_id AS text) FROM goose_db_version ORDER BY id"); strings.Join(got, "") != "012345678" {
			t.Errorf("versions %q", got)
		}
	})
}
