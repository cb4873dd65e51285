// Package terraform runs HashiCorp's Terraform with the AWS provider, both
// unmodified, against the real `slipway serve`.
//
// The configuration is docs/example/terraform, which docs/terraform.md shows,
// with testdata/config laid beside it: every aws_iot_* resource and data source
// whose operations Slipway has. Both programs come from this machine; nothing is
// fetched.
package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The provider has no import for these; they stay in the state while the
// others are imported.
var notImportable = []string{
	"aws_iot_ca_certificate", "aws_iot_certificate", "aws_iot_logging_options", "aws_iot_policy_attachment", "aws_iot_thing_principal_attachment",
}

func TestTerraformTakesAFleetFromCreationToDestruction(t *testing.T) {
	s := start(t)
	p := newProject(t, s.exports())
	p.lay(t, "config")
	s.makeFiles(t, filepath.Join(p.dir, "pem"))
	p.run(t, "init", "-input=false")

	story := []struct {
		sentence string
		chapter  func(*testing.T)
	}{
		{"everything is created", func(t *testing.T) { p.create(t) }},
		{"a second plan is empty", func(t *testing.T) { p.isSettled(t) }},
		{"what the configuration changes is changed in place", func(t *testing.T) { p.revise(t) }},
		{"what is imported is what was made", func(t *testing.T) { p.imports(t) }},
		{"nothing is left when it is destroyed, by a provider that has a profile", func(t *testing.T) {
			p.profile(t, s)
			p.destroy(t)
			s.isEmpty(t)
		}},
	}
	for _, part := range story {
		if !t.Run(part.sentence, part.chapter) {
			return // what follows builds on it
		}
	}
}

func (p *project) create(t *testing.T) {
	changes := p.apply(t)
	expectChanges(t, changes, map[string][]string{"create": declared(t, filepath.Join(p.dir, "*.tf"))})
}

func (p *project) isSettled(t *testing.T) {
	if out, code := p.run(t, "plan", "-detailed-exitcode", "-input=false"); code != 0 {
		t.Errorf("the plan is not empty:\n%s", out)
	}
}

// revise lays the revision over the configuration. Every resource of it must
// be updated, and not replaced.
func (p *project) revise(t *testing.T) {
	p.lay(t, "revision")
	changes := p.apply(t)
	expectChanges(t, changes, map[string][]string{"update": declared(t, filepath.Join("testdata", "revision", "*.tf"))})
}

// imports makes Terraform forget what it made, and find it again. That nothing
// is changed shows two things: the revision is complete, and an import reads
// everything.
func (p *project) imports(t *testing.T) {
	var forgotten, blocks []string
	p.editState(t, func(r resource) bool {
		if slices.Contains(notImportable, r.Type) {
			return true
		}
		forgotten = append(forgotten, r.Address)
		blocks = append(blocks, fmt.Sprintf("import {\n  to = %s\n  id = %q\n}\n", r.Address, r.ID))
		return false
	})
	must(t, os.WriteFile(filepath.Join(p.dir, "imports.tf"), []byte(strings.Join(blocks, "\n")), 0o600))
	changes := p.apply(t)
	slices.Sort(forgotten)
	expectChanges(t, changes, map[string][]string{"import": forgotten})
}

// profile takes the environment away, and puts the profile and the provider
// block of docs/terraform.md in its place, with this server's values.
func (p *project) profile(t *testing.T, s *site) {
	text := strings.NewReplacer("http://127.0.0.1:8080", s.env["AWS_ENDPOINT_URL_IOT"],
		"SECRET_ACCESS_KEY", s.env["AWS_SECRET_ACCESS_KEY"], "ACCESS_KEY_ID", s.env["AWS_ACCESS_KEY_ID"]).Replace(fenced(t, "ini", "[profile slipway]"))
	file := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	must(t, os.WriteFile(filepath.Join(p.dir, "provider_override.tf"), []byte(fenced(t, "hcl", "profile =")), 0o600))
	p.env = append(slices.DeleteFunc(p.env, func(v string) bool { return strings.HasPrefix(v, "AWS_") }), "AWS_CONFIG_FILE="+file)
}

func (p *project) destroy(t *testing.T) {
	var all []string
	for _, r := range p.state(t) {
		all = append(all, r.Address)
	}
	slices.Sort(all)
	expectChanges(t, p.apply(t, "-destroy"), map[string][]string{"delete": all})
}

func expectChanges(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for action, list := range got {
		if !slices.Equal(list, want[action]) {
			t.Errorf("%s:\n got %v\nwant %v", action, list, want[action])
		}
	}
	for action, list := range want {
		if got[action] == nil {
			t.Errorf("nothing of action %s; expected %v", action, list)
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^resource "([^"]+)" "([^"]+)"`)

// declared gives the addresses of the resources in files of Terraform's.
func declared(t *testing.T, pattern string) (list []string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		must(t, err)
		for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
			list = append(list, m[1]+"."+m[2])
		}
	}
	slices.Sort(list)
	return list
}
