package folder_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/buckets/bucketstest"
	"github.com/slipway-iot/slipway/buckets/folder"
	"github.com/slipway-iot/slipway/fault"
)

func TestFolder(t *testing.T) {
	bucketstest.Run(t, func(t *testing.T) buckets.Bucket { return folder.New(filepath.Join(t.TempDir(), "later")) })
}

func TestNoKeyLeavesTheFolder(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "bucket")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(inside, "up")); err != nil {
		t.Fatal(err)
	}
	b := folder.New(inside)
	for _, key := range []string{"../secret", "link", "up/secret", "x/../../secret", secret} {
		if _, _, err := b.Open(context.Background(), key); err == nil {
			t.Errorf("%s was read", key)
		}
		if err := b.Create(context.Background(), key, strings.NewReader("overwritten")); err == nil && key != "link" {
			t.Errorf("%s was written", key)
		}
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "a secret" {
		t.Errorf("the file outside is %q (%v)", got, err)
	}
	if _, err := os.Lstat(filepath.Join(inside, "link")); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoFileIsNoObject(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := folder.New(dir)
	if _, _, err := b.Open(context.Background(), "a"); !fault.Is(err, fault.Missing) {
		t.Errorf("a folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", ".slipway-half"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := b.List(context.Background(), "", "", 10); err != nil || len(got) != 0 {
		t.Errorf("an unfinished file is listed: %v, %v", got, err)
	}
}
