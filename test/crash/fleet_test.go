package crash

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

// The names of the fleet.
const (
	askingTemplate = "fleet-asked"  // asks a function about each device
	directTemplate = "fleet-direct" // asks none, which is another way through the store
	fleetType      = "sensor"
	fleetGroup     = "line-1"
	fleetPolicy    = "fleet-device"
	fleetFunction  = "list"
)

const policyDocument = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/dt/${iot:Connection.Thing.ThingName}"}]}`

// templateBody touches everything that a registration can write.
const templateBody = `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{
  "ThingName":{"Fn::Join":["-",["sensor",{"Ref":"SerialNumber"}]]},
  "ThingTypeName":"` + fleetType + `","ThingGroups":["` + fleetGroup + `"],
  "AttributePayload":{"serial":{"Ref":"SerialNumber"}}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"` + fleetPolicy + `"}}},
 "DeviceConfiguration":{"site":"lab"}}`

func serial(i int) string { return fmt.Sprintf("%06d", i) }

func thingName(i int) string { return "sensor-" + serial(i) }

// A fleet is a server that has all that its devices need.
type fleet struct {
	node      *node
	endpoints server.Endpoints
	roots     *x509.CertPool
	claims    map[string]tls.Certificate // by template
	serials   int                        // on the list
}

// newFleet sets a server up and kills it as soon as it has answered: what an
// operator was told must survive as well.
func (k *killer) newFleet(t *testing.T, serials int) *fleet {
	t.Helper()
	f := &fleet{node: newNode(t, k.binary, k.backend.fresh(t)), serials: serials, claims: map[string]tls.Certificate{}}
	life := f.node.start(t)
	life.awaitReady(t)
	f.endpoints = f.node.endpoints(t)
	if err := f.setUp(t.Context(), f.node.admin(t)); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(f.endpoints.RootCA)
	if err != nil {
		t.Fatal(err)
	}
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(root)
	life.kill()
	return f
}

func (n *node) endpoints(t *testing.T) server.Endpoints {
	t.Helper()
	e, err := n.readEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// readEndpoints gives those of the life that runs, or of the last one.
func (n *node) readEndpoints() (e server.Endpoints, err error) {
	b, err := os.ReadFile(filepath.Join(n.data, server.EndpointsFile))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	return e, err
}

// admin calls the control API with the first admin's key, as `slipway env`
// finds it.
func (n *node) admin(t *testing.T) *api.Client {
	t.Helper()
	key, created, err := seal.Open(n.data, "", nil)
	if err != nil || created {
		t.Fatalf("the data folder has no key: %v", err)
	}
	admin, err := server.ReadAdmin(n.data, key)
	if err != nil {
		t.Fatal(err)
	}
	return &api.Client{Endpoint: n.endpoints(t).Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
}

// setUp makes the fleet through the control API.
func (f *fleet) setUp(ctx context.Context, c *api.Client) error {
	var list strings.Builder
	list.WriteString("SerialNumber\n")
	for i := range f.serials {
		list.WriteString(serial(i) + "\n")
	}
	for _, call := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPost, "/thing-types/" + fleetType, map[string]any{}},
		{http.MethodPost, "/thing-groups/" + fleetGroup, map[string]any{}},
		{http.MethodPost, "/policies/" + fleetPolicy, map[string]any{"policyDocument": policyDocument}},
		{http.MethodPut, "/slipway/functions/" + fleetFunction, map[string]any{"kind": "allowlist", "csv": list.String()}},
	} {
		if err := c.Do(ctx, call.method, call.path, nil, nil, call.body, nil); err != nil {
			return fmt.Errorf("%s %s: %w", call.method, call.path, err)
		}
	}
	if err := f.makeTemplate(ctx, c, directTemplate, nil); err != nil {
		return err
	}
	return f.makeTemplate(ctx, c, askingTemplate, map[string]string{"payloadVersion": "2020-04-01",
		"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:" + fleetFunction})
}

