package agent

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

func rejectAll(at wire.Operation, status int, code, message string) func(wire.Operation, int) lever {
	return func(op wire.Operation, _ int) lever {
		if op != at {
			return lever{}
		}
		return lever{reject: &wire.Rejection{StatusCode: status, ErrorCode: code, ErrorMessage: message}}
	}
}

func TestEveryRejectionHasItsClassAndItsNumberOfTries(t *testing.T) {
	for name, c := range map[string]struct {
		op      wire.Operation
		status  int
		code    string
		message string
		class   Class
		tries   int
	}{
		"an unknown template":      {wire.RegisterThing, 404, "ResourceNotFound", "Template lab does not exist.", TemplateNotFound, 1},
		"a serial in use":          {wire.RegisterThing, 409, "ResourceConflict", "Thing sensor-A1 exists.", DuplicateSerial, 1},
		"a claim for another":      {wire.RegisterThing, 403, "AccessDenied", "Claim not authorised: this claim was made for template x.", ClaimNotAuthorised, 1},
		"a claim that has expired": {wire.CreateFromCSR, 403, "AccessDenied", "The claim certificate expired at noon.", ClaimExpired, 1},
		"a function that says no":  {wire.RegisterThing, 403, "AccessDenied", "A1 is not on the list; refused by function allow.", Refused, 1},
		"a CSR that does not do":   {wire.CreateFromCSR, 400, "InvalidCSR", "RSA keys need 2048 bits.", BadRequest, 1},
		"a parameter too few":      {wire.RegisterThing, 400, "InvalidParameters", "Cannot resolve reference value: X", BadRequest, 1},
		"a rate limit":             {wire.CreateFromCSR, 429, "TooManyRequests", "Slow down.", ServerFailed, 5},
		"a server that fails":      {wire.RegisterThing, 500, "InternalFailure", "Try again.", ServerFailed, 5},
	} {
		inBubble(t, name, func(t *testing.T, s *server) {
			s.onRequest = rejectAll(c.op, c.status, c.code, c.message)
			f := mustFail(t, s.device(s.goodConfig()))
			if f.Class != c.class || f.Exit != ExitRefused || s.count(c.op) != c.tries {
				t.Errorf("got %v, exit %d, after %d tries", f, f.Exit, s.count(c.op))
			}
			if !strings.Contains(f.Said, c.message) || f.Text == "" {
				t.Errorf("said %q, text %q", f.Said, f.Text)
			}
		})
	}
}

func TestAMissingParameterIsAskedFor(t *testing.T) {
	inBubble(t, "by its flag", func(t *testing.T, s *server) {
		s.onRequest = rejectAll(wire.RegisterThing, 400, "InvalidParameters", "Cannot resolve reference value: Site")
		if f := mustFail(t, s.device(s.goodConfig())); !strings.Contains(f.Text, "--param Site=VALUE") {
			t.Errorf("got %q", f.Text)
		}
	})
}

