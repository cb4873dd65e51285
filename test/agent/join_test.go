package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/client/api"
)

// slipway runs the operator's program and gives what it printed.
func (s *site) slipway(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "slipway"), append(args, "--data", filepath.Dir(s.e.RootCA))...)
	var stderr bytes.Buffer
	cmd.Stderr, cmd.Env = &stderr, []string{}
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("slipway %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// join runs the agent with a claim from somewhere.
func (s *site) join(in io.Reader, args ...string) report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "slipway-agent"), append([]string{"join", "--json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.Env = in, &stderr, []string{}
	out, _ := cmd.Output()
	r := report{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
	if err := json.Unmarshal(out, &r); err != nil {
		s.t.Fatalf("the agent printed %q, %v\n%s", out, err, r.stderr)
	}
	return r
}

// An installer hands a claim to a device that has nothing: through a pipe, a
// file, or a line that never ends and brings boot messages too.
func TestADeviceJoins(t *testing.T) {
	s := start(t)
	noise := "[    0.000000] Booting Linux\r\n{\"level\":\"info\"}\r\nlogin: \r\n"
	for _, form := range []string{"json", "pem"} {
		for name, give := range map[string]func(text string) (io.Reader, []string){
			"pipe": func(text string) (io.Reader, []string) { return strings.NewReader(text), nil },
			"file": func(text string) (io.Reader, []string) {
				path := filepath.Join(t.TempDir(), "claim")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return nil, []string{"--from", path}
			},
			"line": func(text string) (io.Reader, []string) {
				r, w, err := os.Pipe() // its writing end stays open
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { w.Close(); r.Close() })
				if _, err := io.WriteString(w, noise+strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
					t.Fatal(err)
				}
				return r, nil
			},
		} {
			t.Run(form+" by "+name, func(t *testing.T) {
				text := s.slipway("claim", "new", "--trusted", "--template", "fleet", "--stdout", form)
				dir, serial := t.TempDir(), form+"-"+name
				in, from := give(text)
				r := s.join(in, append(from, "--param", "SerialNumber="+serial, "--out", dir)...)
				if r.code != 0 || r.Thing != serial {
					t.Fatalf("exit code %d, %+v\n%s", r.code, r, r.stderr)
				}
				for _, gone := range []string{agent.ClaimCertFile, agent.ClaimKeyFile} {
					if _, err := os.Stat(filepath.Join(dir, gone)); err == nil {
						t.Errorf("%s is still there", gone)
					}
				}
				trace := s.slipway("trace", serial)
				if !strings.Contains(trace, "Temporary claim for template fleet, made by access key "+s.api.AccessKeyID) {
					t.Errorf("the trace does not say whose claim it was:\n%s", trace)
				}
			})
		}
	}
	if r := s.join(strings.NewReader("nothing\n"), "--param", "SerialNumber=x", "--out", t.TempDir()); r.code != agent.ExitUsage || !strings.Contains(r.Error.Text, "no claim was found") {
		t.Errorf("without a claim: %+v", r)
	}
}

// A temporary claim is in no list of certificates, cannot be described, is good
// for as many devices as its maker wanted, and for one template.
func TestATemporaryClaimIsBounded(t *testing.T) {
	s := start(t)
	s.template("other")
	text := s.slipway("claim", "new", "--trusted", "--template", "fleet", "--devices", "2", "--stdout", "json")
	for i, want := range []int{0, 0, agent.ExitRefused} {
		r := s.join(strings.NewReader(text), "--param", "SerialNumber=D"+string(rune('1'+i)), "--out", t.TempDir())
		if r.code != want {
			t.Fatalf("device %d: exit code %d, want %d: %+v", i+1, r.code, want, r)
		}
		if want != 0 && (r.Error.Class != agent.ClaimNotAuthorised || !strings.Contains(r.Error.Said, "good for 2")) {
			t.Errorf("the third device was told %+v", r.Error)
		}
	}
	r := s.join(strings.NewReader(strings.Replace(text, `"templateName":"fleet"`, `"templateName":"other"`, 1)), "--param", "SerialNumber=D9", "--out", t.TempDir())
	if r.code != agent.ExitRefused || r.Error.Class != agent.ClaimNotAuthorised {
		t.Errorf("at another template: %+v", r)
	}
	var list struct {
		Certificates []struct{ CertificateID string }
	}
	s.call("GET", "/certificates", nil, nil, &list)
	if len(list.Certificates) != 2 {
		t.Errorf("%d certificates are listed, want those of the two devices", len(list.Certificates))
	}
	var claims struct {
		Claims []struct {
			CertificateID, MadeBy string
			Temporary             bool
		}
	}
	s.call("GET", "/slipway/claims", nil, nil, &claims)
	if len(claims.Claims) != 1 || !claims.Claims[0].Temporary || claims.Claims[0].MadeBy != s.api.AccessKeyID {
		t.Fatalf("the claims are %+v", claims)
	}
	err := s.api.Do(t.Context(), http.MethodGet, api.Path("certificates", claims.Claims[0].CertificateID), nil, nil, nil, nil)
	if !api.IsType(err, api.Missing) {
		t.Errorf("the claim's certificate can be described: %v", err)
	}
	if out := s.slipway("audit", "list", "--json"); !strings.Contains(out, "slipway:CreateTrustedClaim") || strings.Contains(out, "PRIVATE KEY") {
		t.Errorf("the trail is\n%s", out)
	}
}

// A claim may end while a device stands in the middle: the device says that it
// needs a new one, and the server's timeline says so too.
func TestATemporaryClaimEndsInTheMiddle(t *testing.T) {
	s := start(t)
	text := s.slipway("claim", "new", "--trusted", "--template", "fleet", "--valid-for", "2m", "--stdout", "json")
	s.clock.set(3 * time.Minute)
	r := s.join(strings.NewReader(text), "--param", "SerialNumber=late", "--out", t.TempDir())
	if r.code != agent.ExitRefused || r.Error.Class != agent.ClaimExpired || !strings.Contains(r.Error.Text, "new claim") {
		t.Errorf("the device says %+v", r.Error)
	}
	var found struct {
		Attempts []struct{ Reason string }
	}
	s.call("GET", "/slipway/attempts", map[string][]string{"what": {"127.0.0.1"}}, nil, &found)
	if len(found.Attempts) == 0 || !strings.Contains(found.Attempts[0].Reason, "expired at") {
		t.Errorf("the server says %+v", found)
	}
	// It came in time and could not finish: another claim brings the same device
	// to its end, with the key that it has.
	s.clock.set(0)
	dir := t.TempDir()
	text = s.slipway("claim", "new", "--trusted", "--template", "fleet", "--stdout", "json")
	s.call("PATCH", "/provisioning-templates/fleet", nil, map[string]any{"enabled": false}, nil)
	if r := s.join(strings.NewReader(text), "--param", "SerialNumber=late", "--out", dir); r.code != agent.ExitRefused {
		t.Fatalf("a disabled template gave %+v", r)
	}
	s.call("PATCH", "/provisioning-templates/fleet", nil, map[string]any{"enabled": true}, nil)
	text = s.slipway("claim", "new", "--trusted", "--template", "fleet", "--stdout", "json")
	if r := s.join(strings.NewReader(text), "--param", "SerialNumber=late", "--out", dir); r.code != 0 || r.Thing != "late" || r.Resumed != agent.CertificateReceived {
		t.Errorf("the second claim gave %+v", r)
	}
}
