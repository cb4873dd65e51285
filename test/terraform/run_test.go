package terraform

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit ends a run that hangs. None needs a tenth of it.
const limit = 5 * time.Minute

// A project is a folder with a configuration, and what Terraform keeps there.
type project struct {
	dir string
	env []string
}

// newProject makes a folder beside a copy of docs/example, so that the example
// finds its files. Terraform gets the exports of `slipway env` and nothing
// else; a mirror, and no network for its providers.
func newProject(t *testing.T, exports []string) *project {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Fatal("terraform is not installed; the test needs 1.5 or newer: https://developer.hashicorp.com/terraform/install")
	}
	root := t.TempDir()
	must(t, os.CopyFS(root, os.DirFS(filepath.Join("..", "..", "docs", "example"))))
	p := &project{dir: filepath.Join(root, "terraform")}
	settings := filepath.Join(root, "terraform.rc")
	must(t, os.WriteFile(settings, fmt.Appendf(nil, "disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror(t)), 0o600))
	p.env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		"TF_CLI_CONFIG_FILE=" + settings, "TF_IN_AUTOMATION=1", "NO_COLOR=1"}, exports...)
	return p
}

// lay copies the files of a folder of testdata into the project.
func (p *project) lay(t *testing.T, folder string) {
	t.Helper()
	must(t, os.CopyFS(p.dir, os.DirFS(filepath.Join("testdata", folder))))
}

// run runs terraform. Exit code 2 is a plan that is not empty.
func (p *project) run(t *testing.T, args ...string) (stdout []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "terraform", args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the provider goes with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	t.Logf("terraform %s: %.1f s", args[0], time.Since(start).Seconds())
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return out.Bytes(), 2
	}
	if err != nil {
		t.Fatalf("terraform %s: %v\n%s%s", strings.Join(args, " "), err, failures(out.Bytes()), errs.Bytes())
	}
	return out.Bytes(), 0
}

// A step is one line of what terraform prints with -json.
type step struct {
	Type   string `json:"type"`
	Level  string `json:"@level"`
	Change struct {
		Action   string `json:"action"`
		Resource struct {
			Address string `json:"addr"`
		} `json:"resource"`
	} `json:"change"`
	Diagnostic struct {
		Summary string `json:"summary"`
		Detail  string `json:"detail"`
		Address string `json:"address"`
	} `json:"diagnostic"`
}

func steps(out []byte) (list []step) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s step
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			list = append(list, s)
		}
	}
	return list
}

// failures is what a person wants to read of a run that failed: its errors, or
// all of it if it was not made for machines.
func failures(out []byte) string {
	var b strings.Builder
	for _, s := range steps(out) {
		if s.Level == "error" {
			fmt.Fprintf(&b, "%s: %s %s\n", s.Diagnostic.Address, s.Diagnostic.Summary, s.Diagnostic.Detail)
		}
	}
	if b.Len() == 0 {
		return string(out)
	}
	return b.String()
}

// apply applies, and gives the addresses of what was changed, by action.
func (p *project) apply(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out, _ := p.run(t, append([]string{"apply", "-json", "-auto-approve", "-input=false"}, args...)...)
	changes := map[string][]string{}
	for _, s := range steps(out) {
		if s.Type == "planned_change" {
			changes[s.Change.Action] = append(changes[s.Change.Action], s.Change.Resource.Address)
		}
	}
	for _, list := range changes {
		slices.Sort(list)
	}
	return changes
}

// A resource is one thing that Terraform believes to be there.
type resource struct{ Type, Address, ID string }

// state reads what Terraform believes to be there, by way of its file: a run of
// `terraform show` would start the provider, which takes seconds.
func (p *project) state(t *testing.T) (list []resource) {
	t.Helper()
	p.editState(t, func(r resource) bool {
		list = append(list, r)
		return true
	})
	return list
}

// editState shows each resource of the state to keep, and takes those out that
// it does not want.
func (p *project) editState(t *testing.T, keep func(resource) bool) {
	t.Helper()
	file := filepath.Join(p.dir, "terraform.tfstate")
	text, err := os.ReadFile(file)
	must(t, err)
	var doc map[string]any
	must(t, json.Unmarshal(text, &doc))
	doc["resources"] = slices.DeleteFunc(doc["resources"].([]any), func(v any) bool {
		r := v.(map[string]any)
		if r["mode"] != "managed" {
			return false
		}
		attributes := r["instances"].([]any)[0].(map[string]any)["attributes"].(map[string]any)
		return !keep(resource{r["type"].(string), r["type"].(string) + "." + r["name"].(string), attributes["id"].(string)})
	})
	text, err = json.Marshal(doc)
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
