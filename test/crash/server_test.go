package crash

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hang is when a test gives up on something that should have happened long
// ago. It only bounds a failing run.
const hang = 2 * time.Minute

// build makes the program with its crash points.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slipway")
	cmd := exec.Command("go", "build", "-tags", "crashpoints", "-o", binary, "github.com/slipway-iot/slipway/cmd/slipway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// A node is one server through all of its lives: its data, its store and the
// port that devices know stay the same.
type node struct {
	binary string
	data   string
	store  string // as --store has it
	mqtt   string
	log    string // file that gathers what all lives wrote
}

func newNode(t *testing.T, binary, store string) *node {
	t.Helper()
	dir := t.TempDir()
	return &node{binary: binary, data: filepath.Join(dir, "data"), store: store, mqtt: freeAddress(t), log: filepath.Join(dir, "log")}
}

// freeAddress finds a port that stays free while no server listens on it: one
// below those that the system gives to outgoing connections, since a device
// that dials it from the very same port would reach itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 18_000+rand.IntN(12_000)))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// A life is the server from one start to its end.
type life struct {
	node  *node
	cmd   *exec.Cmd
	ready chan struct{}
	ended chan struct{}
}

// start runs `slipway serve`. The limit on failed connections is lifted, since
// all devices come from one address and fail at each kill.
func (n *node) start(t *testing.T, env ...string) *life {
	t.Helper()
	l := &life{node: n, ready: make(chan struct{}), ended: make(chan struct{})}
	l.cmd = exec.Command(n.binary, "serve", "--data", n.data, "--store", n.store, "--mqtt", n.mqtt,
		"--https", "127.0.0.1:0", "--control", "127.0.0.1:0", "--failures", "1e6", "--burst", "1000000", "--pool", "1", "--log-level", "warn")
	l.cmd.Env = append(os.Environ(), env...)
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	l.cmd.Stderr, l.cmd.Stdout = log, &greeting{ready: l.ready}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		_ = l.cmd.Wait()
	}()
	t.Cleanup(l.kill)
	return l
}

// A greeting closes ready when the server has said that it is.
type greeting struct {
	ready chan struct{}
	said  []byte
	once  sync.Once
}

func (g *greeting) Write(p []byte) (int, error) {
	if g.said = append(g.said, p...); bytes.Contains(g.said, []byte("\nReady.")) {
		g.once.Do(func() { close(g.ready) })
	}
	return len(p), nil
}

func (l *life) wasReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

func (l *life) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-l.ready:
	case <-l.ended:
		t.Fatalf("the server did not start: %v\n%s", l.cmd.ProcessState, l.node.lastWords())
	case <-time.After(hang):
		t.Fatalf("the server is not ready\n%s", l.node.lastWords())
	}
}

// awaitCrash waits until the server has killed itself.
func (l *life) awaitCrash(t *testing.T, point string) {
	t.Helper()
	select {
	case <-l.ended:
	case <-time.After(hang):
		t.Fatalf("%s was not passed often enough\n%s", point, l.node.lastWords())
	}
	if !l.killed() {
		t.Fatalf("the server ended by itself: %v\n%s", l.cmd.ProcessState, l.node.lastWords())
	}
}

// killAfter kills the server when it is so old.
func (l *life) killAfter(t *testing.T, age time.Duration) {
	t.Helper()
	select {
	case <-time.After(age):
	case <-l.ended:
		t.Fatalf("the server ended by itself: %v\n%s", l.cmd.ProcessState, l.node.lastWords())
	}
	l.kill()
}

// kill is kill -9. It returns when nothing of the process is left.
func (l *life) kill() {
	_ = l.cmd.Process.Kill()
	<-l.ended
}

func (l *life) killed() bool {
	status, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop ends the server as an operator does.
func (l *life) stop(t *testing.T) {
	t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-l.ended:
	case <-time.After(hang):
		t.Fatalf("the server does not stop\n%s", l.node.lastWords())
	}
	if !l.cmd.ProcessState.Success() {
		t.Fatalf("the server did not stop well: %v\n%s", l.cmd.ProcessState, l.node.lastWords())
	}
}

// lastWords is the end of the log.
func (n *node) lastWords() []byte {
	log, _ := os.ReadFile(n.log)
	return log[max(0, len(log)-4000):]
}
