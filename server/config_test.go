package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

func TestAWrongSettingIsNamed(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--data is empty": func(c *Config) { c.Data = "" },
		"--data /dev/null/x: the folder cannot be made":                func(c *Config) { c.Data = "/dev/null/x" },
		"--store: expected sqlite or a postgres:// URL":                func(c *Config) { c.Store = "mysql://user:hush@host" },
		`--mqtt "8883": expected HOST:PORT or :PORT`:                   func(c *Config) { c.MQTT = "8883" },
		`--alpn "443": expected HOST:PORT`:                             func(c *Config) { c.ALPN = "443" },
		`--control "x": expected HOST:PORT`:                            func(c *Config) { c.Control = "x" },
		"--mqtt 127.0.0.1:99999: the port cannot be opened":            func(c *Config) { c.MQTT = "127.0.0.1:99999" },
		`--host "a b": expected a host name or an IP address`:          func(c *Config) { c.Hosts = []string{"a b"} },
		`--host "example.org:8883"`:                                    func(c *Config) { c.Hosts = []string{"example.org:8883"} },
		`--host "*.example.org"`:                                       func(c *Config) { c.Hosts = []string{"*.example.org"} },
		`--host "-a.example.org"`:                                      func(c *Config) { c.Hosts = []string{"-a.example.org"} },
		`--host "fe80::1%eth0"`:                                        func(c *Config) { c.Hosts = []string{"fe80::1%eth0"} },
		`--host "[::1]"`:                                               func(c *Config) { c.Hosts = []string{"[::1]"} },
		`--host ""`:                                                    func(c *Config) { c.Hosts = []string{""} },
		"--host \"" + strings.Repeat("a", 64):                          func(c *Config) { c.Hosts = []string{strings.Repeat("a", 64) + ".org"} },
		"--dev takes any access key, so it is refused unless":          func(c *Config) { c.Dev, c.Control = true, "0.0.0.0:0" },
		"--control is on loopback; :8080 is not":                       func(c *Config) { c.Dev, c.Control = true, ":8080" },
		"--admin-key-id and --admin-secret belong together":            func(c *Config) { c.AdminKeyID = "AKIAGIVENKEY" },
		"--admin-key-id and --admin-secret belong together: give both": func(c *Config) { c.AdminSecret = "a secret long enough" },
		"--connections is negative":                                    func(c *Config) { c.Limits.Connections = -1 },
		"--handshake is negative":                                      func(c *Config) { c.Limits.Handshake = -time.Second },
		"--pool 100000: expected":                                      func(c *Config) { c.Pool = 100_000 },
		"--pool -1: expected a number of keys":                         func(c *Config) { c.Pool = -1 },
		"The reaper cannot run every -1s":                              func(c *Config) { c.ReapEvery = -time.Second },
	} {
		t.Run(want, func(t *testing.T) {
			srv, err := made(t, t.TempDir(), change)
			if err == nil {
				srv.Close()
			}
			wantFault(t, err, fault.InvalidRequest, want)
			if _, text := fault.Show(err); strings.Contains(text, "hush") {
				t.Errorf("the sentence holds a password: %s", text)
			}
		})
	}
}

// A database that is not there is named by the flag that names it, without its
// password.
func TestADatabaseThatIsNotThere(t *testing.T) {
	srv, err := made(t, t.TempDir(), func(c *Config) { c.Store = "postgres://user:hush@127.0.0.1:1/slipway" })
	if err == nil {
		srv.Close()
	}
	wantFault(t, err, fault.Unavailable, "--store: the PostgreSQL database cannot be reached")
	if strings.Contains(fmt.Sprint(err), "hush") {
		t.Errorf("the error holds a password: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	c := Config{Data: "data"}.withDefaults()
	if err := c.check(); err != nil {
		t.Error(err)
	}
	if c.MQTT != ":8883" || c.Control != "127.0.0.1:8080" || c.ALPN != "" || len(c.Hosts) != 1 || c.Hosts[0] != "localhost" || c.Store != "sqlite" {
		t.Errorf("got %+v", c)
	}
}

func TestDevMode(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.Dev = true })
	if _, err := call(s.with("any", "thing"), "GET", "/things", ""); err != nil {
		t.Error(err)
	}
	strict := start(t, t.TempDir())
	_, err := call(strict.with("anyanyany", "thing"), "GET", "/things", "")
	wantRefusal(t, err, "UnrecognizedClientException", "is not known here")
}

// Off loopback the control port speaks TLS, and shows a certificate for the
// address that it was given.
func TestControlOffLoopback(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.Control = "0.0.0.0:0" })
	e := s.Endpoints()
	if !strings.HasPrefix(e.Control, "https://127.0.0.1:") {
		t.Fatalf("it is at %s", e.Control)
	}
	if status, _ := s.get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz over TLS: %d", status)
	}
	if _, err := call(s.admin(), "GET", "/things", ""); err != nil {
		t.Error(err)
	}
	if answer, err := http.Get("http" + strings.TrimPrefix(e.Control, "https") + "/healthz"); err == nil && answer.StatusCode == http.StatusOK {
		t.Error("it also speaks without TLS")
	}
	for _, address := range localAddresses() {
		if address.IsLoopback() || address.Zone() != "" || address.IsLinkLocalUnicast() {
			continue
		}
		c := s.admin()
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(e.Control, "https://"))
		c.Endpoint = "https://" + net.JoinHostPort(address.String(), port)
		if _, err := call(c, "GET", "/things", ""); err != nil {
			t.Errorf("by the machine's address %s: %v", address, err)
		}
	}
	t.Run("and not the TLS of yesterday", func(t *testing.T) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(e.Control, "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
		if err == nil {
			conn.Close()
			t.Error("TLS 1.1 was spoken")
		}
	})
}

func TestLoopbackIsBelievedWhenSeen(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "[::1]:0": true, "localhost:0": true, "127.9.9.9:1": true,
		":8080": false, "0.0.0.0:0": false, "[::]:0": false, "10.0.0.1:1": false, "localhost.example.org:1": false, "nonsense": false,
	} {
		if got := loopbackAddress(address); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
	srv, err := made(t, t.TempDir(), func(c *Config) { c.Control = "localhost:0" })
	must(t, err)
	srv.Close()
}

func TestAServerThatIsStoppedBeforeItBegan(t *testing.T) {
	srv, err := made(t, t.TempDir())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, srv.Run(ctx))
}
