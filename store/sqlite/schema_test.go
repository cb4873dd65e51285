package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// A migration of a large file takes long, and whoever stops the server meanwhile
// need not wait for it.
func TestAScriptEndsWithItsContext(t *testing.T) {
	c, err := openConn(filepath.Join(t.TempDir(), "db"), writing, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	s := session{c}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Script(ctx, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c"); err == nil {
		t.Error("it counted to infinity")
	}
	if err := s.Script(ctx, "CREATE TABLE a (n INTEGER)"); err == nil {
		t.Error("it began although nobody waited")
	}
	if err := s.Script(t.Context(), "CREATE TABLE b (n INTEGER)"); err != nil {
		t.Error(err)
	}
	if n, err := s.Number(t.Context(), "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('a', 'b')"); n != 1 || err != nil {
		t.Errorf("%d tables, %v", n, err)
	}
}
