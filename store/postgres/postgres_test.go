package postgres_test

import (
	"context"
	"testing"

	"github.com/slipway-iot/slipway/internal/pgtest"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/storetest"
)

// server is shared by the tests of this package.
var server pgtest.Server

func at(url string) (store.DB, error) {
	return postgres.Open(context.Background(), url, postgres.Options{})
}

func TestMain(m *testing.M) {
	storetest.Main(func() int {
		defer server.Stop()
		return m.Run()
	}, at)
}

func open(t testing.TB, url string) store.DB {
	t.Helper()
	db, err := at(url)
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
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, server.Database(t)) })
}

func TestReopened(t *testing.T) {
	url := server.Database(t)
	storetest.Reopened(t, func(t *testing.T) store.DB { return open(t, url) })
}

func TestKilled(t *testing.T) {
	storetest.Killed(t, server.Database(t), at)
}

func BenchmarkClaimFlow(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.DB { return open(b, server.Database(b)) })
}
