package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/store/storetest"
)

func open(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, filepath.Join(t.TempDir(), "slipway.db")) })
}
