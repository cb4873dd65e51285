// Package agent runs the slipway-agent program, as devices do, against a real
// server: every way it has, every class of failure that the field notes name,
// and kill -9 at any moment.
package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/gateway"
	"github.com/slipway-iot/slipway/server"
)

// hang is when a test gives up on something that should have happened long
// ago. It only bounds a failing run.
const hang = time.Minute

// fleetBody makes a thing that is called as its serial number says.
const fleetBody = `{
	"Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
	"Resources": {
		"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}, "AttributePayload": {"serial": {"Ref": "SerialNumber"}}}},
		"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
		"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}}}}`

// devicePolicy lets a device connect under its thing's name.
const devicePolicy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect",
	"Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"}]}`

// published is the claim policy of the field notes, which cannot work: it
// allows iot:Connect and iot:Subscribe on topics.
const published = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
	"Action": ["iot:Connect", "iot:Subscribe", "iot:Publish"], "Resource": [
		"arn:aws:iot:*:*:topic/$aws/certificates/*", "arn:aws:iot:*:*:topic/$aws/provisioning-templates/*"]}]}`

// A clock shows the time, or another one.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
}

// A site is a server in this process.
type site struct {
	t     *testing.T
	e     server.Endpoints
	api   *api.Client
	clock *clock // of the server, and of who calls it
}

// programs is the folder of slipway and slipway-agent. TestMain fills it before
// any test runs.
var programs string

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-")
	if err == nil {
		defer os.RemoveAll(dir)
		programs = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/slipway", "./cmd/slipway-agent")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the programs do not build: %w\n%s", err, out)
	}
	return nil
}

// start serves a new folder with the template "fleet".
func start(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{}}
	srv := must(server.New(context.Background(), server.Config{
		Data: t.TempDir(), MQTT: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 2, Now: s.clock.now,
		Limits: gateway.Limits{Failures: 1e6, Burst: 1_000_000}, // killed devices are one address
	}))(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	<-srv.Ready()
	admin := must(srv.Admin())(t)
	s.e = srv.Endpoints()
	s.api = &api.Client{Endpoint: s.e.Control, Region: "us-east-1", AccessKeyID: admin.ID, Secret: admin.Secret, Now: s.clock.now}
	s.call("POST", "/policies/device", nil, map[string]string{"policyDocument": devicePolicy}, nil)
	s.template("fleet")
	return s
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *site) call(method, path string, query url.Values, body, out any) {
	s.t.Helper()
	if err := s.api.Do(s.t.Context(), method, path, query, nil, body, out); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// template makes one, with tags given as key and value.
func (s *site) template(name string, tags ...string) {
	s.t.Helper()
	list := []map[string]string{}
	for i := 0; i < len(tags); i += 2 {
		list = append(list, map[string]string{"Key": tags[i], "Value": tags[i+1]})
	}
	s.call("POST", "/provisioning-templates", nil, map[string]any{
		"templateName": name, "templateBody": fleetBody, "enabled": true, "tags": list,
		"provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning",
	}, nil)
}

// A claim is the two files that a device comes with.
type claim struct{ cert, key string }

func (s *site) keep(cert, key string) claim {
	s.t.Helper()
	dir := s.t.TempDir()
	c := claim{filepath.Join(dir, "claim.pem"), filepath.Join(dir, "claim.key")}
	for path, text := range map[string]string{c.cert: cert, c.key: key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return c
}

// claimFor makes a claim as `slipway claim new` does; zero is as long as AWS's.
func (s *site) claimFor(template string, validFor time.Duration) claim {
	s.t.Helper()
	var made struct{ CertificatePEM, PrivateKey string }
	s.call("POST", "/slipway/claims", nil, map[string]any{"templateName": template, "validForSeconds": int(validFor.Seconds())}, &made)
	return s.keep(made.CertificatePEM, made.PrivateKey)
}

// claimUnder makes a claim as it is made on AWS: a certificate with a policy.
func (s *site) claimUnder(name, policy string) claim {
	s.t.Helper()
	var made struct {
		CertificateARN string `json:"certificateArn"`
		CertificatePEM string
		KeyPair        struct{ PrivateKey string }
	}
	s.call("POST", "/policies/"+name, nil, map[string]string{"policyDocument": policy}, nil)
	s.call("POST", "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, &made)
	s.call("PUT", "/target-policies/"+name, nil, map[string]string{"target": made.CertificateARN}, nil)
	return s.keep(made.CertificatePEM, made.KeyPair.PrivateKey)
}

// A device is what an agent is called with.
type device struct {
	serial, dir string
	claim       claim
	template    string
	endpoint    string // empty: the site's
	flags       []string
}

// A report is what the agent printed.
type report struct {
	Thing, Certificate string
	Resumed            agent.Stage
	TotalMs            float64
	PeakMemory         int64 `json:"peakMemoryBytes"`
	Stages             []struct {
		Name  string
		Tries int
	}
	Error *struct {
		Class      agent.Class
		Text, Said string
		Exit       int
	}
	code   int
	stderr string
}

// command is the agent, as a device's init system starts it.
func (s *site) command(d device) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	endpoint := d.endpoint
	if endpoint == "" {
		_, port, _ := strings.Cut(s.e.MQTT, ":")
		endpoint = s.e.Host + ":" + port
	}
	args := append([]string{"provision", "--json", "--endpoint", endpoint, "--root-ca", s.e.RootCA,
		"--claim-cert", d.claim.cert, "--claim-key", d.claim.key, "--template", d.template,
		"--param", "SerialNumber=" + d.serial, "--out", d.dir}, d.flags...)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	cmd, stdout, stderr = exec.CommandContext(ctx, filepath.Join(programs, "slipway-agent"), args...), &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr, cmd.Env = stdout, stderr, []string{}
	s.t.Cleanup(cancel)
	return cmd, stdout, stderr
}

// run lets the agent run to its end.
func (s *site) run(d device) (*report, error) {
	cmd, stdout, stderr := s.command(d)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	r := &report{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil {
		return nil, fmt.Errorf("%s: exit code %d, stdout %q, stderr %s", d.serial, r.code, stdout, stderr)
	}
	return r, nil
}

// holds says how the registry and the device's folder differ from one thing
// with one certificate, ACTIVE, whose key the device has.
func (s *site) holds(ctx context.Context, d device, r *report) error {
	var principals struct{ Principals []string }
	var described struct {
		CertificateDescription struct{ Status, CertificatePEM string }
	}
	err := errors.Join(
		s.api.Do(ctx, http.MethodGet, api.Path("things", d.serial, "principals"), nil, nil, nil, &principals),
		s.api.Do(ctx, http.MethodGet, api.Path("certificates", r.Certificate), nil, nil, nil, &described))
	if err != nil {
		return err
	}
	if len(principals.Principals) != 1 || !strings.HasSuffix(principals.Principals[0], "/"+r.Certificate) {
		return fmt.Errorf("%s: the agent has %s, the thing has %v", d.serial, r.Certificate, principals.Principals)
	}
	cert, err := os.ReadFile(filepath.Join(d.dir, agent.CertFile))
	if c := described.CertificateDescription; err != nil || c.Status != "ACTIVE" || c.CertificatePEM != string(cert) {
		return fmt.Errorf("%s: %s, stored as\n%son the device\n%s(%v)", d.serial, c.Status, c.CertificatePEM, cert, err)
	}
	return nil
}
