package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/slipway-iot/slipway/internal/pgtemp"
)

// bases make databases for the registries that are compared.
type bases struct {
	server *pgtemp.Server // nil: SQLite
	drops  []func() error
}

// A base is one database.
type base struct {
	store string // as --store names it
	name  string // of a database on this machine's PostgreSQL, else empty
	size  func() (int64, error)
	// settle does what PostgreSQL's background would have done by and by with
	// what was loaded at once; nil for SQLite.
	settle func() error
}

// newBases understands --store.
func newBases(store string) (*bases, error) {
	switch store {
	case "sqlite":
		return &bases{}, nil
	case "postgres":
		server, err := pgtemp.Start()
		return &bases{server: server}, err
	}
	return &bases{server: pgtemp.At(store)}, nil
}

// create makes an empty database for a server with this data folder.
func (b *bases) create(data string) (*base, error) {
	if b.server == nil {
		return &base{store: "sqlite", size: func() (int64, error) { return fileSize(filepath.Join(data, "slipway.db*")) }}, nil
	}
	url, drop, err := b.server.Create()
	if err != nil {
		return nil, err
	}
	b.drops = append(b.drops, drop)
	name, err := b.server.SQL(url, "SELECT current_database()")
	size := func() (int64, error) {
		bytes, err := b.server.SQL(url, "SELECT pg_database_size(current_database())")
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(bytes, 10, 64)
	}
	settle := func() error {
		for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if _, err := b.server.SQL(url, statement); err != nil {
				return err
			}
		}
		return nil
	}
	return &base{url, name, size, settle}, err
}

func fileSize(pattern string) (size int64, err error) {
	names, err := filepath.Glob(pattern)
	for _, name := range names {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a log that was folded in meanwhile
		}
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, err
}

// stop drops what was made, and ends a server of our own.
func (b *bases) stop() {
	if b.server == nil {
		return
	}
	if !b.server.Own() {
		for _, drop := range b.drops {
			_ = drop()
		}
	}
	b.server.Stop()
}
