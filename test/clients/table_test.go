package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's.
var root = filepath.Join("..", "..")

// quotedWord is anything that the table shows as code.
var quotedWord = regexp.MustCompile("`([^`]+)`")

func TestEveryRowHasATestThatExists(t *testing.T) {
	rows := tableRows(t)
	if len(rows) < 40 {
		t.Fatalf("the table has only %d rows", len(rows))
	}
	interop := readFile(t, "test", "interop", "interop_test.go")
	for _, row := range rows {
		found := 0
		for part := range strings.SplitSeq(row.tests, ";") {
			dir := "test/clients" // unless a package stands before the tests
			for _, m := range quotedWord.FindAllStringSubmatch(part, -1) {
				switch word := m[1]; {
				case strings.HasPrefix(word, "Test"):
					found++
					if !declares(t, dir, word) {
						t.Errorf("%s: %s has no %s", row.name, dir, word)
					}
				case strings.HasSuffix(word, ".sh"), strings.HasSuffix(word, ".py"):
					found++
					if !strings.Contains(interop, `"`+word+`"`) {
						t.Errorf("%s: no test runs %s", row.name, word)
					}
				default:
					dir = word
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no test is named", row.name)
		}
	}
}

// A row of docs/clients.md.
type row struct{ name, tests, versions string }

// tableRows reads the three tables; the first has its tests in the last column,
// the others in the second.
func tableRows(t *testing.T) (rows []row) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "docs", "clients.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case len(cells) < 3, strings.HasPrefix(cells[0], "--"), strings.HasSuffix(strings.TrimSpace(cells[len(cells)-1]), "test"):
		case len(cells) == 4:
			rows = append(rows, row{cells[0], cells[3], cells[1]})
		case strings.TrimSpace(cells[1]) != "test":
			rows = append(rows, row{cells[0], cells[1], cells[2]})
		}
	}
	return rows
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join(append([]string{root}, path...)...)))(t))
}

// declares says whether a package's tests include one.
func declares(t *testing.T, dir, name string) bool {
	t.Helper()
	for _, file := range must(filepath.Glob(filepath.Join(root, dir, "*_test.go")))(t) {
		if strings.Contains(string(must(os.ReadFile(file))(t)), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// What a row says of a version is what make test installs.
func TestTheVersionsAreThoseThatRun(t *testing.T) {
	pins := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+)==(\S+)$`).FindAllStringSubmatch(readFile(t, "test", "requirements.txt"), -1) {
		pins[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\S+/(service/iot|aws-lambda-go|paho\.golang|paho\.mqtt\.golang) (v\S+)`).FindAllStringSubmatch(readFile(t, "go.mod"), -1) {
		pins[m[1]] = m[2]
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal([]byte(readFile(t, "test", "package-lock.json")), &lock); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aws-iot-device-sdk-v2", "aws-crt"} {
		pins[name] = lock.Packages["node_modules/"+name].Version
	}
	for _, row := range tableRows(t) {
		for name, pin := range pins {
			said := regexp.MustCompile(`(?:^|[ ;,(])` + regexp.QuoteMeta(name) + ` (v?[0-9][0-9.]*[0-9])`)
			for _, m := range said.FindAllStringSubmatch(row.versions, -1) {
				if m[1] != pin {
					t.Errorf("%s: %s %s is named, %s runs", row.name, name, m[1], pin)
				}
			}
		}
	}
}
