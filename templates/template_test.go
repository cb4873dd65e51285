package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/slipway-iot/slipway/fault"
)

var update = flag.Bool("update", false, "write what the cases of testdata give into them")

// A case of testdata is a group of sections "SENTENCE/PART" of an archive:
//
//	template.json  the template
//	here           what stands where the template says HERE
//	input.json     kind, parameters, overrides, service, and the member of
//	               the plan to show; may be absent
//	want           the plan, or "parse error: …" or "render error: …"
//
// A section without a SENTENCE serves every case that lacks the part.
type testCase struct {
	name  string
	parts map[string]string
}

type testInput struct {
	Kind, Show                     string
	Parameters, Overrides, Service map[string]string
}

func TestCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runArchive(t, file) })
	}
}

func runArchive(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range casesOf(ar) {
		t.Run(c.name, func(t *testing.T) {
			got := c.run(t)
			if *update {
				setWant(ar, c.name, got)
			} else if want := strings.TrimSpace(c.parts["want"]); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func casesOf(ar *txtar.Archive) []*testCase {
	shared := map[string]string{}
	var all []*testCase
	for _, f := range ar.Files {
		name, part, ok := strings.Cut(f.Name, "/")
		if !ok {
			shared[f.Name] = string(f.Data)
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, &testCase{name, maps.Clone(shared)})
		}
		all[len(all)-1].parts[part] = string(f.Data)
	}
	for _, c := range all {
		here := strings.TrimSpace(c.parts["here"])
		c.parts["template.json"] = strings.Replace(c.parts["template.json"], "HERE", here, 1)
	}
	return all
}

func setWant(ar *txtar.Archive, name, want string) {
	last := 0
	for i, f := range ar.Files {
		if f.Name == name+"/want" {
			ar.Files[i].Data = []byte(want + "\n")
			return
		}
		if strings.HasPrefix(f.Name, name+"/") {
			last = i
		}
	}
	f := txtar.File{Name: name + "/want", Data: []byte(want + "\n")}
	ar.Files = append(ar.Files[:last+1], append([]txtar.File{f}, ar.Files[last+1:]...)...)
}

// run gives the plan or the error, and checks that the error has the kind of
// its stage and that rendering twice gives the same.
func (c *testCase) run(t *testing.T) string {
	t.Helper()
	var in testInput
	if text := c.parts["input.json"]; text != "" {
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
	}
	kind, ok := map[string]Kind{"": Fleet, "JITP": JITP, "inline": Inline}[in.Kind]
	if !ok {
		t.Fatalf("unknown kind %q", in.Kind)
	}
	tpl, err := Parse([]byte(c.parts["template.json"]), kind)
	if err != nil {
		return "parse error: " + mustBe(t, err, fault.InvalidRequest)
	}
	got := renderText(t, tpl, in)
	if again := renderText(t, tpl, in); again != got {
		t.Errorf("a second rendering gives:\n%s\nafter:\n%s", again, got)
	}
	return got
}

func renderText(t *testing.T, tpl *Template, in testInput) string {
	t.Helper()
	plan, err := tpl.Render(Input{in.Parameters, in.Overrides, in.Service})
	if err != nil {
		return "render error: " + mustBe(t, err, fault.InvalidParameters)
	}
	all, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	if in.Show != "" {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(all, &members); err != nil {
			t.Fatal(err)
		}
		all = members[in.Show]
	}
	var out bytes.Buffer
	if err := json.Indent(&out, all, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func mustBe(t *testing.T, err error, k fault.Kind) string {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != k {
		t.Fatalf("got an error of another kind: %v", err)
	}
	return f.Text
}
