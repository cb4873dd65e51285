package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-iot/slipway/fault"
)

// readInput reads the file that a flag or an argument names, or standard input
// for "-".
func readInput(s streams, flag, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.in)
	}
	return readGiven(flag, name)
}

// readGiven reads the file that a flag or an argument names.
func readGiven(flag, name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, notGiven(flag, name, err)
	}
	return text, nil
}

// notGiven is the fault of a command line that names a file or a folder which
// cannot be used.
func notGiven(flag, name string, err error) error {
	var path *fs.PathError
	why := err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		why = "this user has no permission for it"
	case errors.As(err, &path): // without its verb, and the name once more
		why = path.Err.Error()
	}
	return usageError{fmt.Errorf("%s %s: %s", flag, name, why)}
}

// inFile is an error about what a file holds: the command line was right.
func inFile(name string, err error) error {
	_, text := fault.Show(err)
	return fmt.Errorf("%s: %s", name, text)
}

// writeWhole replaces a file whole or not at all, and has it on disk before it
// returns.
func writeWhole(path string, data []byte, mode fs.FileMode) error {
	if err := place(path, data, mode); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// place is writeWhole but for the folder: who writes several files syncs it
// once.
func place(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = errors.Join(tmp.Chmod(mode), writeAll(tmp, data), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func writeAll(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// syncFolder makes a rename outlast a power cut.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
