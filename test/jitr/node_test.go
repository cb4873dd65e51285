package jitr

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
)

// hang is when a test gives up. It only bounds a failing run.
const hang = 3 * time.Minute

// A node is one server through all of its lives.
type node struct {
	bin      string // folder of the program
	data     string
	log      string // file that gathers what all lives wrote
	cmd      *exec.Cmd
	env      map[string]string // the exports of `slipway env`
	mqtt     string
	host     string
	deadline time.Time
}

// newNode builds the program, with its crash points.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{bin: t.TempDir(), data: filepath.Join(t.TempDir(), "data"), log: filepath.Join(t.TempDir(), "log"), deadline: time.Now().Add(hang)}
	build(t, n.program(), "-tags", "crashpoints", "github.com/slipway-iot/slipway/cmd/slipway")
	return n
}

func (n *node) program() string { return filepath.Join(n.bin, "slipway") }

// function builds the function and lays the factory's table beside it.
func (n *node) function(t *testing.T, table string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bootstrap")
	build(t, program, "./lambda")
	if err := os.WriteFile(filepath.Join(filepath.Dir(program), "devices.csv"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	return program
}

func build(t *testing.T, out string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-o", out}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
}

// start runs `slipway serve` until it is ready.
func (n *node) start(t *testing.T, env ...string) {
	t.Helper()
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	n.cmd = exec.Command(n.program(), "serve", "--data", n.data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0")
	n.cmd.Env, n.cmd.Stderr = append(os.Environ(), env...), log
	out := must(n.cmd.StdoutPipe())(t)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := n.cmd
	t.Cleanup(func() { _ = started.Process.Kill(); _ = started.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ready") {
			n.read(t)
			return
		}
	}
	text, _ := os.ReadFile(n.log)
	t.Fatalf("slipway serve never became ready:\n%s", text)
}

// read learns where the server is.
func (n *node) read(t *testing.T) {
	t.Helper()
	decode(t, []byte(n.slipway(t, "env", "--json", "--data", n.data)), &n.env)
	var at struct{ MQTT, Host string }
	decode(t, must(os.ReadFile(filepath.Join(n.data, "endpoints.json")))(t), &at)
	n.mqtt, n.host = at.MQTT, at.Host
}

// kill is kill -9.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	n.awaitEnd(t)
}

// awaitEnd waits until the server was killed.
func (n *node) awaitEnd(t *testing.T) {
	t.Helper()
	_ = n.cmd.Wait()
	if status, ok := n.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the server ended by itself: %v", n.cmd.ProcessState)
	}
}

// slipway runs one verb of the command line and gives what it prints.
func (n *node) slipway(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(n.program(), args...)
	cmd.Env = []string{"HOME=" + n.bin, "PATH=" + os.Getenv("PATH")}
	for name, value := range n.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	var bad *exec.ExitError
	if errors.As(err, &bad) {
		t.Errorf("slipway %s: %v\n%s", strings.Join(args, " "), err, bad.Stderr)
	}
	return string(out)
}

// iot is AWS's own client, with the admin's key.
func (n *node) iot(t *testing.T) *iot.Client {
	t.Helper()
	return iot.New(iot.Options{
		Region: n.env["AWS_REGION"], BaseEndpoint: aws.String(n.env["AWS_ENDPOINT_URL_IOT"]),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: n.env["AWS_ACCESS_KEY_ID"], SecretAccessKey: n.env["AWS_SECRET_ACCESS_KEY"]}, nil
		}),
	})
}

func (n *node) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(must(os.ReadFile(n.env["SLIPWAY_ROOT_CA"]))(t)) {
		t.Fatal("the server's root CA is no PEM")
	}
	return pool
}
