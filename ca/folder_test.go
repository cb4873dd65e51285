package ca

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

// reopen opens the CA again and says what happened.
func reopen(t *testing.T, dir string) (*CA, error) {
	t.Helper()
	return Open(Config{Dir: dir + "/ca", Seal: openKey(t, dir)})
}

func TestARestartFindsTheSameAuthority(t *testing.T) {
	dir := t.TempDir()
	before := openCA(t, dir)
	leaf := issue(t, before, csrFile(t, "p256.pem")).Cert
	after := openCA(t, dir)
	if !bytes.Equal(before.ServerRootPEM(), after.ServerRootPEM()) || !bytes.Equal(before.DeviceChainPEM(), after.DeviceChainPEM()) {
		t.Error("the authority changed")
	}
	if err := leaf.CheckSignatureFrom(after.IssuingCA()); err != nil {
		t.Error(err)
	}
	if err := issue(t, after, csrFile(t, "p256.pem")).Cert.CheckSignatureFrom(before.IssuingCA()); err != nil {
		t.Error(err)
	}
}

func TestPrivateKeysAreSealedAndForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	openCA(t, dir)
	modes := map[string]os.FileMode{
		"":                0o700,
		"server":          0o700,
		"server/root.pem": 0o644, "server/root.key": 0o600,
		"device":          0o700,
		"device/root.pem": 0o644, "device/root.key": 0o600,
		"device/issuing.pem": 0o644, "device/issuing.key": 0o600,
	}
	root, seen := filepath.Join(dir, "ca"), 0
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		seen++
		name := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if want, ok := modes[name]; !ok || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, want %v", name, info.Mode(), want)
		}
		if strings.HasSuffix(name, ".key") {
			if data, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, []byte("-----BEGIN SLIPWAY SEALED PRIVATE KEY-----")) {
				t.Errorf("%s is not sealed: %v", name, err)
			}
		}
		return nil
	})
	if err != nil || seen != len(modes) {
		t.Errorf("%d files, want %d; %v", seen, len(modes), err)
	}
}

// Each case is a folder as a kill may leave it.
func TestAnInterruptedFirstStartIsCompleted(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, ca string){
		"before anything was written": func(t *testing.T, ca string) { must(t, os.RemoveAll(ca)) },
		"after the folder was made": func(t *testing.T, ca string) {
			must(t, os.RemoveAll(ca))
			must(t, os.Mkdir(ca, 0o700))
		},
		"while the server root was written": func(t *testing.T, ca string) {
			must(t, os.RemoveAll(filepath.Join(ca, "device")))
			must(t, os.Rename(filepath.Join(ca, "server"), filepath.Join(ca, ".new-123")))
			must(t, os.Truncate(filepath.Join(ca, ".new-123", "root.key"), 7))
		},
		"between the hierarchies": func(t *testing.T, ca string) { must(t, os.RemoveAll(filepath.Join(ca, "device"))) },
		"while the issuing CA was written": func(t *testing.T, ca string) {
			must(t, os.Rename(filepath.Join(ca, "device"), filepath.Join(ca, ".new-123")))
			must(t, os.Remove(filepath.Join(ca, ".new-123", "issuing.pem")))
		},
		"when all was done but the cleaning": func(t *testing.T, ca string) { must(t, os.Mkdir(filepath.Join(ca, ".new-123"), 0o700)) },
		"with an empty folder in place": func(t *testing.T, ca string) {
			must(t, os.RemoveAll(filepath.Join(ca, "device")))
			must(t, os.Mkdir(filepath.Join(ca, "device"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := openCA(t, dir).ServerRootPEM()
			ca := filepath.Join(dir, "ca")
			kill(t, ca)
			_, err := os.Stat(filepath.Join(ca, "server"))
			kept := err == nil
			c, err := reopen(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if kept != bytes.Equal(first, c.ServerRootPEM()) {
				t.Errorf("server root stored: %v, but the same after the restart: %v", kept, !kept)
			}
			issue(t, c, csrFile(t, "p256.pem"))
			entries, err := os.ReadDir(ca)
			if err != nil || len(entries) != 2 {
				t.Errorf("the folder holds %v, %v; want two hierarchies", entries, err)
			}
		})
	}
}

func TestADamagedFolderIsNamedAndLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		damage   func(t *testing.T, ca string)
		sentence string
	}{
		"the server root's key is gone": {
			func(t *testing.T, ca string) { must(t, os.Remove(ca+"/server/root.key")) },
			"server/root.key is missing; restore it from a backup.",
		},
		"the server root is gone": {
			func(t *testing.T, ca string) { must(t, os.Remove(ca+"/server/root.pem")) },
			"server/root.pem is missing",
		},
		"the issuing CA is gone": {
			func(t *testing.T, ca string) { must(t, os.Remove(ca+"/device/issuing.pem")) },
			"device/issuing.pem is missing",
		},
		"a key is cut short": {
			func(t *testing.T, ca string) { must(t, os.Truncate(ca+"/device/issuing.key", 100)) },
			"device/issuing.key is not a PEM file of type SLIPWAY SEALED PRIVATE KEY",
		},
		"a key lies in another's place": {
			func(t *testing.T, ca string) { must(t, os.Rename(ca+"/device/root.key", ca+"/device/issuing.key")) },
			"device/issuing.key does not open",
		},
		"a certificate lies in another's place": {
			func(t *testing.T, ca string) { must(t, os.Rename(ca+"/device/root.pem", ca+"/device/issuing.pem")) },
			"device/root.pem is missing",
		},
		"the device root poses as the server root": {
			func(t *testing.T, ca string) { must(t, os.Rename(ca+"/device/root.pem", ca+"/server/root.pem")) },
			"server/root.pem is not limited to the hierarchy's own extended key usage",
		},
		"the root poses as the issuing CA": {
			func(t *testing.T, ca string) {
				root, err := os.ReadFile(ca + "/device/root.pem")
				must(t, err)
				must(t, os.WriteFile(ca+"/device/issuing.pem", root, 0o600))
			},
			"device/issuing.key does not belong to issuing.pem",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			openCA(t, dir)
			tt.damage(t, dir+"/ca")
			before := listing(t, dir)
			c, err := reopen(t, dir)
			if c != nil || err == nil || !strings.Contains(err.Error(), tt.sentence) {
				t.Errorf("got %v, want %s", err, tt.sentence)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the folder was changed from %s to %s", before, after)
			}
		})
	}
}

