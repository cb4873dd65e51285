package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// command runs a command line in this process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// elsewhere clears the environment that names a server, and the folder that
// could hold one.
func elsewhere(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"SLIPWAY_DATA", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_IOT", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "no-config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "no-credentials")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a secret that is long enough")
}

func TestTheExitCodeSaysWhoseFaultItWas(t *testing.T) {
	elsewhere(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "LimitExceededException")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(refusing.Close)
	if err := os.WriteFile("broken.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		code int
		last string // of standard error
	}{
		"a help text is no failure":             {[]string{"template", "--help"}, exitDone, ""},
		"a file that is wrong failed":           {[]string{"policy", "check", "broken.json"}, exitFailed, ""},
		"a verb that does not exist is a usage": {[]string{"template", "dance"}, exitUsage, ""},
		"a number out of bounds is a usage":     {[]string{"trace", "--last", "0"}, exitUsage, ""},
		"a function that cannot be is a usage":  {[]string{"function", "add", "x", "--url", "http://a.example"}, exitUsage, ""},
		"a server's no is a refusal":            {[]string{"device", "list", "--endpoint-url", refusing.URL}, exitRefused, "class: LimitExceededException"},
		"no server at all is unreachable":       {[]string{"device", "list"}, exitUnreachable, ""},
		"a silent server is unreachable":        {[]string{"device", "list", "--endpoint-url", "http://127.0.0.1:1"}, exitUnreachable, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := command(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d; it said: %s", code, c.code, stderr)
			}
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if c.last != "" && lines[len(lines)-1] != c.last {
				t.Errorf("the last line is %q, want %q", lines[len(lines)-1], c.last)
			}
			if code != exitDone && !strings.HasPrefix(stderr, "slipway: ") {
				t.Errorf("it said %q", stderr)
			}
		})
	}
}

func TestTheRegionOfASignature(t *testing.T) {
	cases := map[string]struct {
		flag, env, fallback, endpoint, want string
	}{
		"the flag wins":                  {"eu-west-1", "eu-west-2", "", "https://iot.us-west-2.amazonaws.com", "eu-west-1"},
		"then the environment":           {"", "eu-west-2", "eu-west-3", "https://iot.us-west-2.amazonaws.com", "eu-west-2"},
		"then its older name":            {"", "", "eu-west-3", "https://iot.us-west-2.amazonaws.com", "eu-west-3"},
		"then AWS's host name":           {"", "", "", "https://iot.us-west-2.amazonaws.com", "us-west-2"},
		"in China too":                   {"", "", "", "https://iot.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		"else the default":               {"", "", "", "http://127.0.0.1:4566", "us-east-1"},
		"a look-alike host has no claim": {"", "", "", "https://iot.eu-west-1.example.com", "us-east-1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			elsewhere(t)
			t.Setenv("AWS_REGION", c.env)
			t.Setenv("AWS_DEFAULT_REGION", c.fallback)
			target := target{EndpointURL: c.endpoint, Region: c.flag}
			p, err := target.connect()
			if err != nil || p.client.Region != c.want {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestASpanMayBeWrittenInDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "720h": 720 * time.Hour, "1s": time.Second} {
		var got span
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%s is %v, %v", text, time.Duration(got), err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "70000d", "0s", "-1h", "10ms", "soon"} {
		var got span
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, time.Duration(got))
		}
	}
}

// Whatever the texts, dropping one side's lines gives the other back, and
// equal texts have no marks.
func TestADifferenceHoldsBothTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 12)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		var gotA, gotB []string
		for _, line := range merge(a, b) {
			if line[0] != '+' {
				gotA = append(gotA, line[1:])
			}
			if line[0] != '-' {
				gotB = append(gotB, line[1:])
			}
			if line[0] != ' ' && slices.Equal(a, b) {
				t.Fatalf("equal texts differ in %q", line)
			}
		}
		if !slices.Equal(gotA, a) || !slices.Equal(gotB, b) {
			t.Fatalf("%q and %q became %q", a, b, merge(a, b))
		}
	})
}

func TestOnlyLiteralNamesAreLookedFor(t *testing.T) {
	body := `{"Resources": {
		"a": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x", "thingTypeName": "Lock", "ThingGroups": ["g", {"Ref": "G"}, "g"]}},
		"b": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}},
		"c": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "made", "PolicyDocument": "{}"}},
		"d": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": "P"}}}
	}}`
	var got []string
	for _, p := range literalParts(body) {
		got = append(got, p.Kind+" "+p.Name)
	}
	if want := []string{"policy p", "thing group g", "thing type Lock"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := literalParts("not JSON"); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, text := range []string{"first", "second"} {
		if err := writeWhole(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", st.Mode(), err)
	}
	blocked := filepath.Join(t.TempDir(), "full")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(blocked, []byte("third"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	left, err := os.ReadDir(filepath.Dir(blocked))
	if err != nil || len(left) != 1 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
}
