// Package migrate brings a database to the schema that this program knows.
//
// It alone knows goose. A migration is expand, deploy, contract: the program
// before it must be able to run on the schema after it.
package migrate

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/slipway-iot/slipway/fault"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// Latest is the version of the schema that Up leads to. A test compares it
// with the files.
const Latest = 8

// A Dialect is one of the databases that Slipway speaks.
type Dialect string

const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Up applies what db lacks, and refuses a database that a newer program
// wrote. Several nodes may call it at once on PostgreSQL: an advisory lock
// lets one of them work.
func Up(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return failed(err)
	}
	if _, err := p.Up(ctx); err != nil {
		return failed(err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return failed(err)
	}
	return Check(version)
}

// Check refuses a schema newer than Latest.
func Check(version int64) error {
	if version > Latest {
		return fault.New(fault.Internal, "The database has schema version %d, written by a newer Slipway; this one knows versions up to %d.", version, Latest)
	}
	return nil
}

func provider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	dir, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, err
	}
	if d == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
}

func failed(err error) error {
	return fault.Wrap(fault.Internal, err, "The database could not be brought to schema version %d.", Latest)
}
