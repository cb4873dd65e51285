// Package pgtest gives tests a PostgreSQL of their own.
//
// A Server starts with the first database that a test asks for, in a
// temporary directory, reachable through a socket there and nowhere else, and
// ends with Stop, or with the process. PostgreSQL refuses to run as root: a
// test that does runs it as the user postgres, or else as nobody.
//
// SLIPWAY_TEST_POSTGRES may name a server that runs already, by the URL of a
// database in which its user may create others.
package pgtest

import (
	"os"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/internal/pgtemp"
)

// Variable is the environment variable that names a server.
const Variable = "SLIPWAY_TEST_POSTGRES"

// A Server is one PostgreSQL. The zero value is ready to use.
type Server struct {
	mu     sync.Mutex
	err    error // why it cannot start
	server *pgtemp.Server
}

// Database makes an empty database and gives its URL. On a server that was
// given it is dropped at the end of the test; one of our own goes whole.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		s.start()
	}
	if s.err != nil {
		t.Fatalf("%v (tests take it from %s)", s.err, Variable)
	}
	url, drop, err := s.server.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.server.Own() {
			return
		}
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return url
}

func (s *Server) start() {
	if given := os.Getenv(Variable); given != "" {
		s.server = pgtemp.At(given)
		return
	}
	s.server, s.err = pgtemp.Start()
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.Stop()
	}
}
