package terraform

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// provider is where a mirror keeps the provider that the tests are written
// for. Its layout is Terraform's own ("unpacked").
const (
	version  = "5.100.0"
	provider = "registry.terraform.io/hashicorp/aws/" + version
)

// mirror gives the folder of a filesystem mirror that holds the provider: the
// one that $SLIPWAY_TEST_TERRAFORM_MIRROR names, those of the user's command
// line configuration, or one in a place where Terraform or its packagers look.
func mirror(t *testing.T) string {
	t.Helper()
	for _, dir := range mirrors() {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(provider), runtime.GOOS+"_"+runtime.GOARCH)); err == nil && info.IsDir() {
			return dir
		}
	}
	t.Fatalf("The AWS provider %s for Terraform is in no mirror on this machine: `terraform providers mirror DIR` beside a configuration that requires it makes one; name DIR in $SLIPWAY_TEST_TERRAFORM_MIRROR, or use ~/.terraform.d/plugins.", version)
	return ""
}

func mirrors() []string {
	dirs := []string{os.Getenv("SLIPWAY_TEST_TERRAFORM_MIRROR")}
	dirs = append(dirs, configured()...)
	home, err := os.UserHomeDir()
	if err == nil {
		dirs = append(dirs, filepath.Join(home, ".terraform.d", "plugins"), filepath.Join(home, ".local", "share", "terraform", "plugins"))
	}
	for _, pattern := range []string{"/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*"} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return dirs
}

var mirrorPath = regexp.MustCompile(`(?s)filesystem_mirror\s*\{[^}]*?path\s*=\s*"([^"]+)"`)

// configured gives the mirrors of the user's own configuration of Terraform.
func configured() (dirs []string) {
	file := os.Getenv("TF_CLI_CONFIG_FILE")
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		file = filepath.Join(home, ".terraformrc")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for _, m := range mirrorPath.FindAllStringSubmatch(string(text), -1) {
		dirs = append(dirs, strings.TrimSpace(m[1]))
	}
	return dirs
}
