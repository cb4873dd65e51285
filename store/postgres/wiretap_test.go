package postgres_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A tap stands between the driver and the server, and cuts one connection at
// the COMMIT that it waits for.
type tap struct {
	url string // of the database, by way of the tap
	cut atomic.Int32
}

// The values of tap.cut.
const (
	never  int32 = iota
	before       // instead of passing COMMIT on
	after        // when the server has answered it
)

func wiretap(t *testing.T, database string) *tap {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", fmt.Sprintf("%s:%d", config.Host, config.Port)
	if filepath.IsAbs(config.Host) {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := new(tap)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				t.Error(err)
				client.Close()
				return
			}
			wg.Go(func() { w.carry(client, server) })
		}
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable"
	w.url = u.String()
	return w
}

// carry copies both ways until one side ends, or the cut.
func (w *tap) carry(client, server net.Conn) {
	var (
		back sync.WaitGroup
		deaf atomic.Bool // the client hears nothing any more
	)
	back.Go(func() {
		pass(server, func(b []byte) bool {
			if !deaf.Load() {
				client.Write(b)
			}
			return true
		})
		client.Close()
	})
	pass(client, func(b []byte) bool {
		if bytes.HasPrefix(b, []byte("Q")) && bytes.Contains(b, []byte("commit")) {
			switch w.cut.Swap(never) {
			case before:
				return false
			case after:
				deaf.Store(true)
			}
		}
		_, err := server.Write(b)
		return err == nil && !deaf.Load()
	})
	if deaf.Load() { // the server ends the connection when it is done with COMMIT
		server.(interface{ CloseWrite() error }).CloseWrite()
		back.Wait()
	}
	server.Close()
	client.Close()
	back.Wait()
}

// pass reads until the end, or until use says so.
func pass(from io.Reader, use func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !use(buffer[:n]) {
			return
		}
	}
}
