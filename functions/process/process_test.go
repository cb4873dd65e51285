package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

func TestContract(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Open: func(t *testing.T) functions.Function { return open(t, functions.Spec{}) },
		Fails: map[string]functions.Reason{
			"hang":  functions.TimedOut,
			"throw": functions.Threw,
			"panic": functions.Threw,
			"tear":  functions.Threw,
			"flood": functions.TooLarge,
			"die":   functions.Crashed,
			"kill":  functions.Crashed,
		},
	})
}

func TestSentences(t *testing.T) {
	f := open(t, functions.Spec{})
	for serial, want := range map[string]string{
		"throw": "Function gate failed: no database (reported by the function).",
		"panic": "Function gate panicked: runtime error: index out of range [5] with length 1 (reported by the function).",
		"tear":  "Function gate failed: the disk is gone (reported by the function).",
		"flood": "Function gate answered 7340032 bytes; at most 6 MiB are allowed.",
		"die":   "Function gate exited with code 3 during the call.",
		"kill":  "Function gate was ended by signal: killed during the call.",
	} {
		_, err := f.Invoke(t.Context(), functiontest.Request(serial))
		var got *functions.Failure
		if !errors.As(err, &got) || got.Text != want {
			t.Errorf("serial %s: got %v, want %s", serial, err, want)
		}
		if serial == "die" && !strings.HasSuffix(got.Output, "out of luck") {
			t.Errorf("the log gets %q, without the last line of the program", got.Output)
		}
	}
}

func TestAProgramThatDoesNotBecomeReady(t *testing.T) {
	for name, c := range map[string]struct {
		driver Driver
		spec   functions.Spec
		want   string
	}{
		"it exits":                {spec: functions.Spec{Env: map[string]string{"INIT": "exit"}}, want: "exited with code 3 before it was ready."},
		"it reports an error":     {spec: functions.Spec{Env: map[string]string{"INIT": "error"}}, want: "failed: no database (reported by the function)."},
		"it takes for ever":       {Driver{InitLimit: 50 * time.Millisecond}, functions.Spec{Env: map[string]string{"INIT": "hang"}}, "was not ready within 0.05 s."},
		"it does not exist":       {spec: functions.Spec{Command: []string{"/nowhere/bootstrap"}}, want: "its program, or the interpreter of it, does not exist."},
		"it may not be executed":  {spec: functions.Spec{Command: []string{text(t, "#!/bin/sh\n", 0o600)}}, want: "may not be executed by the server."},
		"its interpreter is gone": {spec: functions.Spec{Command: []string{text(t, "#!/nowhere/sh\n", 0o700)}}, want: "its program, or the interpreter of it, does not exist."},
		"it is no program":        {spec: functions.Spec{Command: []string{text(t, "hello\n", 0o700)}}, want: "its program cannot be executed."},
		"it knows no Runtime API": {spec: functions.Spec{Command: []string{"/bin/sh", "-c", "echo hello"}}, want: "exited with code 0 before it was ready."},
	} {
		t.Run(name, func(t *testing.T) {
			f := openWith(t, c.driver, c.spec)
			for range 2 { // the second call tries again
				_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
				got := functiontest.WantFailure(t, err, functions.InitFailed)
				if !strings.HasSuffix(got.Text, c.want) {
					t.Errorf("got %q, want …%s", got.Text, c.want)
				}
				if strings.Contains(got.Text, "/") {
					t.Errorf("%q tells a path", got.Text)
				}
				if name == "it exits" && !strings.HasSuffix(got.Output, "no licence found") {
					t.Errorf("the log gets %q, without the last line of the program", got.Output)
				}
			}
		})
	}
}

// text writes a file and gives its path.
func text(t *testing.T, s string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte(s), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestASlowStartIsNotLost starts a program that takes longer than a call may.
func TestASlowStartIsNotLost(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Timeout: 100 * time.Millisecond, Env: p.env("INIT", "wait")})
	_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
	got := functiontest.WantFailure(t, err, functions.TimedOut)
	if got.Text != "Function gate did not become ready within 100 ms." {
		t.Errorf("got %q", got.Text)
	}
	first := p.answer()
	first.release()
	for err != nil {
		if _, err = f.Invoke(t.Context(), functiontest.Request("K1")); err != nil {
			functiontest.WantFailure(t, err, functions.TimedOut)
		}
	}
	f.Close()
	first.dead() // the process that served is the one that was slow
}

// A deadline is a context whose time is over when the test says so.
type deadline struct {
	context.Context
	passed chan struct{}
}

func (d *deadline) Done() <-chan struct{} { return d.passed }

