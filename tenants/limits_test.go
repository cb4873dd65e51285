package tenants

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestEveryLimitIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/accounts.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 4 {
			rows++
		}
	}
	if rows != len(bounds) {
		t.Errorf("docs/accounts.md has %d rows of limits; there are %d limits", rows, len(bounds))
	}
	for name, b := range bounds {
		row := fmt.Sprintf(" | %s | %s |\n", grouped(b.aws), grouped(b.most))
		from := strings.Index(string(page), "| `"+string(name)+"`")
		if from < 0 {
			t.Errorf("docs/accounts.md has no row for %s", name)
			continue
		}
		if line, _, _ := strings.Cut(string(page)[from:], "\n"); !strings.HasSuffix(line+"\n", row) {
			t.Errorf("docs/accounts.md says %q; expected %q", line, row)
		}
		if b.aws < 1 || b.most < b.aws {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// grouped writes 2048 as 2,048.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
