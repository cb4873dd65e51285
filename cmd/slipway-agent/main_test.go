package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/wire"
)

// claim writes a claim that is valid between two times and gives its flags.
func claim(t *testing.T, from, to time.Time) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	cert, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{"--claim-cert", write("claim.pem", "CERTIFICATE", cert), "--claim-key", write("claim.key", "PRIVATE KEY", der),
		"--out", filepath.Join(dir, "device")}
}

func call(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestExitCodesAndLastLines(t *testing.T) {
	now := time.Now()
	good := claim(t, now.Add(-time.Hour), now.Add(time.Hour))
	base := []string{"provision", "--template", "T", "--param", "SerialNumber=A1", "--attempts", "1"}
	for name, c := range map[string]struct {
		args  []string
		code  int
		class agent.Class
		text  string
	}{
		"no flags":            {[]string{"provision"}, agent.ExitUsage, agent.Usage, "missing flags"},
		"an unknown flag":     {[]string{"provision", "--serial", "1"}, agent.ExitUsage, agent.Usage, "--serial"},
		"a third format":      {append(base, append(good, "--endpoint", "h", "--format", "xml")...), agent.ExitUsage, agent.Usage, "--format"},
		"a pair without =":    {append(base, append(good, "--endpoint", "h", "--param", "S")...), agent.ExitUsage, agent.Usage, "NAME=VALUE"},
		"a parameter twice":   {append(base, append(good, "--endpoint", "h", "--param", "SerialNumber=B")...), agent.ExitUsage, agent.Usage, "twice"},
		"no attempts":         {append(base, append(good, "--endpoint", "h", "--attempts", "0")...), agent.ExitUsage, agent.Usage, "--attempts"},
		"no patience":         {append(base, append(good, "--endpoint", "h", "--connect-timeout", "0s")...), agent.ExitUsage, agent.Usage, "--connect-timeout"},
		"time that runs back": {append(base, append(good, "--endpoint", "h", "--timeout=-5s")...), agent.ExitUsage, agent.Usage, "--timeout"},
		"no template's name":  {append(base, append(good, "--endpoint", "h", "--template", "a/b")...), agent.ExitUsage, agent.Usage, "letters, digits"},
		"a file that is gone": {append(base, append(good, "--endpoint", "h", "--root-ca", "/nowhere")...), agent.ExitUsage, agent.Usage, "--root-ca"},
		"nobody listens":      {append(base, append(good, "--endpoint", closedPort(t))...), agent.ExitUnreachable, agent.ServerNotReachable, "cannot be reached"},
		"an expired claim": {append(base, append(claim(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), "--endpoint", "h")...),
			agent.ExitFailed, agent.ClaimExpired, "expired on"},
		"a clock behind": {append(base, append(claim(t, now.Add(time.Hour), now.Add(2*time.Hour)), "--endpoint", "h")...),
			agent.ExitFailed, agent.ClockWrong, "notBefore"},
	} {
		code, _, stderr := call(c.args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != c.code || lines[len(lines)-1] != "class: "+string(c.class) || !strings.Contains(stderr, c.text) {
			t.Errorf("%s: exit %d, stderr:\n%s", name, code, stderr)
		}
	}
}

func TestJSONTellsTheFailureToo(t *testing.T) {
	args := append(claim(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)),
		"--endpoint", closedPort(t), "--template", "T", "--attempts", "1", "--json")
	code, stdout, _ := call(append([]string{"provision"}, args...)...)
	var got result
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Error == nil || got.Error.Class != agent.ServerNotReachable || got.Error.Exit != code || len(got.Stages) != 2 {
		t.Errorf("got %s", stdout)
	}
}

func TestAFinishedFolderIsReported(t *testing.T) {
	args := append([]string{"provision", "--endpoint", "h", "--template", "T"}, claim(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))...)
	dir := args[len(args)-1]
	request := wire.RegisterRequest{Parameters: map[string]string{}}.Digest("T")
	state, err := json.Marshal(map[string]any{"version": 1, "state": "done", "endpoint": "h:8883", "template": "T",
		"request": hex.EncodeToString(request[:]), "thingName": "sensor-A1", "certificateId": "12ab"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{agent.StateFile: state, agent.CertFile: nil, agent.KeyFile: nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := call(args...)
	if code != 0 || !strings.HasSuffix(stdout, "thing: sensor-A1\ncertificate: 12ab\n") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// parsed runs the parser alone.
func parsed(t *testing.T, args ...string) (agent.Config, error) {
	t.Helper()
	var line commandLine
	parser, err := newParser(&line, &bytes.Buffer{}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"provision"}, args...))
	return line.Provision.config(), err
}

func TestEveryFlagMayComeFromThreePlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.json")
	content := `{"endpoint":"file.example","template":"from-file","claim-cert":"c","claim-key":"k","out":"d",
		"param":{"SerialNumber":"F1","Site":"a=b;c"},"format":"cbor","mqtt":"3.1.1","keys":"server","key-type":"rsa2048",
		"delete-claim":true,"attempts":3,"register-timeout":"7s"}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_AGENT_TEMPLATE", "from-environment")
	t.Setenv("SLIPWAY_AGENT_ENDPOINT", "environment.example")
	got, err := parsed(t, "--config", file, "--endpoint", "flag.example:443")
	if err != nil {
		t.Fatal(err)
	}
	if got.Endpoint != "flag.example:443" || got.Template != "from-environment" || got.ClaimCert != "c" ||
		got.Format != wire.CBOR || got.Version != mqttlink.V311 || got.Keys != agent.ServerKey || got.KeyType != agent.RSA2048 ||
		!got.DeleteClaim || got.Attempts != 3 || got.RegisterTimeout != 7*time.Second || got.CertificateTimeout != 30*time.Second {
		t.Errorf("got %+v", got)
	}
	if !maps.Equal(got.Parameters, map[string]string{"SerialNumber": "F1", "Site": "a=b;c"}) {
		t.Errorf("parameters %v", got.Parameters)
	}
}

func TestParametersFromTheEnvironment(t *testing.T) {
	required := []string{"--endpoint", "h", "--template", "t", "--claim-cert", "c", "--claim-key", "k", "--out", "d"}
	for text, want := range map[string]map[string]string{
		"SerialNumber=A=1;B,2":        {"SerialNumber": "A=1;B,2"},
		`{"SerialNumber":"1","S":""}`: {"SerialNumber": "1", "S": ""},
	} {
		t.Setenv("SLIPWAY_AGENT_PARAM", text)
		got, err := parsed(t, required...)
		if err != nil || !maps.Equal(got.Parameters, want) {
			t.Errorf("%s: got %v, %v", text, got.Parameters, err)
		}
	}
	t.Setenv("SLIPWAY_AGENT_PARAM", `{"S":1}`)
	if _, err := parsed(t, required...); err == nil {
		t.Error("a number was taken")
	}
}

func TestAConfigurationFileIsReadStrictly(t *testing.T) {
	for content, want := range map[string]string{
		`{"endpont":"h"}`:                 "endpont (line 1) is no flag's name",
		`{"endpoint":"h","endpoint":"i"}`: "stands twice",
		`["endpoint"]`:                    "an object is expected",
		`{"endpoint":["h"]}`:              "which no flag takes",
		`{"param":{"S":1}}`:               "a string is expected",
		`{`:                               "ends too early",
	} {
		file := filepath.Join(t.TempDir(), "agent.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := parsed(t, "--config", file, "--endpoint=h", "--template=t", "--claim-cert=c", "--claim-key=k", "--out=d")
		if content == `{"endpoint":["h"]}` {
			_, err = parsed(t, "--config", file, "--template=t", "--claim-cert=c", "--claim-key=k", "--out=d")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", content, err)
		}
	}
}

func TestThePeakOfMemoryIsKnown(t *testing.T) {
	if peak := peakMemory(); peak < 1<<20 || peak > 1<<32 {
		t.Errorf("got %d bytes", peak)
	}
}
