// Package cuts measures how soon a device is cut that may no longer be
// connected: the real program on one side, two hundred devices on the other.
package cuts

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sim"
)

// hang is when the test gives up on something that should have happened long
// ago. It only bounds a failing run.
const hang = 2 * time.Minute

// account is the devices'; the default one cannot be switched off.
const (
	account = "444455556666"
	region  = "us-east-1"
	policy  = `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
	 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/dt/*"}]}`
	watcherPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
)

// A site is the program that serves, and who speaks to it.
type site struct {
	t        *testing.T
	operator *api.Client // of the server
	admin    *api.Client // of the devices' account
	address  string
	endpoint string // the account's
	roots    *x509.CertPool
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slipway")
	cmd := exec.Command("go", "build", "-o", binary, "github.com/slipway-iot/slipway/cmd/slipway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// serve runs `slipway serve` until the test ends, and adds the account.
func serve(t *testing.T) *site {
	t.Helper()
	binary, data := build(t), filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(binary, "serve", "--data", data, "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0", "--control", "127.0.0.1:0",
		"--failures", "1e6", "--burst", "1000000", "--pool", "1", "--log-level", "error")
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	must(0, cmd.Start())(t)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Ready"); {
	}
	var env map[string]string
	must(0, json.Unmarshal(must(exec.Command(binary, "env", "--json", "--data", data).Output())(t), &env))(t)
	var at struct{ MQTT, Control, RootCA string }
	must(0, json.Unmarshal(must(os.ReadFile(filepath.Join(data, "endpoints.json")))(t), &at))(t)
	s := &site{t: t, address: at.MQTT, roots: x509.NewCertPool()}
	s.roots.AppendCertsFromPEM(must(os.ReadFile(at.RootCA))(t))
	s.operator = &api.Client{Endpoint: at.Control, Region: region, AccessKeyID: env["AWS_ACCESS_KEY_ID"], Secret: env["AWS_SECRET_ACCESS_KEY"]}
	s.open()
	return s
}

// open adds the account and its two policies.
func (s *site) open() {
	s.t.Helper()
	var made struct {
		Endpoint string                                        `json:"endpointAddress"`
		Key      struct{ AccessKeyID, SecretAccessKey string } `json:"accessKey"`
	}
	body := map[string]any{"accountId": account, "region": region, "adminKey": true}
	must(0, s.operator.Do(s.t.Context(), http.MethodPost, "/slipway/accounts", nil, nil, body, &made))(s.t)
	s.endpoint = made.Endpoint
	s.admin = &api.Client{Endpoint: s.operator.Endpoint, Region: region, AccessKeyID: made.Key.AccessKeyID, Secret: made.Key.SecretAccessKey}
	for name, document := range map[string]string{"device": policy, "watcher": watcherPolicy} {
		must(0, s.call(http.MethodPost, api.Path("policies", name), nil, nil, map[string]string{"policyDocument": document}, nil))(s.t)
	}
}

func (s *site) call(method, path string, query url.Values, header http.Header, body, out any) error {
	return s.admin.Do(s.t.Context(), method, path, query, header, body, out)
}

// certificate makes an ACTIVE certificate with a policy.
func (s *site) certificate(policy string) (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	csr, err := sim.CSR(key, "device")
	if err != nil {
		return tls.Certificate{}, "", err
	}
	var made struct{ CertificateID, CertificatePEM string }
	err = s.call(http.MethodPost, "/certificates", url.Values{"setAsActive": {"true"}}, nil, map[string]string{"certificateSigningRequest": string(csr)}, &made)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	block, _ := pem.Decode([]byte(made.CertificatePEM))
	if block == nil {
		return tls.Certificate{}, "", fmt.Errorf("no certificate: %q", made.CertificatePEM)
	}
	cert := tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
	err = s.call(http.MethodPut, api.Path("target-policies", policy), nil, nil, map[string]string{"target": certARN(made.CertificateID)}, nil)
	return cert, made.CertificateID, err
}

func certARN(id string) string { return "arn:aws:iot:" + region + ":" + account + ":cert/" + id }

func (s *site) options(cert tls.Certificate, clientID string, v mqtt.Version) client.Options {
	return client.Options{Address: s.address, ServerName: s.endpoint, Roots: s.roots, Cert: cert, ClientID: clientID, Version: v, Timeout: hang}
}

// watch connects somebody who hears of every connection that ends.
func (s *site) watch() *client.Device {
	s.t.Helper()
	cert, _, err := s.certificate("watcher")
	must(0, err)(s.t)
	d := must(client.Dial(s.t.Context(), s.options(cert, "watcher", mqtt.V5)))(s.t)
	must(0, d.Subscribe("$aws/events/presence/disconnected/+"))(s.t)
	s.t.Cleanup(d.Abort)
	return d
}

// all does something for every device, so many at a time.
func (s *site) all(devices []*device, do func(context.Context, *device) error) {
	s.t.Helper()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, d := range devices {
		group.Go(func() error { return do(s.t.Context(), d) })
	}
	must(0, group.Wait())(s.t)
}

// must takes a result that has to be there.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
