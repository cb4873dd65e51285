// Package tour visits every operation that docs/api.md calls done, with AWS's
// own tools, against the real `slipway serve`: the aws command line with one
// script for each area (areas/*.sh), each operation at least once with success
// and once without, and boto3 (boto3_tour.py) for its paginators and
// exceptions. What is answered is held against AWS's model on the way (aws.py).
//
// A script gets the exports of `slipway env` and nothing else. What it needs is
// installed by test/deps, which `make test` runs first.
package tour

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit ends a script that hangs. None needs a tenth of it.
const limit = 4 * time.Minute

var root = filepath.Join("..", "..")

func TestAWSToolsTourEveryOperation(t *testing.T) {
	program := build(t)
	t.Run("aws command line", func(t *testing.T) { commandLine(t, serve(t, program)) })
	t.Run("boto3", func(t *testing.T) { serve(t, program).run(t, nil, "python3", "boto3_tour.py", operationsDone(t)...) })
}

// The token that confirms a destination is sent to an endpoint beyond this
// machine. TestDestinations of control receives one.
var elsewhere = map[string]bool{"ConfirmTopicRuleDestination": true}

// commandLine runs the areas one after the other, in one account.
func commandLine(t *testing.T, s *slipway) {
	scripts, err := filepath.Glob("areas/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("there are no areas: %v", err)
	}
	commands := s.commands(t)
	ran := 0
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".sh"), func(t *testing.T) {
			ran++
			s.run(t, commands, "bash", script)
		})
	}
	if ran < len(scripts) || t.Failed() {
		return // by the flag -run, or there is more to say already
	}
	visited := s.answered()
	for _, operation := range operationsDone(t) {
		if n := visited[operation]; n.done == 0 && !elsewhere[operation] || n.refused == 0 {
			t.Errorf("docs/api.md says that %s is done; the tour had it answered %d times and refused %d times.", operation, n.done, n.refused)
		}
	}
}

var row = regexp.MustCompile("(?m)^\\| (\\w+) \\| `[A-Z]+ /[^`]*` \\| done \\|")

// operationsDone reads docs/api.md, which a test of package control keeps.
func operationsDone(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	for _, m := range row.FindAllSubmatch(page, -1) {
		done = append(done, string(m[1]))
	}
	if len(done) < 70 {
		t.Fatalf("docs/api.md has only %d operations done", len(done))
	}
	return done
}

// commands starts aws.py and gives the descriptors on which it is asked and
// answers.
func (s *slipway) commands(t *testing.T) []*os.File {
	t.Helper()
	requests, ask, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hear, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.command(context.Background(), t, "python3", "aws.py")
	cmd.ExtraFiles = []*os.File{requests, answers}
	said := &buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	requests.Close()
	answers.Close()
	t.Cleanup(func() {
		ask.Close()
		hear.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("aws.py: %v\n%s", err, said)
		}
	})
	return []*os.File{ask, hear}
}

// run runs one script to its end.
func (s *slipway) run(t *testing.T, commands []*os.File, program, script string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := s.command(ctx, t, program, append([]string{script}, arguments...)...)
	cmd.ExtraFiles = commands
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// command has the environment of a shell after `eval "$(slipway env)"`, with
// the Python that test/deps installs.
func (s *slipway) command(ctx context.Context, t *testing.T, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	python, err := filepath.Abs(filepath.Join(root, ".cache", "venv", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(python, "python3")); err != nil {
		t.Fatalf("The aws command line is not installed: run test/deps first, as `make test` does. (%v)", err)
	}
	if program == "python3" {
		program = filepath.Join(python, program)
	}
	cmd := exec.CommandContext(ctx, program, arguments...)
	// A new home has no configuration of the aws command line.
	cmd.Env = append([]string{
		"PATH=" + strings.Join([]string{python, filepath.Dir(s.program), os.Getenv("PATH")}, string(os.PathListSeparator)),
		"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "AWS_MAX_ATTEMPTS=1",
	}, s.env...)
	return cmd
}
