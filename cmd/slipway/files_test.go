package main

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// Each verb that takes a file, with the file in place of FILE.
var takeFiles = map[string][]string{
	"<file>":            {"policy", "check", "FILE"},
	"<file> (apply)":    {"template", "apply", "FILE"},
	"<file> (diff)":     {"template", "diff", "fleet", "FILE"},
	"<file> (bulk)":     {"bulk", "start", "FILE", "--template", "fleet", "--role", "r"},
	"--body":            {"template", "test", "fleet", "--body", "FILE"},
	"--allowlist":       {"function", "add", "gate", "--allowlist", "FILE"},
	"--payload":         {"function", "test", "gate", "--payload", "FILE"},
	"--secret-file":     {"key", "add", "--role", "operator", "--id", "AKIAEXAMPLEKEY", "--secret-file", "FILE"},
	"--from":            {"device", "create", "--from", "FILE"},
	"--policy-document": {"device", "create", "lamp", "--policy", "p", "--policy-document", "FILE"},
	"--root-ca":         {"device", "list", "--root-ca", "FILE"},
	"--config":          {"serve", "--config", "FILE"},
}

func TestAFileThatCannotBeReadIsNamedWithItsFlag(t *testing.T) {
	elsewhere(t)
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for flag, args := range takeFiles {
		flag, _, _ = strings.Cut(flag, " ")
		for _, file := range []string{"nothing.json", "folder"} {
			t.Run(strings.Join(args[:2], " ")+" "+flag+" "+file, func(t *testing.T) {
				var line []string
				for _, a := range args {
					line = append(line, strings.Replace(a, "FILE", file, 1))
				}
				if flag != "--config" && args[1] != "check" {
					line = append(line, "--endpoint-url", server.URL)
				}
				code, out, said := command(line...)
				if code != exitUsage || out != "" || !strings.Contains(said, flag) || !strings.Contains(said, file) {
					t.Errorf("exit code %d: %s%s", code, out, said)
				}
			})
		}
	}
}

func TestAFolderThatCannotBeMadeIsNamedWithItsFlag(t *testing.T) {
	elsewhere(t)
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"--out":     {"device", "create", "lamp", "--out", "file/folder", "--endpoint-url", "http://127.0.0.1:1"},
		"--archive": {"device", "create", "lamp", "--archive", "none/a.age", "--recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "--endpoint-url", "http://127.0.0.1:1"},
	} {
		if code, _, said := command(args...); code != exitUsage || !strings.Contains(said, name) {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
	}
}

func TestAFileWithoutPermissionIsAUsage(t *testing.T) {
	err := notGiven("--from", "fleet.csv", &fs.PathError{Op: "open", Path: "fleet.csv", Err: fs.ErrPermission})
	if want := "--from fleet.csv: this user has no permission for it"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
