package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store/internal/migrate"
)

// oldest is the first release of SQLite without the defect by which a log that
// is reset while another connection reads may lose a commit.
var oldest = [3]int{3, 51, 3}

// migrated checks the library and brings the schema of the file up to date.
// The file says its version in user_version, so that an ordinary start does
// not pay for the migration machinery.
func migrated(ctx context.Context, c *conn, path string) error {
	if err := checkLibrary(c); err != nil {
		return err
	}
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if err := migrate.Check(version); err != nil || version == migrate.Latest {
		return err
	}
	db := sql.OpenDB(connector(path))
	defer db.Close()
	if err := migrate.Up(ctx, db, migrate.SQLite); err != nil {
		return err
	}
	return c.run("PRAGMA user_version = " + strconv.Itoa(migrate.Latest))
}

func checkLibrary(c *conn) error {
	version, err := c.text("SELECT sqlite_version()")
	if err != nil {
		return err
	}
	if !atLeast(version, oldest) {
		return fault.New(fault.Internal, "SQLite %s is too old: Slipway needs %d.%d.%d or newer.", version, oldest[0], oldest[1], oldest[2])
	}
	return nil
}

func atLeast(version string, want [3]int) bool {
	for i, part := range strings.SplitN(version, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		if n != want[i] {
			return n > want[i]
		}
	}
	return true
}

// A connector opens plain connections to the file for the migrations.
type connector string

func (path connector) Connect(context.Context) (driver.Conn, error) {
	return new(sqlite.Driver).Open((&url.URL{
		Scheme: "file", Path: string(path), RawQuery: "_busy_timeout=5000",
	}).String())
}

func (path connector) Driver() driver.Driver { return new(sqlite.Driver) }
