package terraform

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page reads docs/terraform.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "terraform.md"))
	must(t, err)
	return string(text)
}

// fenced gives the page's block of a language that has a text in it.
func fenced(t *testing.T, language, text string) string {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(page(t), -1) {
		if strings.Contains(m[1], text) {
			return m[1]
		}
	}
	t.Fatalf("docs/terraform.md has no block of %s with %q in it", language, text)
	return ""
}

func TestThePageShowsTheExampleThatIsTested(t *testing.T) {
	example, err := os.ReadFile(filepath.Join("..", "..", "docs", "example", "terraform", "main.tf"))
	must(t, err)
	if !strings.Contains(page(t), "```hcl\n"+string(example)+"```\n") {
		t.Error("docs/terraform.md does not show docs/example/terraform/main.tf as it is")
	}
}

var row = regexp.MustCompile("(?m)^\\| `(aws_iot_[a-z_]+)` \\| (yes|no) \\|")

func TestThePageListsWhatIsTested(t *testing.T) {
	var tested, listed, without []string
	for _, address := range append(declared(t, filepath.Join("testdata", "config", "*.tf")), declared(t, filepath.Join("..", "..", "docs", "example", "terraform", "*.tf"))...) {
		kind, _, _ := strings.Cut(address, ".")
		tested = append(tested, kind)
	}
	slices.Sort(tested)
	for _, m := range row.FindAllStringSubmatch(page(t), -1) {
		listed = append(listed, m[1])
		if m[2] == "no" {
			without = append(without, m[1])
		}
	}
	slices.Sort(listed)
	slices.Sort(without)
	if tested = slices.Compact(tested); !slices.Equal(tested, listed) {
		t.Errorf("tested are %v,\nbut docs/terraform.md lists %v", tested, listed)
	}
	if !slices.Equal(without, notImportable) {
		t.Errorf("docs/terraform.md says that %v have no import; the test leaves out %v", without, notImportable)
	}
}