func TestEveryEndOfAConnectionHasItsClass(t *testing.T) {
	refused := func(code mqtt.ReasonCode, reason string) *mqttlink.Error {
		return &mqttlink.Error{Cause: mqttlink.Refused, Op: "CONNECT", Version: mqttlink.V5, Code: code, Reason: reason}
	}
	for name, c := range map[string]struct {
		err   *mqttlink.Error
		class Class
		exit  int
		tries int
		text  string
	}{
		"a claim that has expired": {refused(mqtt.NotAuthorized, "Certificate 12 expired at noon."), ClaimExpired, ExitRefused, 1, "new claim"},
		"a claim that is refused":  {refused(mqtt.NotAuthorized, "No policy allows iot:Connect."), ClaimNotAuthorised, ExitRefused, 1, "policy"},
		"a wrong client id":        {refused(mqtt.ClientIDNotValid, ""), BadRequest, ExitRefused, 1, "refused again"},
		"a server that is busy":    {refused(mqtt.ServerBusy, ""), ServerFailed, ExitRefused, 5, "later"},
		"a TLS alert about the claim's dates": {&mqttlink.Error{Cause: mqttlink.Alert, Reason: "expired certificate"},
			ClaimExpired, ExitRefused, 1, "new claim"},
		"a TLS alert about the claim": {&mqttlink.Error{Cause: mqttlink.Alert, Reason: "bad certificate"},
			ClaimNotAuthorised, ExitRefused, 1, "ACTIVE"},
		"no answer": {&mqttlink.Error{Cause: mqttlink.TimedOut, Op: "CONNECT"}, NetworkTimeout, ExitUnreachable, 5, "in time"},
		"nobody there": {&mqttlink.Error{Cause: mqttlink.Unreachable, Op: "the TCP connection", Err: os.ErrClosed},
			ServerNotReachable, ExitUnreachable, 5, "cannot be reached"},
		"a port without TLS": {&mqttlink.Error{Cause: mqttlink.Unreachable, Op: "the TLS handshake", Err: tls.RecordHeaderError{Msg: "no"}},
			ServerNotReachable, ExitUnreachable, 5, "but not with TLS"},
		"a server that is not ours": {&mqttlink.Error{Cause: mqttlink.Untrusted, Err: os.ErrInvalid},
			ServerNotTrusted, ExitFailed, 1, "--root-ca"},
		"a closed socket on MQTT 5": {&mqttlink.Error{Cause: mqttlink.Closed, Op: "CONNECT", Version: mqttlink.V5},
			ClosedSilently, ExitRefused, 5, "slipway trace"},
		"a closed socket on MQTT 3.1.1": {&mqttlink.Error{Cause: mqttlink.Closed, Op: "CONNECT", Version: mqttlink.V311},
			ClosedSilently, ExitRefused, 5, "that is how a policy refusal, an unknown or an expired certificate look"},
	} {
		inBubble(t, name, func(t *testing.T, s *server) {
			s.refuseConnect = func(int, bool) error { return c.err }
			f := mustFail(t, s.device(s.goodConfig()))
			if f.Class != c.class || f.Exit != c.exit || len(s.connections) != c.tries || !strings.Contains(f.Text, c.text) {
				t.Errorf("got %v, exit %d, after %d tries", f, f.Exit, len(s.connections))
			}
		})
	}
}

func TestARefusedPublishIsAPolicyRefusal(t *testing.T) {
	inBubble(t, "with the server's words", func(t *testing.T, s *server) {
		s.onRequest = func(wire.Operation, int) lever {
			return lever{puback: &mqttlink.Error{Cause: mqttlink.Refused, Op: "PUBLISH", Code: mqtt.NotAuthorized, Reason: "iot:Publish is not allowed."}}
		}
		f := mustFail(t, s.device(s.goodConfig()))
		if f.Class != ClaimNotAuthorised || !strings.Contains(f.Said, "iot:Publish") || s.count(wire.CreateFromCSR) != 1 {
			t.Errorf("got %v", f)
		}
	})
}

func TestTriesAreSpacedByGrowingJitter(t *testing.T) {
	inBubble(t, "and end after the fifth", func(t *testing.T, s *server) {
		s.onRequest = rejectAll(wire.CreateFromCSR, 500, "InternalFailure", "no")
		a := s.device(s.goodConfig())
		var notices []string
		a.Notice = func(n string) { notices = append(notices, n) }
		report, err := a.Provision(t.Context())
		if err == nil || len(notices) != 4 || report.Total >= 15*time.Second || report.Total == 0 {
			t.Errorf("%v after %s: %q", err, report.Total, notices)
		}
	})
	a := &Agent{Random: neverEnding{0xff}}
	for try, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second} {
		if got := a.pause(try, &Failure{}); got >= most || got < 0 {
			t.Errorf("after try %d it waits %s", try, got)
		}
		if got := a.pause(try, &Failure{silent: true}); got != 30*time.Second {
			t.Errorf("after silence it waits %s", got)
		}
	}
}

