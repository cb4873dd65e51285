package sqlite

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store/internal/migrate"
)

// oldest is the first release of SQLite without the defect by which a log that
// is reset while another connection reads may lose a commit.
var oldest = [3]int{3, 51, 3}

// migrated checks the library and brings the schema of the file up to date.
// The file says its version in user_version, so that an ordinary start does
// not pay for the migration machinery.
func migrated(ctx context.Context, c *conn) error {
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
	return upgrade(ctx, c)
}

// upgrade sorts on disk what new indexes hold, which may be more than there is
// memory for, and leaves no long log behind.
func upgrade(ctx context.Context, c *conn) error {
	if err := c.run("PRAGMA temp_store = FILE"); err != nil {
		return err
	}
	if err := migrate.Up(ctx, session{c}, migrate.SQLite); err != nil {
		return err
	}
	for _, p := range []string{"user_version = " + strconv.Itoa(migrate.Latest), "temp_store = MEMORY", "wal_checkpoint(PASSIVE)"} {
		if err := c.run("PRAGMA " + p); err != nil {
			return err
		}
	}
	return nil
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

// A session changes the schema over the writer's connection.
type session struct{ c *conn }

func (s session) Script(ctx context.Context, statements string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.c.lib.interruptible(ctx)()
	return s.c.lib.script(statements)
}

func (s session) Number(_ context.Context, query string) (int64, error) {
	defer s.c.forget(query) // it is not asked again
	return s.c.number(query)
}
