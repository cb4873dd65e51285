package foreign

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
)

var snippet = regexp.MustCompile("(?s)## Taking devices along\n.*?```bash\n(.*?)```")

// What docs/from-aws.md tells an operator to run takes a device from another
// control plane to Slipway: it connects with the key and the certificate that it
// had, and may do what it was allowed to.
func TestADeviceIsTakenAlong(t *testing.T) {
	t.Parallel()
	m := in(t, "us-west-2")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "from-aws.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := snippet.FindSubmatch(page)
	if script == nil {
		t.Fatal("docs/from-aws.md does not tell how to take a device along")
	}
	device := m.provisioned(t)
	env := m.serve(t)
	here := &api.Client{Endpoint: env["AWS_ENDPOINT_URL_IOT"], Region: env["AWS_REGION"], AccessKeyID: env["AWS_ACCESS_KEY_ID"], Secret: env["AWS_SECRET_ACCESS_KEY"]}
	if err := here.Do(t.Context(), http.MethodPost, "/policies/speak", nil, nil, map[string]string{"policyDocument": speak}, nil); err != nil {
		t.Fatal(err)
	}
	m.write(t, "config", fmt.Sprintf("[default]\nregion = %s\nservices = there\n[services there]\niot =\n  endpoint_url = %s\n[profile slipway]\nregion = us-east-1\nservices = here\n[services here]\niot =\n  endpoint_url = %s\n",
		m.region, m.url, here.Endpoint))
	m.write(t, "credentials", fmt.Sprintf("[default]\naws_access_key_id = any\naws_secret_access_key = any\n[slipway]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		here.AccessKeyID, here.Secret))
	bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", string(script[1]))
	bash.Dir = m.dir
	bash.Env = []string{"PATH=" + absolute(t, filepath.Join("..", "..", ".cache", "venv", "bin")) + ":" + os.Getenv("PATH"), "HOME=" + m.dir, "thing=A1",
		"AWS_CONFIG_FILE=" + filepath.Join(m.dir, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(m.dir, "credentials")}
	if out, err := bash.CombinedOutput(); err != nil {
		t.Fatalf("the commands of docs/from-aws.md: %v\n%s", err, out)
	}

	var thing struct{ Attributes map[string]string }
	if err := here.Do(t.Context(), http.MethodGet, "/things/A1", nil, nil, nil, &thing); err != nil || thing.Attributes["site"] != "berlin" {
		t.Errorf("the thing is %+v, %v", thing, err)
	}
	speaks(t, env, device)
}

// provisioned makes the device that moves, and gives its certificate and key.
func (m *moto) provisioned(t *testing.T) tls.Certificate {
	t.Helper()
	m.call(t, "POST", "/policies/speak", map[string]string{"policyDocument": speak})
	m.call(t, "POST", "/things/A1", map[string]any{"attributePayload": map[string]any{"attributes": map[string]string{"site": "berlin"}}})
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	err := m.client.Do(t.Context(), http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, nil, &made)
	if err == nil {
		err = m.client.Do(t.Context(), http.MethodPut, "/things/A1/principals", nil, http.Header{"X-Amzn-Principal": {made.ARN}}, nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.call(t, "PUT", "/target-policies/speak", map[string]string{"target": made.ARN})
	pair, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.Keys.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// serve runs Slipway's server until the test ends, and gives the exports of
// `slipway env`.
func (m *moto) serve(t *testing.T) (env map[string]string) {
	t.Helper()
	data := filepath.Join(m.dir, "data")
	cmd := exec.Command(shared.slipway, "serve", "--data", data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0")
	said, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("slipway serve ended with %v", err)
		}
	})
	for lines := bufio.NewScanner(said); lines.Scan() && !strings.HasPrefix(lines.Text(), "Ready"); {
	}
	out, err := exec.Command(shared.slipway, "env", "--json", "--data", data).Output()
	if err == nil {
		err = json.Unmarshal(out, &env)
	}
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// speaks asserts that A1 connects and publishes where its policy lets it.
func speaks(t *testing.T, env map[string]string, device tls.Certificate) {
	t.Helper()
	root, err := os.ReadFile(env["SLIPWAY_ROOT_CA"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	d, err := client.Dial(t.Context(), client.Options{Address: "127.0.0.1:" + env["SLIPWAY_MQTT_PORT"], ServerName: "localhost", Roots: roots, Cert: device, ClientID: "A1"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Publish("locks/A1/state", []byte("{}")); err != nil {
		t.Error(err)
	}
	if err := d.Publish("locks/A2/state", []byte("{}")); err == nil {
		t.Error("it speaks for another lock")
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