// neverEnding reads as one byte for ever.
type neverEnding struct{ b byte }

func (n neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = n.b
	}
	return len(p), nil
}

func TestAServerThatComesBackIsFound(t *testing.T) {
	inBubble(t, "at the third try", func(t *testing.T, s *server) {
		s.refuseConnect = func(n int, asThing bool) error {
			if n < 3 && !asThing {
				return &mqttlink.Error{Cause: mqttlink.Unreachable, Op: "the TCP connection", Err: os.ErrClosed}
			}
			return nil
		}
		report := mustProvision(t, s.device(s.goodConfig()))
		if report.Stages[1].Tries != 3 {
			t.Errorf("got %+v", report.Stages)
		}
	})
	inBubble(t, "when a new certificate is not known everywhere yet", func(t *testing.T, s *server) {
		s.refuseConnect = func(n int, asThing bool) error {
			if n < 4 && asThing {
				return &mqttlink.Error{Cause: mqttlink.Refused, Op: "CONNECT", Code: mqtt.NotAuthorized}
			}
			return nil
		}
		mustProvision(t, s.device(s.goodConfig()))
	})
}

func TestTheClaimsDatesAreChecked(t *testing.T) {
	day := 24 * time.Hour
	inBubble(t, "a clock that stands in the past is blamed, and nothing is sent", func(t *testing.T, s *server) {
		a := s.device(s.config(time.Now().Add(-day), time.Now().Add(day)))
		a.Now = func() time.Time { return time.Unix(12, 0) }
		f := mustFail(t, a)
		want := "This device's clock says 1970-01-01T00:00:12Z, before the claim certificate's notBefore, 1999-12-31T00:00:00Z."
		if f.Class != ClockWrong || f.Exit != ExitFailed || !strings.HasPrefix(f.Text, want) || len(s.connections) != 0 {
			t.Errorf("got %v after %d connections", f, len(s.connections))
		}
	})
	inBubble(t, "an expired claim is said to be expired, and not sent", func(t *testing.T, s *server) {
		f := mustFail(t, s.device(s.config(time.Now().Add(-2*day), time.Now().Add(-day))))
		if f.Class != ClaimExpired || !strings.Contains(f.Text, "expired on 1999-12-31T00:00:00Z") || len(s.connections) != 0 {
			t.Errorf("got %v after %d connections", f, len(s.connections))
		}
	})
	inBubble(t, "unless they are to be ignored", func(t *testing.T, s *server) {
		c := s.config(time.Now().Add(-2*day), time.Now().Add(-day))
		c.IgnoreDates = true
		mustProvision(t, s.device(c))
	})
}

func TestAnAnswerThatMakesNoSenseIsNotStored(t *testing.T) {
	for name, l := range map[string]lever{
		"a certificate for another key": {wrongKey: true},
		"an answer that is not JSON":    {payload: []byte("certificate")},
		"an answer without a token":     {payload: []byte(`{"certificateId":"a","certificatePem":"b"}`)},
	} {
		inBubble(t, name, func(t *testing.T, s *server) {
			s.onRequest = func(wire.Operation, int) lever { return l }
			c := s.goodConfig()
			if f := mustFail(t, s.device(c)); f.Class != AnswerNotUsable || f.Exit != ExitFailed || stageOf(t, c) != KeyMade {
				t.Errorf("got %v in state %s", f, stageOf(t, c))
			}
		})
	}
}