func (d *deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestAHungProcessIsKilledWithWhatItStarted(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Env: p.env("INIT", "spawn")})
	before := functiontest.Ask(t, f, "pid")
	self, spawned := p.answer(), p.answer()
	hung := &deadline{t.Context(), make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := f.Invoke(hung, functiontest.Request("wait"))
		ended <- err
	}()
	self.waiting()
	close(hung.passed)
	functiontest.WantFailure(t, <-ended, functions.TimedOut)
	self.dead()
	spawned.dead()
	if after := functiontest.Ask(t, f, "pid"); after.ParameterOverrides["pid"] == before.ParameterOverrides["pid"] {
		t.Error("the next call went to the process that hung")
	}
}

func TestAnEndedProcessTakesItsOffspringAlong(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Env: p.env("INIT", "spawn")})
	functiontest.Ask(t, f, "K1")
	self, spawned := p.answer(), p.answer()
	_, err := f.Invoke(t.Context(), functiontest.Request("die"))
	functiontest.WantFailure(t, err, functions.Crashed)
	self.dead()
	spawned.dead()
}

func TestProcessesAreKept(t *testing.T) {
	f := open(t, functions.Spec{})
	first := functiontest.Ask(t, f, "pid").ParameterOverrides["pid"]
	for _, serial := range []string{"K1", "X1", "throw"} {
		f.Invoke(t.Context(), functiontest.Request(serial))
		if pid := functiontest.Ask(t, f, "pid").ParameterOverrides["pid"]; pid != first {
			t.Errorf("after %s process %s serves, and %s is gone", serial, pid, first)
		}
	}
}

// TestConcurrency holds two calls in two processes at a time, so that a third
// finds no place, and one process never has two.
func TestConcurrency(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Env: p.env(), Concurrency: 2})
	ends := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := f.Invoke(t.Context(), functiontest.Request("wait"))
			ends <- err
		}()
	}
	a, b := p.answer(), p.answer()
	a.waiting()
	b.waiting()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := f.Invoke(ctx, functiontest.Request("K1"))
	functiontest.WantFailure(t, err, functions.Busy)
	a.release()
	if err := <-ends; err != nil {
		t.Error(err)
	}
	functiontest.Ask(t, f, "K1")
	b.release()
	if err := <-ends; err != nil {
		t.Error(err)
	}
	f.Close()
	a.dead()
	b.dead()
}

func TestAReplacedProgramServesTheNextCall(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bootstrap")
	install := func(version string) {
		data, err := os.ReadFile(lambda(version))
		if err == nil {
			err = os.WriteFile(program+".new", data, 0o700)
		}
		if err == nil {
			err = os.Rename(program+".new", program)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install("one")
	p := newPhone(t)
	f := open(t, functions.Spec{Command: []string{program}, Env: p.env()})
	running := make(chan functiontest.Answer, 1)
	go func() { running <- functiontest.Ask(t, f, "wait") }()
	old := p.answer()
	old.waiting()
	install("two")
	if a := functiontest.Ask(t, f, "version"); a.ParameterOverrides["version"] != "two" {
		t.Errorf("the next call went to version %s", a.ParameterOverrides["version"])
	}
	old.release()
	if a := <-running; a.ParameterOverrides["version"] != "one" {
		t.Errorf("the call that was under way ended on version %s", a.ParameterOverrides["version"])
	}
	for range 2 {
		if a := functiontest.Ask(t, f, "version"); a.ParameterOverrides["version"] != "two" {
			t.Errorf("the old process serves on")
		}
	}
	old.dead()
}

func TestAReplacedScriptCountsToo(t *testing.T) {
	script := text(t, "exit 3", 0o600)
	f := open(t, functions.Spec{Command: []string{"/bin/sh", script}})
	for _, code := range []string{"3", "4"} {
		if err := os.WriteFile(script, []byte("exit "+code), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
		if got := functiontest.WantFailure(t, err, functions.InitFailed); !strings.Contains(got.Text, "code "+code) {
			t.Errorf("got %q, want code %s", got.Text, code)
		}
	}
}

// TestChildrenDieWithTheServer kills a server as the kernel does when memory
// runs out.
func TestChildrenDieWithTheServer(t *testing.T) {
	p := newPhone(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	srv := exec.Command(self)
	srv.Env = append(os.Environ(), asServer+"=1", "PHONE="+p.l.Addr().String())
	out, err := srv.StdoutPipe()
	if err == nil {
		err = srv.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said string
	fmt.Fscanln(out, new(string), &said)
	child := p.answer()
	srv.Process.Kill()
	srv.Wait()
	if said != "<nil>" {
		t.Fatalf("the server said %q", said)
	}
	child.dead()
}

func TestTailKeepsTheEnd(t *testing.T) {
	var tail tail
	for i := range 5000 {
		fmt.Fprintf(&tail, "line %d\r\n", i)
	}
	got := strings.Split(tail.String(), "\n")
	if len(got) != tailLines || got[len(got)-1] != "line 4999" {
		t.Errorf("got %d lines, the last %q", len(got), got[len(got)-1])
	}
	tail.Write(make([]byte, 10*tailBytes))
	if n := len(tail.String()); n != tailBytes {
		t.Errorf("%d bytes are kept of one long line", n)
	}
}
