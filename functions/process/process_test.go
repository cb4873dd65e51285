package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

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

func TestAHungProcessIsKilledWithWhatItStarted(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Env: p.env("INIT", "spawn")})
	before := functiontest.Ask(t, f, "pid")
	self, spawned := p.answer(), p.answer()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.Invoke(ctx, functiontest.Request("hang"))
	functiontest.WantFailure(t, err, functions.TimedOut)
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
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
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

func TestTheEnvironmentIsClean(t *testing.T) {
	t.Setenv("SLIPWAY_ADMIN_SECRET", "hunter2")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	f := open(t, functions.Spec{Env: map[string]string{"DATABASE": "units", "TMPDIR": "/var/tmp"}})
	env := functiontest.Ask(t, f, "env").ParameterOverrides
	want := map[string]string{
		"DATABASE":                        "units",
		"TMPDIR":                          "/var/tmp",
		"HOME":                            "/tmp",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"AWS_REGION":                      "us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME":        "gate",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"LAMBDA_TASK_ROOT":                filepath.Dir(lambda("one")),
		"_HANDLER":                        "one",
	}
	for k, v := range want {
		if env[k] != v {
			t.Errorf("%s is %q, want %q", k, env[k], v)
		}
	}
	allowed := "LANG TZ AWS_DEFAULT_REGION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_LAMBDA_RUNTIME_API _X_AMZN_TRACE_ID"
	for k, v := range env {
		if _, ok := want[k]; !ok && !strings.Contains(" "+allowed+" ", " "+k+" ") {
			t.Errorf("the environment holds %s=%s", k, v)
		}
	}
	if got := functiontest.Ask(t, f, "stdin").ParameterOverrides["stdin"]; got != `"" <nil>` {
		t.Errorf("standard input gives %s", got)
	}
}

func TestACallCarriesItsContext(t *testing.T) {
	f := openWith(t, Driver{Now: func() time.Time { return time.Unix(0x695d0000, 0) }}, functions.Spec{})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(3*time.Second).Truncate(time.Millisecond))
	defer cancel()
	seen := map[string]bool{}
	for range 2 {
		out, err := f.Invoke(ctx, functiontest.Request("context"))
		if err != nil {
			t.Fatal(err)
		}
		o := parse(t, out)
		if o["arn"] != "arn:aws:lambda:us-east-1:000000000000:function:gate" || o["name"] != "gate" {
			t.Errorf("the function thinks that it is %s, %s", o["name"], o["arn"])
		}
		if want, _ := ctx.Deadline(); !sameTime(o["deadline"], want) {
			t.Errorf("deadline %s, want %s", o["deadline"], want)
		}
		if !strings.HasPrefix(o["trace"], "Root=1-695d0000-") || len(o["id"]) != 36 || seen[o["id"]] {
			t.Errorf("trace %s, id %s", o["trace"], o["id"])
		}
		seen[o["id"]] = true
	}
}

func sameTime(text string, want time.Time) bool {
	got, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && got.Equal(want)
}

// TestThePortServesNobodyElse is another local user who found the port
// (DESIGN.md, section 9): it can neither take nor answer a call.
func TestThePortServesNobodyElse(t *testing.T) {
	p := newPhone(t)
	f := open(t, functions.Spec{Env: p.env(), Concurrency: 1})
	api := functiontest.Ask(t, f, "env").ParameterOverrides["AWS_LAMBDA_RUNTIME_API"]
	addr, secret, _ := strings.Cut(api, "/")
	if len(secret) != 32 {
		t.Fatalf("AWS_LAMBDA_RUNTIME_API=%s holds no secret of 128 bits", api)
	}
	id := functiontest.Ask(t, f, "context").ParameterOverrides["id"]
	answered := make(chan functiontest.Answer, 1)
	go func() { answered <- functiontest.Ask(t, f, "wait") }()
	l := p.answer()
	l.waiting()
	for _, path := range []string{"", "/", "/" + strings.Repeat("0", 32), "/" + secret[:31], "/" + secret + "0", "//" + secret, "/x/../" + secret} {
		for _, what := range []string{"GET next", "POST " + id + "/response", "POST " + id + "/error"} {
			method, verb, _ := strings.Cut(what, " ")
			status(t, method, "http://"+addr+path+"/2018-06-01/runtime/invocation/"+verb, http.StatusForbidden)
		}
		status(t, http.MethodPost, "http://"+addr+path+"/2018-06-01/runtime/init/error", http.StatusForbidden)
	}
	base := "http://" + api + "/2018-06-01/runtime/"
	status(t, http.MethodPost, base+"invocation/"+id+"/response", http.StatusBadRequest) // of a call that has ended
	status(t, http.MethodPost, base+"init/error", http.StatusForbidden)                  // of a process that is ready
	status(t, http.MethodGet, base+"nothing", http.StatusNotFound)
	status(t, http.MethodGet, "http://"+api+"/2015-03-31/functions", http.StatusNotFound)
	l.release()
	if a := <-answered; a.ParameterOverrides["version"] != "one" {
		t.Errorf("got %+v, which is not the function's answer", a)
	}
}

func status(t *testing.T, method, url string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"allowProvisioning":true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s %s: got %d, want %d", method, url, resp.StatusCode, want)
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

func TestErrorReportsOfGo(t *testing.T) {
	for want, e := range map[string]messages.InvokeResponse_Error{
		"Function gate failed: no database (reported by the function).": {Message: "no database", Type: "errorString"},
		"Function gate panicked: oh (reported by the function).":        {Message: "oh", Type: "string", StackTrace: []*messages.InvokeResponse_Error_StackFrame{{Path: "main.go", Line: 3}}},
		"Function gate failed: Timeout (reported by the function).":     {Type: "Timeout"},
	} {
		if got := functions.Thrown(functiontest.Name, marshal(t, e)).Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
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

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse gives the overrides of an answer.
func parse(t *testing.T, out []byte) map[string]string {
	t.Helper()
	var a functiontest.Answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return a.ParameterOverrides
}