func TestTheWholeRunMayHaveALimit(t *testing.T) {
	inBubble(t, "after which it says that it can be continued", func(t *testing.T, s *server) {
		s.onRequest = func(wire.Operation, int) lever { return lever{deaf: true} }
		ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
		defer cancel()
		_, err := s.device(s.goodConfig()).Provision(ctx)
		f, ok := err.(*Failure)
		if !ok || f.Class != NetworkTimeout || f.Exit != ExitUnreachable || !strings.Contains(f.Text, "Run again") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatCannotWorkIsUsage(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no endpoint":               func(c *Config) { c.Endpoint = "" },
		"a port that is none":       func(c *Config) { c.Endpoint = "host:mqtt" },
		"a port beyond the last":    func(c *Config) { c.Endpoint = "host:70000" },
		"no template":               func(c *Config) { c.Template = "" },
		"a template with long name": func(c *Config) { c.Template = strings.Repeat("t", 37) },
		"no folder":                 func(c *Config) { c.Dir = "" },
		"a claim that is not there": func(c *Config) { c.ClaimCert += ".missing" },
		"a key for a certificate":   func(c *Config) { c.ClaimKey = c.ClaimCert },
		"roots that are none":       func(c *Config) { c.RootCA = c.ClaimKey },
		"a value that is not UTF-8": func(c *Config) { c.Parameters["S"] = "\xff" },
		"a value that is too long":  func(c *Config) { c.Parameters["S"] = strings.Repeat("v", 4097) },
		"a folder that is a file":   func(c *Config) { c.Dir = c.ClaimCert },
	} {
		inBubble(t, name, func(t *testing.T, s *server) {
			c := s.goodConfig()
			change(&c)
			if f := mustFail(t, s.device(c)); f.Class != Usage || f.Exit != ExitUsage || len(s.requests) != 0 {
				t.Errorf("got %v", f)
			}
		})
	}
}

func TestAnEndpointMayNameItsPort(t *testing.T) {
	for endpoint, want := range map[string]string{
		"iot.example": "iot.example:8883", "iot.example:443": "iot.example:443", "127.0.0.1": "127.0.0.1:8883",
		"[::1]:8884": "[::1]:8884", "::1": "[::1]:8883",
	} {
		if got := (Config{Endpoint: endpoint}).endpoint(); got != want {
			t.Errorf("%s: got %s", endpoint, got)
		}
	}
}

func TestStateFiles(t *testing.T) {
	inBubble(t, "a file that is no state is not overwritten", func(t *testing.T, s *server) {
		for _, content := range []string{"", "{", `{"version":2,"state":"start"}`, `{"version":1,"state":"lost"}`, `{"version":1,"state":"registered"}`} {
			c := s.goodConfig()
			if err := os.MkdirAll(c.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(c.Dir, StateFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if f := mustFail(t, s.device(c)); f.Class != DeviceFailed || read(t, c, StateFile) != content {
				t.Errorf("%q: got %v", content, f)
			}
		}
	})
	inBubble(t, "what a killed write left is overwritten, and is not readable by others afterwards", func(t *testing.T, s *server) {
		c := s.goodConfig()
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{StateFile, KeyFile} {
			if err := os.WriteFile(filepath.Join(c.Dir, "."+name+".tmp"), []byte("half"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		mustProvision(t, s.device(c))
		checkIdentity(t, s, c)
	})
	inBubble(t, "a write that fails leaves the old content", func(t *testing.T, s *server) {
		dir := t.TempDir()
		if err := writeFile(dir, "a", []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, ".a.tmp"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".a.tmp", "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(dir, "a", []byte("new"), 0o600); err == nil {
			t.Error("it did not fail")
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "a")); string(b) != "old" {
			t.Errorf("it holds %q", b)
		}
	})
}

func TestTheRootsAreKeptBesideTheIdentity(t *testing.T) {
	inBubble(t, "and used for both connections", func(t *testing.T, s *server) {
		c := s.goodConfig()
		c.RootCA = c.ClaimCert // any certificate
		mustProvision(t, s.device(c))
		if read(t, c, RootFile) == "" || s.connections[0].TLS.RootCAs == nil || s.connections[1].TLS.RootCAs == nil {
			t.Error("they are not")
		}
	})
}
