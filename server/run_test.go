package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

func TestAServerSaysWhereItIs(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, func(c *Config) { c.ALPN = "127.0.0.1:0" })
	file := filepath.Join(data, EndpointsFile)
	text, err := os.ReadFile(file)
	must(t, err)
	var e Endpoints
	must(t, json.Unmarshal(text, &e))
	if e != s.Endpoints() || e.Host != "localhost" || !strings.HasPrefix(e.Control, "http://127.0.0.1:") || e.RootCA != filepath.Join(data, "root-ca.pem") {
		t.Errorf("got %s", text)
	}
	for _, address := range []string{e.MQTT, e.ALPN, strings.TrimPrefix(e.Control, "http://")} {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		conn.Close()
	}
	for path, mode := range map[string]fs.FileMode{data: fs.ModeDir | 0o700, file: 0o600, filepath.Join(data, "admin-key.sealed"): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", path, st.Mode(), mode, err)
		}
	}
	if status, body := s.get("/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, body := s.get("/readyz"); status != 200 || body != "ready\n" {
		t.Errorf("readyz: %d %s", status, body)
	}
	must(t, s.stop())
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", EndpointsFile, err)
	}
	if _, err := net.Dial("tcp", e.MQTT); err == nil {
		t.Error("the port is still open")
	}
}

func TestStoppingLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	s := start(t, t.TempDir())
	s.furnish()
	_, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	must(t, s.stop())
	conn.Close()
	for end := time.Now().Add(hang); runtime.NumGoroutine() > before; { // goroutines of the test's own client end in their time
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func TestASecondStartFindsAllAsItWas(t *testing.T) {
	data := t.TempDir()
	first := start(t, data)
	admin, err := first.Admin()
	must(t, err)
	if !first.NewUnlockKey() {
		t.Error("the first start did not make a key")
	}
	first.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Create(ctx, tx, other, first.cfg.Now())
		return err
	})
	root := first.ca.ServerRoot()
	must(t, first.stop())

	second := start(t, data)
	if again, err := second.Admin(); err != nil || *again != *admin {
		t.Errorf("another admin key: %v, %v", again, err)
	}
	if second.NewUnlockKey() || !second.ca.ServerRoot().Equal(root) {
		t.Error("another unlock key or root")
	}
	if _, known := second.hosts.Tenant("111122223333.us-east-1.localhost"); !known {
		t.Errorf("the tenant is gone; there are %v", second.hosts.Tenants())
	}
	if _, err := call(second.admin(), "GET", "/things", ""); err != nil {
		t.Errorf("the admin key does not open the door: %v", err)
	}
}

func TestWhatAKilledServerLeft(t *testing.T) {
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, EndpointsFile), []byte(`{"mqtt":"127.0.0.1:1"}`), 0o600))
	srv, err := made(t, data)
	must(t, err)
	defer srv.Close()
	if _, err := os.Stat(filepath.Join(data, EndpointsFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file says where a server is that serves nothing yet")
	}
}

func TestOneServerToAFolder(t *testing.T) {
	data := t.TempDir()
	srv, err := made(t, data)
	must(t, err)
	_, err = made(t, data)
	wantFault(t, err, fault.InvalidRequest, "another server runs on this folder")
	srv.Close()
	srv.Close()
	again, err := made(t, data)
	must(t, err)
	again.Close()
}

func TestAPassphraseIsKept(t *testing.T) {
	locked := func(c *Config) { c.Passphrase = "a long passphrase" }
	data := t.TempDir()
	srv, err := made(t, data, locked)
	must(t, err)
	srv.Close()
	for say, test := range map[string]struct {
		passphrase, text string
	}{
		"a wrong one": {"another passphrase", "The passphrase is wrong"},
		"none":        {"", "locked with a passphrase"},
	} {
		t.Run(say, func(t *testing.T) {
			_, err := made(t, data, func(c *Config) { c.Passphrase = test.passphrase })
			wantFault(t, err, fault.InvalidRequest, test.text)
		})
	}
	t.Run("the right one opens", func(t *testing.T) {
		srv, err := made(t, data, locked)
		must(t, err)
		srv.Close()
	})
}

func TestAPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	data := t.TempDir()
	for flag, change := range map[string]func(*Config){
		"--mqtt":    func(c *Config) { c.MQTT = taken.Addr().String() },
		"--alpn":    func(c *Config) { c.ALPN = taken.Addr().String() },
		"--control": func(c *Config) { c.Control = taken.Addr().String() },
	} {
		_, err := made(t, data, change)
		wantFault(t, err, fault.InvalidRequest, flag+" "+taken.Addr().String()+": the port is in use")
	}
	srv, err := made(t, data) // what was opened before was closed
	must(t, err)
	srv.Close()
}

