package process

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-iot/slipway/functions"
)

// files is the state of what a command runs: its program, and every argument
// that is the absolute path of a regular file, since "/usr/bin/python3
// /srv/check.py" changes with its second word.
type files []fs.FileInfo

func look(command []string) (files, error) {
	program, err := os.Stat(command[0])
	if err != nil {
		return nil, err
	}
	seen := files{program}
	for _, a := range command[1:] {
		if !filepath.IsAbs(a) {
			continue
		}
		if f, err := os.Stat(a); err == nil && f.Mode().IsRegular() {
			seen = append(seen, f)
		}
	}
	return seen, nil
}

func (f files) same(g files) bool {
	if len(f) != len(g) {
		return false
	}
	for i := range f {
		if !functions.SameFile(f[i], g[i]) {
			return false
		}
	}
	return true
}
