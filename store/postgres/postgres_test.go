package postgres_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

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

func open(t testing.TB, url string, o postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), url, o)
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

// admin runs SQL on a database past the driver.
func admin(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestContract gives each part of the suite a schema of its own in one
// database, since making a database takes longer than most parts do.
func TestContract(t *testing.T) {
	url := server.Database(t)
	var schemas atomic.Int64
	storetest.Run(t, func(t *testing.T) store.DB {
		name := fmt.Sprintf("part%d", schemas.Add(1))
		admin(t, url, "CREATE SCHEMA "+name)
		return open(t, url+"&search_path="+name, postgres.Options{})
	})
}

func TestReopened(t *testing.T) {
	url := server.Database(t)
	storetest.Reopened(t, func(t *testing.T) store.DB { return open(t, url, postgres.Options{}) })
}

func TestKilled(t *testing.T) {
	storetest.Killed(t, server.Database(t), at)
}

func BenchmarkClaimFlow(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.DB { return open(b, server.Database(b), postgres.Options{}) })
}
