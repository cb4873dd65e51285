package interop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sim"
)

// A second from the answer of UpdateCertificate to the closed socket is the
// promise, for the slowest of 200 devices that are connected at the same time.
const (
	promised = time.Second
	devices  = 200
)

// A fleet is a template and a claim on a running server, and how to reach it.
type fleet struct {
	api   *api.Client
	roots *x509.CertPool
	mqtt  string
	claim tls.Certificate
}

func TestRevocationCutsWithinASecond(t *testing.T) {
	f := start(t).fleet(t)
	connected, ids := f.connect(t)
	took := make([]time.Duration, devices)
	for i, device := range connected {
		closed := make(chan time.Time, 1)
		go func() { closed <- untilClosed(device) }()
		path := api.Path("certificates", ids[i])
		if err := f.api.Do(t.Context(), http.MethodPut, path, url.Values{"newStatus": {"REVOKED"}}, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		took[i] = max(0, (<-closed).Sub(answered))
	}
	slices.Sort(took)
	t.Logf("answered to closed: median %v, slowest of %d %v", took[devices/2], devices, took[devices-1])
	if slowest := took[devices-1]; slowest > promised {
		t.Errorf("the slowest of %d devices was cut off %v after the answer; %v is promised", devices, slowest, promised)
	}
}

// untilClosed waits for the socket's end; DISCONNECT of MQTT 5 comes before it.
func untilClosed(d *client.Device) time.Time {
	for !errors.Is(d.Wait(), client.ErrClosed) {
	}
	return time.Now()
}

// connect provisions all devices, half of them with MQTT 3.1.1, and leaves
// them connected.
func (f *fleet) connect(t *testing.T) ([]*client.Device, []string) {
	t.Helper()
	connected, ids := make([]*client.Device, devices), make([]string, devices)
	var all errgroup.Group
	all.SetLimit(16)
	for i := range devices {
		all.Go(func() error {
			serial := fmt.Sprintf("%03d", i)
			version := mqtt.V5
			if i%2 == 1 {
				version = mqtt.V311
			}
			d := &sim.Device{
				Connect: client.Options{Address: f.mqtt, ServerName: "localhost", Roots: f.roots, Cert: f.claim,
					Version: version, ClientID: "boot-" + serial},
				Template: "revoked", Parameters: map[string]string{"SerialNumber": serial},
			}
			result, conn, err := d.Provision(t.Context())
			if err != nil {
				return err
			}
			connected[i], ids[i] = conn, result.CertificateID
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range connected {
			d.Abort()
		}
	})
	return connected, ids
}

// fleet makes the fleet through the control API, as the scripts do.
func (s *slipway) fleet(t *testing.T) *fleet {
	t.Helper()
	env := map[string]string{}
	for _, pair := range s.env {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	f := &fleet{
		api: &api.Client{Endpoint: env["AWS_ENDPOINT_URL_IOT"], Region: env["AWS_REGION"],
			AccessKeyID: env["AWS_ACCESS_KEY_ID"], Secret: env["AWS_SECRET_ACCESS_KEY"]},
		mqtt: "127.0.0.1:" + env["SLIPWAY_MQTT_PORT"], roots: x509.NewCertPool(),
	}
	root, err := os.ReadFile(env["SLIPWAY_ROOT_CA"])
	if err != nil || !f.roots.AppendCertsFromPEM(root) {
		t.Fatalf("the root certificate cannot be read: %v", err)
	}
	f.post(t, api.Path("thing-types", "revoked"), map[string]any{}, nil)
	f.post(t, api.Path("policies", "revoked-device"), map[string]any{"policyDocument": named(t, "device-policy.json")}, nil)
	f.post(t, "/provisioning-templates", map[string]any{
		"templateName": "revoked", "enabled": true, "templateBody": named(t, "template.json"),
		"provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning",
	}, nil)
	var claim struct {
		CertificatePEM string `json:"certificatePem"`
		PrivateKey     string `json:"privateKey"`
	}
	f.post(t, "/slipway/claims", map[string]any{"templateName": "revoked"}, &claim)
	if f.claim, err = tls.X509KeyPair([]byte(claim.CertificatePEM), []byte(claim.PrivateKey)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) post(t *testing.T, path string, body, out any) {
	t.Helper()
	if err := f.api.Do(t.Context(), http.MethodPost, path, nil, nil, body, out); err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
}

// named reads a document of this folder for the fleet.
func named(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !json.Valid(b) {
		t.Fatalf("%s: %v", file, err)
	}
	return string(bytes.ReplaceAll(b, []byte("@NAME@"), []byte("revoked")))
}
