// Package folder keeps a bucket in a folder: an object is a file, and the
// slashes of its key are folders.
package folder

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
)

// A Bucket is a folder. It need not exist before something is created in it.
//
// No key leads out of it: every file is opened through an os.Root, which also
// refuses symbolic links that point elsewhere.
type Bucket struct{ dir string }

// New makes the bucket of a folder.
func New(dir string) *Bucket { return &Bucket{dir} }

// temporary begins the names of files that are being written.
const temporary = ".slipway-"

func (b *Bucket) root() (*os.Root, error) {
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, failed("opened", err)
	}
	return root, nil
}

// failed hides the path, which the cause has.
func failed(what string, err error) error {
	return fault.Wrap(fault.Unavailable, err, "The bucket's folder cannot be %s on the server.", what)
}

// Open reads a file.
func (b *Bucket) Open(_ context.Context, key string) (io.ReadCloser, buckets.Object, error) {
	if err := checkKey(key); err != nil {
		return nil, buckets.Object{}, err
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, buckets.Object{}, absent(key, err)
	}
	defer root.Close()
	// Looked at first: to open a pipe would wait for its writer.
	if info, err := root.Stat(key); err != nil || !info.Mode().IsRegular() {
		return nil, buckets.Object{}, absent(key, err)
	}
	f, err := root.Open(key)
	if err != nil {
		return nil, buckets.Object{}, absent(key, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, buckets.Object{}, failed("read", err)
	}
	return f, object(key, info), nil
}

// absent is a key that leads to no file of ours: there is none, or a link led
// out of the folder.
func absent(key string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return failed("read", err)
	}
	return buckets.NoObject(key, err)
}

func object(key string, info fs.FileInfo) buckets.Object {
	version := strconv.FormatInt(info.Size(), 36) + "-" + strconv.FormatInt(info.ModTime().UnixNano(), 36)
	return buckets.Object{Key: key, Size: info.Size(), Version: version}
}

// checkKey keeps the names that unfinished files have for themselves.
func checkKey(key string) error {
	if err := buckets.CheckKey(key); err != nil {
		return err
	}
	if strings.HasPrefix(path.Base(key), temporary) {
		return fault.New(fault.InvalidRequest, "Key: names that begin with %s belong to files that are being written.", temporary)
	}
	return nil
}

// Create writes a file beside its place, brings it to disk, and moves it in.
func (b *Bucket) Create(_ context.Context, key string, body io.Reader) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return failed("made", err)
	}
	root, err := b.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(key), 0o700); err != nil {
		return failed("written", err)
	}
	beside := path.Join(path.Dir(key), temporary+rand.Text())
	err = write(root, beside, body)
	if err == nil {
		if err = root.Rename(beside, key); err != nil {
			err = failed("written", err)
		}
	}
	if err != nil {
		_ = root.Remove(beside)
		return err
	}
	return syncFolder(root, path.Dir(key))
}

// write leaves the errors of body as they are: they are its owner's.
func write(root *os.Root, name string, body io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failed("written", err)
	}
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return failed("written", err)
	}
	return nil
}

func syncFolder(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return failed("written", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return failed("written", err)
	}
	return nil
}

// Delete removes a file; the folders above it stay.
func (b *Bucket) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	root, err := os.OpenRoot(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed("opened", err)
	}
	defer root.Close()
	if err := root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("written", err)
	}
	return nil
}

// List reads the whole folder, whatever is asked for.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]buckets.Object, error) {
	root, err := os.OpenRoot(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("opened", err)
	}
	defer root.Close()
	var found []buckets.Object
	err = fs.WalkDir(root.FS(), ".", func(key string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !d.Type().IsRegular() || !strings.HasPrefix(key, prefix) || key <= after || strings.HasPrefix(d.Name(), temporary) {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = append(found, object(key, info))
		return err
	})
	if err != nil {
		return nil, failed("read", err)
	}
	slices.SortFunc(found, func(a, b buckets.Object) int { return strings.Compare(a.Key, b.Key) })
	return found[:min(limit, len(found))], nil
}
