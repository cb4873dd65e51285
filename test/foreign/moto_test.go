package foreign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/client/api"
)

// A moto is a running moto_server. It is the same for all tests; each has a
// region, and so a registry, of its own.
type moto struct {
	url, region, dir string
	client           *api.Client
}

// What TestMain makes for all tests.
var shared struct{ slipway, moto string }

func TestMain(m *testing.M) {
	code, err := prepare(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// prepare builds slipway and runs moto_server as long as the tests run.
func prepare(tests func() int) (int, error) {
	dir, err := os.MkdirTemp("", "foreign")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	shared.slipway = filepath.Join(dir, "slipway")
	build := exec.Command("go", "build", "-o", shared.slipway, "./cmd/slipway")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("slipway does not build: %w\n%s", err, out)
	}
	program, err := motoServer()
	if err != nil {
		return 0, err
	}
	emulator := exec.Command(program, "-H", "127.0.0.1", "-p", "0")
	emulator.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	said, err := emulator.StderrPipe()
	if err == nil {
		err = emulator.Start()
	}
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = emulator.Process.Kill()
		_ = emulator.Wait()
	}()
	if shared.moto, err = address(said); err != nil {
		return 0, err
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // ends with the process
	return tests(), nil
}

// motoServer finds the program: where test/deps keeps Python's, else on the
// PATH.
func motoServer() (string, error) {
	kept := filepath.Join("..", "..", ".cache", "venv", "bin", "moto_server")
	for _, name := range []string{kept, "moto_server"} {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", errors.New("moto_server is not installed: run test/deps first, as `make test` does")
}

var listening = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// address reads on which port moto_server listens.
func address(said io.Reader) (string, error) {
	var log strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("moto_server does not start:\n%s", &log)
}

// in gives the moto_server, with the registry of a region that no other test
// has.
func in(t *testing.T, region string) *moto {
	t.Helper()
	return &moto{url: shared.moto, region: region, dir: t.TempDir(),
		client: &api.Client{Endpoint: shared.moto, Region: region, AccessKeyID: "any", Secret: "any"}}
}

// call makes one call of AWS's API beside the verbs.
func (m *moto) call(t *testing.T, method, path string, body any) map[string]json.RawMessage {
	t.Helper()
	if body == nil && method != "GET" {
		body = struct{}{}
	}
	var out map[string]json.RawMessage
	if err := m.client.Do(t.Context(), method, path, nil, nil, body, &out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

func (m *moto) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An outcome is how a run of slipway ended, and what it printed.
type outcome struct {
	code int
	out  string
}

// run runs slipway in an environment that any AWS tool would understand.
func (m *moto) run(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.slipway, args...)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "AWS_ENDPOINT_URL=" + m.url,
		"AWS_REGION=" + m.region, "AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String()}
}

// names gives so many names of things.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("thing-%d", i)
	}
	return list
}