// makeTemplate makes a template with a claim for it.
func (f *fleet) makeTemplate(ctx context.Context, c *api.Client, name string, hook map[string]string) error {
	body := map[string]any{"templateName": name, "enabled": true, "templateBody": templateBody,
		"provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning"}
	if hook != nil {
		body["preProvisioningHook"] = hook
	}
	if err := c.Do(ctx, http.MethodPost, "/provisioning-templates", nil, nil, body, nil); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	var claim struct {
		CertificatePEM string `json:"certificatePem"`
		PrivateKey     string `json:"privateKey"`
	}
	if err := c.Do(ctx, http.MethodPost, "/slipway/claims", nil, nil, map[string]any{"templateName": name}, &claim); err != nil {
		return fmt.Errorf("claim for %s: %w", name, err)
	}
	pair, err := tls.X509KeyPair([]byte(claim.CertificatePEM), []byte(claim.PrivateKey))
	f.claims[name] = pair
	return err
}

// device is the i-th virtual device: half of them speak JSON, a third MQTT
// 3.1.1, a quarter is not asked about, and a few have no key of their own.
func (f *fleet) device(i int) *sim.Device {
	template := askingTemplate
	if i%4 >= 3 {
		template = directTemplate
	}
	d := &sim.Device{
		Connect: client.Options{Address: f.node.mqtt, ServerName: f.endpoints.Host, Roots: f.roots, Cert: f.claims[template],
			Version: mqtt.V5, ClientID: "boot-" + serial(i)},
		Template: template, Parameters: map[string]string{"SerialNumber": serial(i)},
		Format: wire.JSON, ServerKeys: i%12 == 5,
	}
	if i%2 == 1 {
		d.Format = wire.CBOR
	}
	if i%3 == 2 {
		d.Connect.Version = mqtt.V311
	}
	return d
}

// A unit is one device and what became of it.
type unit struct {
	number  int
	device  *sim.Device
	err     error   // why it gave up
	refused []error // each no that it was told; a crash is no reason for one
}

// provision goes through the flow, however often the server dies.
func (u *unit) provision(ctx context.Context) {
	_, conn, err := u.device.Persist(ctx, sim.Backoff{First: 20 * time.Millisecond, Most: 100 * time.Millisecond}, func(err error) {
		var rejected *client.Rejected
		var refused *client.Refused
		if errors.As(err, &rejected) || errors.As(err, &refused) {
			u.refused = append(u.refused, err)
		}
	})
	if u.err = err; conn != nil {
		conn.Close()
	}
}

// A flow is a number of devices that go through the flow at the same time.
type flow struct {
	workers sync.WaitGroup
	next    atomic.Int64
	enough  chan struct{} // closed: the devices in the flow are the last
	cancel  context.CancelFunc

	mu    sync.Mutex
	units []*unit
}

// run keeps so many devices in the flow: whenever one is done the next begins,
// until finish is called or the list of serials ends.
func (f *fleet) run(t *testing.T, together int) *flow {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &flow{enough: make(chan struct{}), cancel: cancel}
	for range together {
		w.workers.Go(func() {
			for i := int(w.next.Add(1)) - 1; i < f.serials && w.more(); i = int(w.next.Add(1)) - 1 {
				u := &unit{number: i, device: f.device(i)}
				u.provision(ctx)
				w.add(u)
			}
		})
	}
	t.Cleanup(func() { cancel(); w.workers.Wait() })
	return w
}

func (w *flow) more() bool {
	select {
	case <-w.enough:
		return false
	default:
		return true
	}
}

func (w *flow) add(u *unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.units = append(w.units, u)
}

// finish lets no further device begin and gives all that began. Those that are
// not done long after are stuck.
func (w *flow) finish() []*unit {
	close(w.enough)
	defer time.AfterFunc(hang, w.cancel).Stop()
	w.workers.Wait()
	return w.units
}

// reconnect has every device connect once more under its own identity and
// publish under its own name.
func (f *fleet) reconnect(t *testing.T, units []*unit) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, u := range units {
		group.Go(func() error {
			if err := u.greet(t.Context()); err != nil {
				return fmt.Errorf("%s cannot connect as itself: %w", thingName(u.number), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func (u *unit) greet(ctx context.Context) error {
	o := u.device.Connect
	o.Cert, o.ClientID = u.device.Progress.Cert, u.device.Progress.Thing
	conn, err := client.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Publish("dt/"+u.device.Progress.Thing, []byte("hello"))
}
