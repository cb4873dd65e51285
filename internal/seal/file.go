package seal

import (
	"os"
	"path/filepath"
)

// createWhole makes the file at path with mode 0600, whole or not at all, and
// fails with fs.ErrExist if there is one already.
//
// The bytes go to a temporary file first. A hard link then gives them their
// name: unlike a rename it never replaces a file that another process put
// there, and unlike O_EXCL on the name itself it never shows half a file.
func createWhole(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".unlock-*") // CreateTemp opens with O_EXCL and 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

// writeSynced writes data, forces it to disk and closes f in every case.
func writeSynced(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncDir forces the names in dir to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
