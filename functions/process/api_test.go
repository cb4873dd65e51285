package process

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

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
	functiontest.Ask(t, f, "K1") // the start of the program is not in the time of the calls
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
