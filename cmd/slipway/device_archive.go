package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

// An archive is one tar file, encrypted in the age format for its recipients as
// it is written, so that no key is ever on disk in plain. It gets its name when
// it is whole; a run that is killed leaves none, and the keys are lost with it
// (`--renew` then gives those devices others).
type archive struct {
	path string
	temp *os.File

	mu     sync.Mutex // one device at a time
	sealed io.WriteCloser
	tar    *tar.Writer
	now    time.Time
}

func newArchive(path string, recipients []string) (*archive, error) {
	if len(recipients) == 0 {
		return nil, usageError{errors.New("--archive needs --recipient age1…: `age-keygen` makes one")}
	}
	var to []age.Recipient
	for _, text := range recipients {
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, usageError{fmt.Errorf("--recipient %q: expected age1…: %w", text, err)}
		}
		to = append(to, r...)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s is there already: give another --archive", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{fmt.Errorf("--archive %s: there is no folder %s", path, filepath.Dir(path))}
	}
	if err != nil {
		return nil, notGiven("--archive", path, err)
	}
	sealed, err := age.Encrypt(temp, to...)
	if err != nil {
		return nil, errors.Join(err, temp.Close(), os.Remove(temp.Name()))
	}
	return &archive{path: path, temp: temp, sealed: sealed, tar: tar.NewWriter(sealed), now: time.Now()}, nil
}

func (a *archive) key(_, kind string, _ bool) (*deviceKey, bool, error) {
	k, err := newDeviceKey(kind)
	return k, false, err
}

func (a *archive) put(name string, k *deviceKey, certificate string, to connectsTo, id string) ([]string, error) {
	files, err := deviceFiles(name, certificate, to, id)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: a.now}); err != nil {
		return nil, err
	}
	for _, f := range append([]deviceFile{{name + keySuffix, []byte(k.pem)}}, files...) {
		if err := a.tar.WriteHeader(&tar.Header{Name: name + "/" + f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: a.now}); err != nil {
			return nil, err
		}
		if _, err := a.tar.Write(f.text); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (*archive) drop(string, *deviceKey) error { return nil }
func (*archive) keeps() bool                   { return false }

// finish gives the archive its name, with whatever was made.
func (a *archive) finish() ([]string, error) {
	err := errors.Join(a.tar.Close(), a.sealed.Close(), a.temp.Sync(), a.temp.Close())
	if err != nil {
		return nil, fmt.Errorf("the archive %s could not be brought to its end: %w", a.path, err)
	}
	if err := os.Rename(a.temp.Name(), a.path); err != nil {
		return nil, err
	}
	return []string{a.path}, syncFolder(filepath.Dir(a.path))
}

func (a *archive) abandon() error { return errors.Join(a.temp.Close(), os.Remove(a.temp.Name())) }
