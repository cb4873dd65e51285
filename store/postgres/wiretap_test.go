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
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	defer back.Wait()
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.HasPrefix(buffer[:n], []byte("Q")) && bytes.Contains(buffer[:n], []byte("commit")) {
			switch w.cut.Swap(never) {
			case before:
				client.Close()
				return
			case after:
				client.Close() // the server's answer finds nobody
				server.Write(buffer[:n])
				server.(interface{ CloseWrite() error }).CloseWrite()
				io.Copy(io.Discard, server)
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
