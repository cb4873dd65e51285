package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/slipway-iot/slipway/fault"
)

func open(t testing.TB, dir, passphrase string) *Key {
	t.Helper()
	k, _, err := Open(dir, passphrase, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsSealedOpensInItsPlaceOnly(t *testing.T) {
	k, other := open(t, t.TempDir(), ""), open(t, t.TempDir(), "")
	plain := []byte("a secret of a key")
	sealed := k.Seal("access-key/AKIA1", plain)
	if bytes.Contains(sealed, plain) {
		t.Fatal("the secret lies open")
	}
	if got, err := k.Unseal("access-key/AKIA1", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := k.Unseal("access-key/AKIA2", sealed); err == nil || got != nil {
		t.Error("opened in another place")
	}
	if got, err := other.Unseal("access-key/AKIA1", sealed); err == nil || got != nil {
		t.Error("opened with another key")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Unseal("access-key/AKIA1", changed); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	for n := range sealed {
		if _, err := k.Unseal("access-key/AKIA1", sealed[:n]); err == nil {
			t.Errorf("opened when cut to %d bytes", n)
		}
	}
}

func TestTheSameSecretNeverLooksTheSame(t *testing.T) {
	k := open(t, t.TempDir(), "")
	if bytes.Equal(k.Seal("c", []byte("x")), k.Seal("c", []byte("x"))) {
		t.Error("two equal values were sealed equally")
	}
}

// A virtual machine that is cloned, or a broken source, repeats randomness.
// Two messages must still never meet under one key and nonce, which would show
// their difference.
func TestFailedRandomnessNeverRepeatsANonce(t *testing.T) {
	for name, r := range map[string]io.Reader{"it fails": iotest.ErrReader(errors.New("no entropy")), "it repeats": zeros{}} {
		k := &Key{rand: r}
		a, b := k.Seal("c", []byte("message 1")), k.Seal("c", []byte("message 2"))
		if bytes.Equal(a[1:1+saltSize], b[1:1+saltSize]) {
			t.Errorf("%s: two messages share a salt", name)
		}
		if got, err := k.Unseal("c", a); err != nil || string(got) != "message 1" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAKeyIsMadeOnceAndFoundAgain(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		dir := filepath.Join(t.TempDir(), "data") // not there yet
		k, created, err := Open(dir, passphrase, rand.Reader)
		if err != nil || !created {
			t.Fatalf("first start: created %v, %v", created, err)
		}
		sealed := k.Seal("c", []byte("x"))
		k, created, err = Open(dir, passphrase, rand.Reader)
		if err != nil || created {
			t.Fatalf("second start: created %v, %v", created, err)
		}
		if got, err := k.Unseal("c", sealed); err != nil || string(got) != "x" {
			t.Errorf("after a restart: %q, %v", got, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 {
			t.Fatalf("the folder holds %v, %v; want one file", files, err)
		}
		if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", files[0].Name(), info.Mode(), err)
		}
	}
}

func TestAWrongPassphraseIsToldAsSuch(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, "correct horse")
	for passphrase, sentence := range map[string]string{
		"battery staple": "The passphrase is wrong",
		"":               "is locked with a passphrase",
	} {
		if k, created, err := Open(dir, passphrase, rand.Reader); k != nil || created || !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), sentence) {
			t.Errorf("passphrase %q: %v, %v", passphrase, created, err)
		}
	}
	open(t, dir, "correct horse") // and nothing was spoilt
}

func TestAPassphraseForAnOpenFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, "")
	if k, _, err := Open(dir, "correct horse", rand.Reader); k != nil || !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("got %v", err)
	}
	open(t, dir, "")
}

func TestADamagedKeyFileIsNeverReplaced(t *testing.T) {
	for _, tt := range []struct{ file, passphrase, content, sentence string }{
		{openFile, "", "", "unlock.key is damaged"},
		{openFile, "", "-----BEGIN SLIPWAY UNLOCK KEY-----\nAAAA\n-----END SLIPWAY UNLOCK KEY-----\n", "unlock.key is damaged"},
		{sealedFile, "p", "junk", "unlock.sealed is damaged"},
		{sealedFile, "p", "-----BEGIN SLIPWAY SEALED UNLOCK KEY-----\nKDF: rot13\n\n" + strings.Repeat("AAAA", 32) + "AA==\n-----END SLIPWAY SEALED UNLOCK KEY-----\n", "another version"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, tt.file)
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if k, _, err := Open(dir, tt.passphrase, rand.Reader); k != nil || err == nil || !strings.Contains(err.Error(), tt.sentence) {
			t.Errorf("got %v, want %s", err, tt.sentence)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.content {
			t.Errorf("the file was changed: %v", err)
		}
	}
}

func TestAFailedFirstStartLeavesNoKey(t *testing.T) {
	dir := t.TempDir()
	if k, created, err := Open(dir, "", iotest.ErrReader(errors.New("no entropy"))); k != nil || created || err == nil {
		t.Errorf("got %v, %v", created, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
	if _, created, err := Open(dir, "", rand.Reader); err != nil || !created {
		t.Errorf("the next start: created %v, %v", created, err)
	}
}

func TestSeveralProcessesThatStartAtOnceShareOneKey(t *testing.T) {
	dir := t.TempDir()
	keys, made := make([]*Key, 8), make([]bool, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], made[i], err = Open(dir, "", rand.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	makers := 0
	for i := range keys {
		if keys[i].master != keys[0].master {
			t.Fatal("two processes have different keys")
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d processes say that they made the key", makers)
	}
}

func TestAKeyIsNeverPrinted(t *testing.T) {
	k := open(t, t.TempDir(), "")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, struct{ K *Key }{k}); strings.Count(got, "seal.Key(hidden)") != 2 {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	k := &Key{rand: zeros{}}
	good := k.Seal("context", []byte("plain"))
	f.Add("context", good)
	f.Add("context", good[:len(good)-1])
	f.Add("", []byte{version})
	f.Fuzz(func(t *testing.T, context string, sealed []byte) {
		if plain, err := k.Unseal(context, sealed); err == nil && !(context == "context" && string(plain) == "plain") {
			t.Errorf("opened what was not sealed: %q", plain)
		}
	})
}

func BenchmarkUnseal(b *testing.B) {
	k := &Key{rand: rand.Reader}
	sealed := k.Seal("access-key/AKIA1", make([]byte, 40))
	for b.Loop() {
		if _, err := k.Unseal("access-key/AKIA1", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
