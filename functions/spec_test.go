package functions_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
)

func TestSpecsThatAreGood(t *testing.T) {
	for _, text := range []string{
		`{"name":"gate","kind":"process","command":["/opt/gate/bootstrap","-v"],"env":{"A":"b"},"concurrency":4,"timeout":"1.5s"}`,
		`{"name":"gate","kind":"http","url":"https://hooks.example.com/gate","secret":"s"}`,
		`{"name":"gate","kind":"http","url":"http://127.0.0.1:9000/2015-03-31/functions/function/invocations","allowPrivate":true}`,
		`{"name":"Gate_2-b","kind":"allowlist","path":"/srv/serials.csv","parameter":"Unit"}`,
		`{"name":"gate","kind":"allowlist","csv":"serial\nK1\n"}`,
	} {
		var s functions.Spec
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := s.WithDefaults().Check(); err != nil {
			t.Errorf("%s with defaults: %v", text, err)
		}
		out, err := json.Marshal(s)
		var back functions.Spec
		if err != nil || json.Unmarshal(out, &back) != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%s became %s, %v", text, out, err)
		}
	}
}

func TestSpecsThatAreWrongNameTheField(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                            "name",
		`{"name":"a b"}`:                "name",
		`{"name":"g"}`:                  "kind",
		`{"name":"g","kind":"wasm"}`:    "kind",
		`{"name":"g","kind":"process"}`: "command",
		`{"name":"g","kind":"process","command":["bootstrap"]}`:                              "command",
		`{"name":"g","kind":"process","command":["/b","a\u0000"]}`:                           "command[1]",
		`{"name":"g","kind":"process","command":["/b"],"env":{"A=B":"c"}}`:                   "env",
		`{"name":"g","kind":"process","command":["/b"],"env":{"AWS_LAMBDA_RUNTIME_API":""}}`: "env AWS_LAMBDA_RUNTIME_API",
		`{"name":"g","kind":"process","command":["/b"],"timeout":"6s"}`:                      "timeout",
		`{"name":"g","kind":"process","command":["/b"],"timeout":"-1s"}`:                     "timeout",
		`{"name":"g","kind":"process","command":["/b"],"timeout":"soon"}`:                    "timeout",
		`{"name":"g","kind":"process","command":["/b"],"concurrency":257}`:                   "concurrency",
		`{"name":"g","kind":"process","command":["/b"],"url":"https://a"}`:                   "url",
		`{"name":"g","kind":"http"}`:                                                         "url",
		`{"name":"g","kind":"http","url":"http://example.com"}`:                              "url",
		`{"name":"g","kind":"http","url":"https://u:p@example.com"}`:                         "url",
		`{"name":"g","kind":"http","url":"file:///etc/passwd"}`:                              "url",
		`{"name":"g","kind":"http","url":"https://a","command":["/b"]}`:                      "command",
		`{"name":"g","kind":"allowlist"}`:                                                    "path, csv",
		`{"name":"g","kind":"allowlist","path":"/a","csv":"b"}`:                              "path, csv",
		`{"name":"g","kind":"allowlist","path":"a"}`:                                         "path",
		`{"name":"g","kind":"allowlist","csv":"a","secret":"b"}`:                             "secret",
		`{"name":"g","kind":"http","url":"http://10.0.0.1","alowPrivate":true}`:              "alowPrivate",
		`{"name":1}`: "name",
	} {
		var s functions.Spec
		err := json.Unmarshal([]byte(text), &s)
		if err == nil {
			err = s.Check()
		}
		if !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a sentence about %s", text, err, want)
		}
	}
}

func TestRedactedShowsNoSecret(t *testing.T) {
	s := functions.Spec{Name: "gate", Secret: "hunter2", Env: map[string]string{"PASSWORD": "hunter2"}}
	if text := fmt.Sprintf("%+v", s.Redacted()); strings.Contains(text, "hunter2") || !strings.Contains(text, "PASSWORD") {
		t.Errorf("got %s", text)
	}
	if s.Env["PASSWORD"] != "hunter2" {
		t.Error("the spec itself lost its environment")
	}
}

func TestDefaults(t *testing.T) {
	s := functions.Spec{Kind: functions.Process}.WithDefaults()
	if s.Concurrency != 2 || s.Timeout != 5*time.Second || s.Parameter != "" {
		t.Errorf("process: %+v", s)
	}
	s = functions.Spec{Kind: functions.Allowlist}.WithDefaults()
	if s.Parameter != "SerialNumber" {
		t.Errorf("allowlist: %+v", s)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"gate", "", "arn:aws:lambda:us-east-1:000000000000:function:gate:PROD", "arn:aws:lambda:r:a:function:", "arn:aws-cn:lambda:::function:a/b", "arn:aws:lambda:r:a:layer:x", "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := functions.Name(s)
		if err != nil {
			return
		}
		if again, err := functions.Name(name); again != name || err != nil {
			t.Errorf("%q means %q, which means %q, %v", s, name, again, err)
		}
		if !strings.Contains(s, name) || name == "" {
			t.Errorf("%q means %q", s, name)
		}
	})
}

func FuzzThrown(f *testing.F) {
	for _, s := range []string{
		`{"errorMessage":"no database","errorType":"errorString"}`,
		`{"errorMessage":"oh","errorType":"string","stackTrace":[{"path":"main.go","line":3,"label":"main"}]}`,
		`{"errorMessage":"'x'","errorType":"KeyError","stackTrace":["  File \"a.py\", line 3\n"]}`,
		`{"errorType":"Timeout","stackTrace":[null,1]}`,
		`"text"`, `{`, ``, "\xff\x00\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := functions.Thrown("gate", body)
		if got.Reason != functions.Threw || !strings.HasPrefix(got.Text, "Function gate ") || !strings.HasSuffix(got.Text, ".") {
			t.Errorf("%q: %+v", body, got)
		}
		if strings.ContainsFunc(got.Text, func(r rune) bool { return r < ' ' }) || len(got.Text) > 300 {
			t.Errorf("%q is no sentence", got.Text)
		}
	})
}
