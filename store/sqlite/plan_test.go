package sqlite

import (
	"context"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/storetest"
)

// TestPlans calls every method on private databases, and then asks SQLite how
// it finds the rows of each statement: never by reading a whole
// table, never by sorting.
func TestPlans(t *testing.T) {
	queries := make(map[string]bool)
	storetest.Records(t, func(t *testing.T) store.DB {
		db, err := Open(context.Background(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		conns := db.conns
		t.Cleanup(func() {
			for _, c := range conns {
				for q := range c.stmts {
					queries[q] = true
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	})
	db, err := Open(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for q := range queries {
		plan := explain(t, db.conns[1], q)
		if (strings.Contains(plan, "TEMP B-TREE") && !strings.Contains(q, "FROM intents")) || (strings.Contains(plan, "SCAN") && !mayScan(q)) {
			t.Errorf("%s\n%s", q, plan)
		}
		if strings.Contains(q, "k.type = $2") && !strings.Contains(plan, "things_type (tenant=? AND type=?") {
			t.Errorf("%s\n%s", q, plan)
		}
		if strings.Contains(q, "kind = $2 AND right_end = $3") && !strings.Contains(plan, "PRIMARY KEY (tenant=? AND right_end=? AND kind=?") {
			t.Errorf("%s\n%s", q, plan)
		}
		if strings.Contains(q, "kind = $2 AND left_end = $3") && strings.Contains(q, "ORDER BY") && !strings.Contains(plan, "COVERING INDEX links_forward (tenant=? AND kind=? AND left_end=?") {
			t.Errorf("%s\n%s", q, plan)
		}
	}
}

// mayScan says which statements read on in the order of a key: tenants and
// intents, which are few, the end of the outbox, and the wills that a dead server
// left.
func mayScan(q string) bool {
	return strings.Contains(q, "FROM intents") || strings.Contains(q, "holder = ''") || strings.Contains(q, "FROM tenants WHERE 1 = 1") || strings.Contains(q, "FROM tenants AS t WHERE (SELECT COUNT") || strings.Contains(q, "MAX(id)") || strings.Contains(q, "MAX(seq)") || strings.Contains(q, "sqlite_version") || strings.Contains(q, "VALUES")
}

func explain(t *testing.T, c *conn, query string) string {
	t.Helper()
	if !strings.HasPrefix(query, "SELECT") && !strings.HasPrefix(query, "UPDATE") && !strings.HasPrefix(query, "DELETE") {
		return ""
	}
	var (
		id, parent, unused int64
		detail             string
		plan               []string
	)
	args := make([]any, len(numbered.FindAllString(query, -1)))
	err := c.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args, []any{&id, &parent, &unused, &detail}, func() error {
		plan = append(plan, detail)
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return strings.Join(plan, "\n")
}
