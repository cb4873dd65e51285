package importtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/slipway-iot/slipway"

// A file is one Go file and what it imports.
type file struct {
	name    string // from the root of the repository
	dir     string
	test    bool
	imports []string
}

// repository reads the imports of every Go file, whatever its build tags.
// Folders named testdata hold programs that stand for somebody else's.
func repository(t *testing.T) []file {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	var files []file
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := readFile(root, name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("Only %d Go files were found: the test does not see the repository.", len(files))
	}
	return files
}

func readFile(root fs.FS, name string) (file, error) {
	f := file{name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	source, err := fs.ReadFile(root, name)
	if err != nil {
		return f, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return f, err
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// under says whether dir is one of the directories or lies below one.
func under(dir string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return dir == d || strings.HasPrefix(dir, d+"/") })
}

// place finds the layer of a directory and the entry of the table that it
// lies under.
func place(dir string) (layer, string, bool) {
	for _, l := range house {
		for _, d := range l.dirs {
			if under(dir, []string{d}) {
				return l, d, true
			}
		}
	}
	return layer{}, "", false
}

// allowed is the law of the house for one import inside the repository.
func allowed(from, to string) bool {
	own, ownDir, _ := place(from)
	other, otherDir, known := place(to)
	return known && (ownDir == otherDir || slices.Contains(own.sees, other.name))
}

func TestImportsPointUpTheHouse(t *testing.T) {
	for _, f := range repository(t) {
		if f.test || under(f.dir, unhoused) {
			continue
		}
		if _, _, ok := place(f.dir); !ok {
			t.Errorf("%s lies in %s, which has no place in the house: give it one in internal/importtest/house.go.", f.name, f.dir)
			continue
		}
		for _, imported := range f.imports {
			to, inside := strings.CutPrefix(imported, module+"/")
			if inside && !allowed(f.dir, to) {
				own, _, _ := place(f.dir)
				other, _, _ := place(to)
				t.Errorf("%s imports %s: %q may not know %q.", f.name, to, own.name, other.name)
			}
		}
	}
}

func TestEachHeavyDependencyIsKnownToOnePackage(t *testing.T) {
	for _, f := range repository(t) {
		if f.test || under(f.dir, unhoused) {
			continue
		}
		for _, imported := range f.imports {
			if why := stranger(f, imported); why != "" {
				t.Error(why)
			}
		}
	}
}

// stranger gives a sentence when the file may not import a module of others.
func stranger(f file, imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || under(imported, []string{module}) || under(imported, light) {
		return ""
	}
	for _, o := range owners {
		if !under(imported, []string{o.module}) {
			continue
		}
		switch {
		case slices.Contains(o.dirs, f.dir):
			return ""
		case len(o.dirs) == 0:
			return f.name + " imports " + imported + ", which only tests may import."
		}
		return f.name + " imports " + imported + ", which only " + strings.Join(o.dirs, " and ") + " may know."
	}
	return f.name + " imports " + imported + ", which has no owner: name one in internal/importtest/house.go and give the reason in docs/dependencies.md."
}

func TestOnlyTestsImportTesting(t *testing.T) {
	for _, f := range repository(t) {
		if f.test || under(f.dir, testSupport) || !slices.Contains(f.imports, "testing") {
			continue
		}
		t.Errorf("%s imports testing, but is part of the program: a test-support package has a name that ends in test and stands in internal/importtest/house.go.", f.name)
	}
}

// A table that nobody breaks may be a table that nobody reads: these are
// violations, and each must be found.
func TestTheLawIsEnforced(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"certs", "things"},
		{"policy", "store"},
		{"store/sqlite", "provision"},
		{"provision", "gateway"},
		{"gateway", "control"},
		{"agent", "certs"},
		{"sim", "agent"},
		{"mqtt", "wire"},
		{"server", "cmd/slipway"},
		{"gateway", "nowhere"},
	} {
		if allowed(c.from, c.to) {
			t.Errorf("%s may import %s, which the house forbids.", c.from, c.to)
		}
	}
	for _, c := range []struct{ from, to string }{
		{"store/sqlite", "store/internal/records"},
		{"certs", "internal/seal"},
		{"gateway", "provision"},
		{"sim", "client"},
		{"cmd/slipway", "server"},
	} {
		if !allowed(c.from, c.to) {
			t.Errorf("%s may not import %s, which the house allows.", c.from, c.to)
		}
	}
	if stranger(file{name: "certs/x.go", dir: "certs"}, "modernc.org/sqlite") == "" {
		t.Error("certs may import modernc.org/sqlite, which belongs to store/sqlite.")
	}
	if stranger(file{name: "certs/x.go", dir: "certs"}, "example.org/new") == "" {
		t.Error("A module without an owner is not noticed.")
	}
}
