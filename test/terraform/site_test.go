package terraform

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-iot/slipway/client/api"
)

// A site is a running `slipway serve`.
type site struct {
	bin, data string
	env       map[string]string // the exports of `slipway env`
}

// start builds the program and serves a new folder on free ports.
func start(t *testing.T) *site {
	t.Helper()
	s := &site{bin: filepath.Join(t.TempDir(), "slipway"), data: filepath.Join(t.TempDir(), "data")}
	build := exec.Command("go", "build", "-o", s.bin, "./cmd/slipway")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("slipway does not build: %v\n%s", err, out)
	}
	s.serve(t)
	out, err := exec.Command(s.bin, "env", "--json", "--data", s.data).Output()
	must(t, err)
	must(t, json.Unmarshal(out, &s.env))
	return s
}

// serve waits until the server says that it is ready, and stops it when the
// test is over.
func (s *site) serve(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "serve.log"))
	must(t, err)
	cmd := exec.Command(s.bin, "serve", "--data", s.data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0")
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		_ = log.Close()
		if err != nil || t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("slipway serve ended with %v; the end of its log:\n%s", err, text[max(0, len(text)-8<<10):])
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ready") {
			return
		}
	}
	t.Fatal("slipway serve never became ready")
}

// exports is the environment that `slipway env` makes.
func (s *site) exports() (list []string) {
	for name, value := range s.env {
		list = append(list, name+"="+value)
	}
	return list
}

// client looks at the server beside Terraform.
func (s *site) client() *api.Client {
	return &api.Client{Endpoint: s.env["AWS_ENDPOINT_URL_IOT"], Region: s.env["AWS_REGION"],
		AccessKeyID: s.env["AWS_ACCESS_KEY_ID"], Secret: s.env["AWS_SECRET_ACCESS_KEY"]}
}
