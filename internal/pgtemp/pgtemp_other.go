//go:build !linux

// Package pgtemp runs a PostgreSQL for as long as somebody needs one; only on
// Linux does it end with the process that needs it.
package pgtemp

import "errors"

// A Server is one PostgreSQL.
type Server struct{}

var errElsewhere = errors.New("a PostgreSQL is started and measured on Linux only")

// Start fails.
func Start() (*Server, error) { return nil, errElsewhere }

// At gives a server that makes no database.
func At(string) *Server { return &Server{} }

// Create fails.
func (*Server) Create() (string, func() error, error) { return "", nil, errElsewhere }

// SQL fails.
func (*Server) SQL(string, string) (string, error) { return "", errElsewhere }

// Own says that there is nothing to end.
func (*Server) Own() bool { return false }

// Stop does nothing.
func (*Server) Stop() {}
