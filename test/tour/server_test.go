package tour

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// build makes the program.
func build(t *testing.T) string {
	t.Helper()
	readSources()
	program := filepath.Join(t.TempDir(), "slipway")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/slipway")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("slipway does not build: %v\n%s", err, out)
	}
	return program
}

// readSources looks into every folder of the repository, because `go test`
// remembers a result for as long as the files stay that the test itself reads.
func readSources() {
	_ = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return nil // what goes away meanwhile is no reason to stop
	})
}

// A slipway is a running server.
type slipway struct {
	program string
	env     []string // the exports of `slipway env`
	log     *buffer
}

// serve serves a new data folder on free ports. The server stops in good order
// when the test is over.
func serve(t *testing.T, program string) *slipway {
	t.Helper()
	s := &slipway{program: program, log: &buffer{}}
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(program, "serve", "--data", data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0")
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("slipway serve ended with %v:\n%s", err, s.log)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ready") {
			s.env = exports(t, program, data)
			return s
		}
	}
	t.Fatalf("slipway serve never became ready:\n%s", s.log)
	return nil
}

// exports gives what `slipway env` says, as an environment.
func exports(t *testing.T, program, data string) (env []string) {
	t.Helper()
	out, err := exec.Command(program, "env", "--json", "--data", data).Output()
	if err != nil {
		t.Fatalf("slipway env: %v", err)
	}
	var all map[string]string
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("slipway env --json printed %q: %v", out, err)
	}
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

// A count says how often an operation was answered, and how often refused.
type count struct{ done, refused int }

var logged = regexp.MustCompile(`action=iot:(\w+) status=(\d)`)

// answered counts by operation. It reads the server's log, which has one line for each request.
func (s *slipway) answered() map[string]count {
	all := map[string]count{}
	for _, m := range logged.FindAllStringSubmatch(s.log.String(), -1) {
		n := all[m[1]]
		if m[2] == "2" {
			n.done++
		} else {
			n.refused++
		}
		all[m[1]] = n
	}
	return all
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

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
