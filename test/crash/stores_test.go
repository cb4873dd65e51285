package crash

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-iot/slipway/internal/pgtest"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// A backend is a kind of database that the server can keep its data in.
type backend struct {
	name  string
	fresh func(*testing.T) string // an empty database, as --store names it
	open  func(context.Context, *node) (store.DB, error)
	// bury lets the time pass after which a node that was killed counts as
	// dead; nil if that is known at once.
	bury func(context.Context, *node) error
	// waiting counts what waits in the outbox of any node, dead or alive; nil
	// if that is what store.DB shows.
	waiting func(context.Context, *node) (int, error)
}

func backends(t *testing.T) []backend {
	cluster := &pgtest.Server{}
	t.Cleanup(cluster.Stop)
	return []backend{
		{
			name:  "SQLite",
			fresh: func(*testing.T) string { return "sqlite" },
			open: func(ctx context.Context, n *node) (store.DB, error) {
				return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(n.data, "slipway.db")})
			},
		},
		{
			name:  "PostgreSQL",
			fresh: func(t *testing.T) string { return cluster.Database(t) },
			open: func(ctx context.Context, n *node) (store.DB, error) {
				return postgres.Open(ctx, n.store, postgres.Options{})
			},
			bury: func(ctx context.Context, n *node) error {
				_, err := ask(ctx, n, "WITH buried AS (UPDATE nodes SET seen = '-infinity' RETURNING 1) SELECT count(*) FROM buried")
				return err
			},
			waiting: func(ctx context.Context, n *node) (int, error) {
				return ask(ctx, n, "SELECT count(*) FROM outbox")
			},
		},
	}
}

// ask gives the one number that a statement answers.
func ask(ctx context.Context, n *node, statement string) (number int, err error) {
	c, err := pgx.Connect(ctx, n.store)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx)
	return number, c.QueryRow(ctx, statement).Scan(&number)
}
