package process

import (
	"bufio"
	"context"
	"errors"

	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

// asServer makes the test binary a server that holds one process function and
// never ends; see TestChildrenDieWithTheServer.
const asServer = "SLIPWAY_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		server()
	}
	dir, err := os.MkdirTemp("", "slipway-lambda")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes two versions of the program in testdata/lambda, named one and
// two, and tells the tests by LAMBDAS where they are.
func build(dir string) error {
	for _, version := range []string{"one", "two"} {
		cmd := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", filepath.Join(dir, version), "./testdata/lambda")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	return os.Setenv("LAMBDAS", dir)
}

func lambda(version string) string { return filepath.Join(os.Getenv("LAMBDAS"), version) }

// server is a server with one live process, which says so and waits to be
// killed.
func server() {
	f, err := Driver{}.Open(arn.Default, functions.Spec{
		Name:    functiontest.Name,
		Kind:    functions.Process,
		Command: []string{lambda("one")},
		Env:     map[string]string{"PHONE": os.Getenv("PHONE")},
	})
	if err == nil {
		_, err = f.Invoke(context.Background(), functiontest.Request("K1"))
	}
	fmt.Println("serving", err)
	select {}
}

// open makes the reference function. A spec without a command runs version
// one.
func open(t *testing.T, s functions.Spec) functions.Function {
	t.Helper()
	return openWith(t, Driver{}, s)
}

func openWith(t *testing.T, d Driver, s functions.Spec) functions.Function {
	t.Helper()
	s.Name, s.Kind = functiontest.Name, functions.Process
	if s.Command == nil {
		s.Command = []string{lambda("one")}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open(arn.Default, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// patience is when a test that waits for a program fails.
const patience = time.Minute

// A phone is where the programs of a test call when they start.
type phone struct {
	t *testing.T
	l *net.TCPListener
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { l.Close() })
	return &phone{t, l}
}

// env is the environment of a program that calls here.
func (p *phone) env(more ...string) map[string]string {
	env := map[string]string{"PHONE": p.l.Addr().String()}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// A line leads to one running program.
type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// answer waits for a program to start.
func (p *phone) answer() *line {
	p.t.Helper()
	c, err := p.l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	p.t.Cleanup(func() { c.Close() })
	return &line{p.t, c, bufio.NewReader(c)}
}

// waiting waits until the program is in a call with the serial "wait".
func (l *line) waiting() {
	l.t.Helper()
	if s, err := l.in.ReadString('\n'); s != "waiting\n" {
		l.t.Fatalf("the program said %q, %v", s, err)
	}
}

// release lets the program go on.
func (l *line) release() {
	l.t.Helper()
	if _, err := l.conn.Write([]byte{1}); err != nil {
		l.t.Fatal(err)
	}
}

// dead waits for the end of the program.
func (l *line) dead() {
	l.t.Helper()
	if s, err := l.in.ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("the program should be dead: it said %q, %v", s, err)
	}
}