func TestTheFirstAdmin(t *testing.T) {
	given := func(id, secret string) func(*Config) {
		return func(c *Config) { c.AdminKeyID, c.AdminSecret = id, secret }
	}
	t.Run("may be given", func(t *testing.T) {
		data := t.TempDir()
		for range 2 {
			s := start(t, data, given("AKIAGIVENKEY", "a secret long enough"))
			if c, err := s.Admin(); err != nil || c.ID != "AKIAGIVENKEY" || c.Secret != "a secret long enough" {
				t.Errorf("got %v, %v", c, err)
			}
			_, err := call(s.admin(), "GET", "/things", "")
			must(t, err)
			must(t, s.stop())
		}
		_, err := made(t, data, given("AKIAGIVENKEY", "another secret, as long"))
		wantFault(t, err, fault.InvalidRequest, "--admin-secret is not the secret of access key AKIAGIVENKEY")
		s := start(t, data)
		if c, err := s.Admin(); err != nil || c.Secret != "a secret long enough" {
			t.Errorf("a secret that was refused was kept: %v, %v", c, err)
		}
	})
	t.Run("must be a key", func(t *testing.T) {
		_, err := made(t, t.TempDir(), given("short", "a secret long enough"))
		wantFault(t, err, fault.InvalidRequest, "Access key id")
		_, err = made(t, t.TempDir(), given("AKIAGIVENKEY", "short"))
		wantFault(t, err, fault.InvalidRequest, "shorter than 16 characters")
	})
	t.Run("whose file is lost is made anew", func(t *testing.T) {
		data := t.TempDir()
		srv, err := made(t, data)
		must(t, err)
		srv.Close()
		must(t, os.Remove(filepath.Join(data, adminFile)))
		s := start(t, data)
		_, err = call(s.admin(), "GET", "/things", "")
		must(t, err)
	})
	t.Run("whose key is in its file and not in the store is taken, as after a crash between the two", func(t *testing.T) {
		data := t.TempDir()
		srv, err := made(t, data)
		must(t, err)
		admin, err := srv.Admin()
		must(t, err)
		srv.Close()
		for _, name := range []string{"slipway.db", "slipway.db-wal", "slipway.db-shm"} {
			must(t, os.RemoveAll(filepath.Join(data, name)))
		}
		s := start(t, data)
		if again, err := s.Admin(); err != nil || *again != *admin {
			t.Errorf("got %v, %v", again, err)
		}
		_, err = call(s.admin(), "GET", "/things", "")
		must(t, err)
	})
	t.Run("whose file is damaged is not replaced", func(t *testing.T) {
		data := t.TempDir()
		srv, err := made(t, data)
		must(t, err)
		srv.Close()
		must(t, os.WriteFile(filepath.Join(data, adminFile), []byte("no key"), 0o600))
		_, err = made(t, data)
		wantFault(t, err, fault.InvalidRequest, "cannot be opened with this unlock key")
	})
	t.Run("that was revoked stays so", func(t *testing.T) {
		data := t.TempDir()
		s := start(t, data)
		admin, err := s.Admin()
		must(t, err)
		s.update(func(ctx context.Context, tx store.Tx) error {
			return tenants.DisableAccessKey(ctx, tx, admin.ID, s.cfg.Now())
		})
		must(t, s.stop())
		_, err = call(start(t, data).with(admin.ID, admin.Secret), "GET", "/things", "")
		wantRefusal(t, err, "UnrecognizedClientException", "was revoked")
	})
}

func TestNoSecretIsLogged(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) {
		c.Passphrase, c.AdminKeyID, c.AdminSecret = "open sesame, please", "AKIAGIVENKEY", "a secret long enough"
	})
	s.furnish()
	_, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	conn.Close()
	_, err = call(s.admin(), "PUT", "/slipway/functions/gate", `{"kind":"http","url":"https://example.com/f","secret":"hush hush hush"}`)
	must(t, err)
	_, err = call(s.with("AKIAGIVENKEY", "a wrong secret, really"), "GET", "/things", "")
	wantRefusal(t, err, "InvalidSignatureException", "")
	must(t, s.stop())
	for _, secret := range []string{"open sesame", "a secret long", "hush hush", "a wrong secret", "PRIVATE KEY", "certificateOwnershipToken"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, s.log)
		}
	}
	if !strings.Contains(s.log.String(), "action=slipway:PutFunction") {
		t.Errorf("the log misses what happened:\n%s", s.log)
	}
}

func TestTheDefaultTenantIsThere(t *testing.T) {
	s := start(t, t.TempDir())
	if got := s.hosts.Tenants(); len(got) != 1 || got[0] != arn.Default {
		t.Errorf("got %v", got)
	}
}
