package crash

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// A backend is a kind of database that the server can keep its data in.
type backend struct {
	name  string
	fresh func(*testing.T) string // an empty database, as --store names it
	open  func(context.Context, *node) (store.DB, error)
}

func backends(t *testing.T) []backend {
	return []backend{
		{
			name:  "SQLite",
			fresh: func(*testing.T) string { return "sqlite" },
			open: func(ctx context.Context, n *node) (store.DB, error) {
				return sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(n.data, "slipway.db")})
			},
		},
	}
}
