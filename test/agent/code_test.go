package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/agent"
)

// A waiting is an agent that shows a code.
type waiting struct {
	s                 *site
	cmd               *exec.Cmd
	out, said         bytes.Buffer
	code, fingerprint string
}

// joinByCode starts an agent, and returns once it shows its code.
func (s *site) joinByCode(args ...string) *waiting {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	s.t.Cleanup(cancel)
	_, port, _ := strings.Cut(s.e.HTTPS, ":")
	args = append([]string{"join", "--json", "--code", "--server", "localhost:" + port, "--root-ca", s.e.RootCA}, args...)
	w := &waiting{s: s, cmd: exec.CommandContext(ctx, filepath.Join(programs, "slipway-agent"), args...)}
	w.cmd.Stdout, w.cmd.Env = &w.out, []string{}
	stderr := must(w.cmd.StderrPipe())(s.t)
	if err := w.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		w.said.WriteString(lines.Text() + "\n")
		if code, ok := strings.CutPrefix(lines.Text(), "code: "); ok {
			w.code = code
		}
		if f, ok := strings.CutPrefix(lines.Text(), "fingerprint: "); ok {
			w.fingerprint = f
		}
		if strings.HasPrefix(lines.Text(), "Waiting") {
			break
		}
	}
	return w
}

func (w *waiting) ends() (r report) {
	w.s.t.Helper()
	_ = w.cmd.Wait()
	r.code, r.stderr = w.cmd.ProcessState.ExitCode(), w.said.String()
	if err := json.Unmarshal(w.out.Bytes(), &r); err != nil {
		w.s.t.Fatalf("the agent printed %q, %v\n%s", &w.out, err, r.stderr)
	}
	return r
}

// A device with a network shows a code, an installer compares and approves, and
// the device ends connected with the key whose fingerprint it showed.
func TestADeviceJoinsByACode(t *testing.T) {
	s := start(t)
	approved, denied := s.joinByCode("--param", "SerialNumber=C1", "--out", t.TempDir()), s.joinByCode("--param", "SerialNumber=C2", "--out", t.TempDir())
	if list := s.slipway("device", "codes"); !strings.Contains(list, approved.code) || !strings.Contains(list, "SerialNumber=C2") {
		t.Errorf("the installer sees\n%s", list)
	}
	if out := s.slipway("device", "approve", strings.ToLower(approved.code), "--template", "fleet", "--fingerprint", approved.fingerprint); !strings.Contains(out, "approved for template fleet") {
		t.Error(out)
	}
	s.slipway("device", "deny", denied.code)
	if r := approved.ends(); r.code != 0 || r.Thing != "C1" {
		t.Errorf("the approved device: %+v", r)
	}
	if r := denied.ends(); r.code != agent.ExitRefused || r.Error.Class != agent.Refused {
		t.Errorf("the denied device: %+v", r)
	}
	if trace := s.slipway("trace", "C1"); !strings.Contains(trace, "approved as "+approved.code+" by access key") {
		t.Errorf("the trace does not say who approved it:\n%s", trace)
	}
	if trace := s.slipway("trace", "C2"); !strings.Contains(trace, "The installer refused code "+denied.code) {
		t.Errorf("the trace does not say that it was denied:\n%s", trace)
	}
	s.template("other")
	third := s.joinByCode("--param", "SerialNumber=C3", "--out", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(programs, "slipway"), "device", "approve", third.code, "--template", "other",
		"--fingerprint", approved.fingerprint, "--data", filepath.Dir(s.e.RootCA)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has another key") {
		t.Errorf("a fingerprint of another device: %v\n%s", err, out)
	}
	_ = third.cmd.Process.Kill()
	_ = third.cmd.Wait()
}
