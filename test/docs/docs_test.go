// Package docs checks what the documents say about the code: links lead
// somewhere, tests that are named exist, crash points are all explained.
package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/internal/crash"
)

var root = os.DirFS(filepath.Join("..", ".."))

// documents reads README.md, CHANGELOG.md and all of docs, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[name] = read(t, name)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents were found", len(all))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := fs.Stat(root, file); err != nil {
				t.Errorf("%s links to %s, which is not there.", name, m[1])
			} else if anchor != "" && !hasHeading(read(t, file), anchor) {
				t.Errorf("%s links to %s, but %s has no such heading.", name, m[1], file)
			}
		}
	}
}

// dropped is what an anchor has not of its heading.
var dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// hasHeading compares as the usual viewers make anchors of headings.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		title, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "#"), " ")
		if ok && strings.HasPrefix(line, "#") && strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(title), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

var (
	named    = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`")
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)\(`)
)

// tests gives the name of every test of the repository.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(read(t, name), -1) {
				found[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTestsThatAreNamedExist(t *testing.T) {
	exists := tests(t)
	for name, text := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which is no test of this repository.", name, m[1])
			}
		}
	}
}

func TestEveryCrashPointIsExplained(t *testing.T) {
	flow := read(t, "docs/flows/claim.md")
	for _, point := range crash.Points {
		if !strings.Contains(flow, "`"+point+"`") {
			t.Errorf("docs/flows/claim.md does not name the crash point %s.", point)
		}
	}
	for _, point := range crash.Bulk {
		if !strings.Contains(read(t, "docs/flows/bulk.md"), "`"+point+"`") {
			t.Errorf("docs/flows/bulk.md does not name the crash point %s.", point)
		}
	}
	for door, points := range crash.JustInTime {
		flow := read(t, "docs/flows/"+door+".md")
		for _, point := range points {
			if !strings.Contains(flow, "`"+point+"`") {
				t.Errorf("docs/flows/%s.md does not name the crash point %s.", door, point)
			}
		}
	}
}
