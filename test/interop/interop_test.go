// Package interop runs clients that are not ours, unmodified, against the real
// `slipway serve`: the aws command line with openssl and mosquitto's clients,
// boto3, paho-mqtt, and the AWS IoT Device SDK v2 for Python and for JavaScript;
// slipway-agent with them.
//
// A client's script (the *.sh and *.py beside this file) gets the
// exports of `slipway env`, a short-lived credential and nothing else, and sets its
// own fleet up. What a script needs is installed by test/deps, which `make test`
// runs first.
package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/tenants"
)

// limit ends a script that hangs. None needs a tenth of it.
const limit = 4 * time.Minute

// scripts are run side by side against one server.
var scripts = []struct{ sentence, command, file string }{
	{"the aws command line, openssl and mosquitto's clients take a device by hand", "bash", "mosquitto.sh"},
	{"what README.md and docs/flows/by-hand.md tell a newcomer to do by hand works", "bash", "readme.sh"},
	{"pages of docs/flows work, and print what they promise", "python3", "flows.py"},
	{"boto3 sets a fleet up and reads it back", "python3", "boto3_setup.py"},
	{"paho-mqtt provisions over 3.1.1 and 5", "python3", "paho_flow.py"},
	{"the AWS IoT Device SDK v2 for Python provisions with both its clients", "python3", "awsiotsdk_flow.py"},
	{"the AWS IoT Device SDK v2 for JavaScript provisions with both its clients", "python3", "js_flow.py"},
	{"the AWS IoT Device SDK v2 for JavaScript comes over WebSocket, in Node and as in a browser", "python3", "js_websocket_flow.py"},
	{"the AWS IoT Device SDK v2 for Python, paho-mqtt and curl come over WebSocket, by ALPN and over HTTPS", "python3", "transports_flow.py"},
	{"the AWS IoT Device SDK v2 for Python and curl come in by a custom authorizer", "python3", "authorizers_flow.py"},
	{"slipway-agent provisions in every way it has", "python3", "agent_flow.py"},
}

func TestForeignClientsPassUnmodified(t *testing.T) {
	s := start(t)
	for _, script := range scripts {
		t.Run(script.sentence, func(t *testing.T) {
			t.Parallel()
			s.run(t, script.command, script.file)
		})
	}
}

// A slipway is a running server.
type slipway struct {
	bin  string // folder of both programs
	data string
	env  []string // the exports of `slipway env`
	log  *buffer
}

// start builds both programs and serves a new data folder on free ports.
func start(t *testing.T) *slipway {
	t.Helper()
	s := &slipway{bin: t.TempDir(), data: filepath.Join(t.TempDir(), "data"), log: &buffer{}}
	for _, program := range []string{"slipway", "slipway-agent"} {
		build := exec.Command("go", "build", "-o", filepath.Join(s.bin, program), "./cmd/"+program)
		build.Dir = filepath.Join("..", "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s does not build: %v\n%s", program, err, out)
		}
	}
	s.serve(t)
	out, err := exec.Command(filepath.Join(s.bin, "slipway"), "env", "--json", "--data", s.data).Output()
	if err != nil {
		t.Fatalf("slipway env: %v\n%s", err, stderrOf(err))
	}
	var exports map[string]string
	if err := json.Unmarshal(out, &exports); err != nil {
		t.Fatalf("slipway env --json printed %q: %v", out, err)
	}
	for name, value := range exports {
		s.env = append(s.env, name+"="+value)
	}
	s.env = append(s.env, "INTEROP_SESSION="+s.session(t))
	return s
}

// session makes a short-lived credential of an operator. The server gives such
// ones to functions only, whose role lets nobody connect, so it is sealed here
// with the key of the server's data folder.
func (s *slipway) session(t *testing.T) string {
	t.Helper()
	key, _, err := seal.Open(s.data, "", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tenants.NewSession(key, arn.Default.Account, tenants.Operator, "interop", rand.Reader, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"id": made.ID, "secret": made.Secret, "token": made.Token})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serve starts the server, waits until it says that it is ready, and sees to
// it that it stops in good order when the test is over.
func (s *slipway) serve(t *testing.T) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "slipway"), "serve", "--data", s.data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--alpn", "127.0.0.1:0", "--control", "127.0.0.1:0")
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(t, cmd) })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ready") {
			return
		}
	}
	t.Fatalf("slipway serve never became ready:\n%s", s.log)
}

func (s *slipway) stop(t *testing.T, cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("slipway serve ended with %v:\n%s", err, s.log)
	}
	if _, err := os.Stat(filepath.Join(s.data, "endpoints.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("endpoints.json outlived its server: %v", err)
	}
	if t.Failed() {
		t.Logf("the end of the server's log:\n%s", s.log.tail(8<<10))
	}
}

// run runs one script of this folder.
func (s *slipway) run(t *testing.T, command, file string) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{s.bin, environment(t, here), os.Getenv("PATH")}, string(os.PathListSeparator))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	found, err := lookPath(command, path)
	if err != nil {
		t.Fatalf("%s is not installed: run test/deps, which installs what the tests need.", command)
	}
	cmd := exec.CommandContext(ctx, found, filepath.Join(here, file))
	// A new home has no configuration of the aws command line.
	cmd.Env = append([]string{"PATH=" + path, "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1",
		"NODE_PATH=" + filepath.Join(here, "..", "..", ".cache", "node_modules")}, s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	t.Logf("%s", out)
}

// environment is where test/deps keeps the Python packages.
func environment(t *testing.T, here string) string {
	bin := filepath.Join(here, "..", "..", ".cache", "venv", "bin")
	if _, err := os.Stat(filepath.Join(bin, "python3")); err != nil {
		t.Fatalf("The foreign clients are not installed: run test/deps first, as `make test` does. (%v)", err)
	}
	return bin
}

// lookPath is exec.LookPath with another PATH.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", exec.ErrNotFound
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// A buffer may be read while a process writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