func TestTheDeviceRootsKeyMayBeKeptElsewhere(t *testing.T) {
	dir := t.TempDir()
	openCA(t, dir)
	must(t, os.Remove(dir+"/ca/device/root.key"))
	issue(t, openCA(t, dir), csrFile(t, "p256.pem"))
}

func TestAnotherDataFoldersKeyDoesNotOpenTheAuthority(t *testing.T) {
	dir := t.TempDir()
	openCA(t, dir)
	c, err := Open(Config{Dir: dir + "/ca", Seal: openKey(t, t.TempDir())})
	if c != nil || err == nil || !strings.Contains(err.Error(), "server/root.key does not open with this data folder's key") {
		t.Errorf("got %v", err)
	}
}

// The failures come in pairs: before the first hierarchy was stored, and
// between the two.
func TestAFailedFirstStartLeavesNothingHalfDone(t *testing.T) {
	for name, tt := range map[string]struct {
		serials int64 // that can be drawn before randomness fails
		stored  string
	}{
		"it failed and nothing was stored":         {0, ""},
		"it failed and the server root was stored": {1, "server"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			random := io.MultiReader(io.LimitReader(ones{}, tt.serials*16), iotest.ErrReader(errors.New("no entropy")))
			c, err := Open(Config{Dir: dir + "/ca", Seal: openKey(t, dir), Rand: random, Now: func() time.Time { return today }})
			if c != nil || !fault.Is(err, fault.Internal) {
				t.Fatalf("got %v, %v", c, err)
			}
			entries, err := os.ReadDir(dir + "/ca")
			must(t, err)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if got := strings.Join(names, " "); got != tt.stored {
				t.Errorf("stored %q, want %q", got, tt.stored)
			}
			issue(t, openCA(t, dir), csrFile(t, "p256.pem"))
		})
	}
}

type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

func TestSeveralProcessesThatStartAtOnceAgree(t *testing.T) {
	dir := t.TempDir()
	key := openKey(t, dir)
	roots := make([]string, 8)
	var wg sync.WaitGroup
	for i := range roots {
		wg.Go(func() {
			c, err := Open(Config{Dir: dir + "/ca", Seal: key})
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = string(c.ServerRootPEM()) + string(c.DeviceChainPEM())
		})
	}
	wg.Wait()
	for _, r := range roots {
		if r != roots[0] {
			t.Fatal("two processes have different authorities")
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listing names every file below dir with the time of its last change.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return err
	}))
	return b.String()
}
