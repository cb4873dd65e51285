package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/store/storetest"
)

func at(path string) (store.DB, error) {
	return sqlite.Open(context.Background(), sqlite.Options{Path: path})
}

func TestMain(m *testing.M) { storetest.Main(m.Run, at) }

// file gives the path of a database that does not exist yet.
func file(t *testing.T) string { return filepath.Join(t.TempDir(), "slipway.db") }

func open(t *testing.T, path string) store.DB {
	t.Helper()
	db, err := at(path)
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
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, file(t)) })
}

func TestReopened(t *testing.T) {
	path := file(t)
	storetest.Reopened(t, func(t *testing.T) store.DB { return open(t, path) })
}

func TestKilled(t *testing.T) {
	for range 3 {
		storetest.Killed(t, file(t), at)
	}
}

func BenchmarkClaimFlow(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.DB {
		db, err := at(filepath.Join(b.TempDir(), "slipway.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		return db
	})
}
