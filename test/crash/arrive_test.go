package crash

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/mqtt"
)

const arrivalTemplate = "arrivals"

// arrivalBody touches everything that a first connection can write.
const arrivalBody = `{"Parameters":{"AWS::IoT::Certificate::SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{
  "ThingName":{"Fn::Join":["-",["sensor",{"Ref":"AWS::IoT::Certificate::SerialNumber"}]]},
  "ThingTypeName":"` + fleetType + `","ThingGroups":["` + fleetGroup + `"],
  "AttributePayload":{"serial":{"Ref":"AWS::IoT::Certificate::SerialNumber"}}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"` + fleetPolicy + `"}}}}`

// TestTheServerIsKilledWhileDevicesArrive kills the server at each named moment
// of the two doors for certificates that connect before they are known.
func TestTheServerIsKilledWhileDevicesArrive(t *testing.T) {
	size, binary, result := sizeOfRun(), build(t), &report{section: arrivalSection}
	for _, s := range backends(t) {
		for _, door := range slices.Sorted(maps.Keys(crash.JustInTime)) {
			for _, point := range crash.JustInTime[door] {
				t.Run(fmt.Sprintf("%s, %s, at %s", s.name, door, point), func(t *testing.T) {
					result.add(arriveAt(t, size, binary, s, door, point))
				})
			}
		}
	}
	result.publish(t)
}

func arriveAt(t *testing.T, size size, binary string, b backend, door, point string) row {
	a := newArrivals(t, newNode(t, binary, b.fresh(t)), door)
	flow := a.run(t, size.devices)
	for i := range size.pointKills {
		life := a.node.start(t, "SLIPWAY_CRASH_AT="+point, fmt.Sprint("SLIPWAY_CRASH_SKIP=", i*size.devices/size.pointKills))
		life.awaitCrash(t, point)
	}
	last := a.node.start(t)
	last.awaitReady(t)
	devices := flow.finish(t)
	last.stop(t)
	r := row{Store: b.name, Point: door + ": " + point, Kills: size.pointKills, Devices: len(devices)}
	a.audit(t, b, devices, &r)
	return r
}

// arrivals is a server whose account registers what a CA signed.
type arrivals struct {
	node    *node
	door    string
	ca      certtest.Cert
	host    string
	roots   *x509.CertPool
	id, key string          // of the admin
	watcher tls.Certificate // hears of who arrives

	next  atomic.Int64
	mu    sync.Mutex
	known map[arn.CertID]int // the factory's table: which device has which certificate
}

// newArrivals sets a server up and kills it as soon as it has answered.
func newArrivals(t *testing.T, n *node, door string) *arrivals {
	t.Helper()
	a := &arrivals{node: n, door: door, ca: certtest.CA(t, "factory"), roots: x509.NewCertPool(), known: map[arn.CertID]int{}}
	life := n.start(t)
	life.awaitReady(t)
	admin := n.admin(t)
	a.host, a.id, a.key = n.endpoints(t).Host, admin.AccessKeyID, admin.Secret
	root, err := os.ReadFile(n.endpoints(t).RootCA)
	if err == nil {
		a.roots.AppendCertsFromPEM(root)
		err = a.setUp(t.Context(), admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	life.kill()
	return a
}

func (a *arrivals) setUp(ctx context.Context, admin *api.Client) error {
	registration := map[string]any{"caCertificate": a.ca.PEM, "certificateMode": certs.SNIOnly}
	if a.door == "jitp" {
		registration["registrationConfig"] = map[string]any{"templateName": arrivalTemplate}
	}
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	for _, call := range []struct {
		method, path string
		query        url.Values
		body         map[string]any
		out          any
	}{
		{http.MethodPost, "/thing-types/" + fleetType, nil, map[string]any{}, nil},
		{http.MethodPost, "/thing-groups/" + fleetGroup, nil, map[string]any{}, nil},
		{http.MethodPost, "/policies/" + fleetPolicy, nil, map[string]any{"policyDocument": policyDocument}, nil},
		{http.MethodPost, "/policies/watcher", nil, map[string]any{"policyDocument": watcherDocument}, nil},
		{http.MethodPost, "/provisioning-templates", nil, map[string]any{"templateName": arrivalTemplate, "type": "JITP", "enabled": true,
			"templateBody": arrivalBody, "provisioningRoleArn": "arn:aws:iam::000000000000:role/provisioning"}, nil},
		{http.MethodPost, "/cacertificate", url.Values{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}, registration, nil},
		{http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, &made},
	} {
		if err := admin.Do(ctx, call.method, call.path, call.query, nil, call.body, call.out); err != nil {
			return fmt.Errorf("%s %s: %w", call.method, call.path, err)
		}
	}
	pair, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.Keys.PrivateKey))
	if err != nil {
		return err
	}
	a.watcher = pair
	return admin.Do(ctx, http.MethodPut, "/target-policies/watcher", nil, nil, map[string]any{"target": made.ARN}, nil)
}

const watcherDocument = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/watcher"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/$aws/events/*"},
 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/$aws/events/*"}]}`

// An arrival is one device and what became of it.
type arrival struct {
	number int
	cert   certtest.Cert
	err    error
}

// arriving is a number of devices that arrive at the same time.
type arriving struct {
	workers sync.WaitGroup
	enough  chan struct{}
	cancel  context.CancelFunc
	mu      sync.Mutex
	done    []*arrival
}

// run keeps so many devices arriving until finish is called. At the JITR door
// somebody decides about them.
func (a *arrivals) run(t *testing.T, together int) *arriving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &arriving{enough: make(chan struct{}), cancel: cancel}
	var watching sync.WaitGroup
	if a.door == "jitr" {
		watching.Go(func() { a.watch(ctx) })
	}
	for range together {
		w.workers.Go(func() {
			for ctx.Err() == nil && w.more() {
				w.add(a.arrive(ctx, t))
			}
		})
	}
	t.Cleanup(func() { cancel(); w.workers.Wait(); watching.Wait() })
	return w
}

func (w *arriving) more() bool {
	select {
	case <-w.enough:
		return false
	default:
		return true
	}
}

func (w *arriving) add(d *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, d)
}

// finish lets no further device begin and gives all that arrived.
func (w *arriving) finish(t *testing.T) []*arrival {
	t.Helper()
	close(w.enough)
	defer time.AfterFunc(hang, w.cancel).Stop()
	w.workers.Wait()
	return w.done
}

// arrive makes the next device and connects with it, again and again, until it
// is accepted and has published under its own name.
func (a *arrivals) arrive(ctx context.Context, t *testing.T) *arrival {
	d := &arrival{number: int(a.next.Add(1))}
	d.cert = a.ca.Sign(t, thingName(d.number), func(c *x509.Certificate) { c.Subject.SerialNumber = serial(d.number) })
	a.mu.Lock()
	a.known[arn.IDOf(d.cert.Raw)] = d.number
	a.mu.Unlock()
	o := a.options(d.cert.TLS(), thingName(d.number))
	if d.number%3 == 2 {
		o.Version = mqtt.V311
	}
	for {
		conn, err := client.Dial(ctx, o)
		if err == nil {
			err = conn.Publish("dt/"+thingName(d.number), []byte("hello"))
			conn.Close()
		}
		if d.err = err; err == nil || !pause(ctx) {
			return d
		}
	}
}

func (a *arrivals) options(cert tls.Certificate, clientID string) client.Options {
	return client.Options{Address: a.node.mqtt, ServerName: a.host, Roots: a.roots, Cert: cert, Version: mqtt.V5, ClientID: clientID}
}

// pause is false when ctx ended first.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(30 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watch does what a function behind a rule does: it hears who arrives, and
// activates who is in the factory's table. What fails it does at the next event.
func (a *arrivals) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if conn, err := client.Dial(ctx, a.options(a.watcher, "watcher")); err == nil {
			stop := context.AfterFunc(ctx, conn.Abort)
			_ = a.listen(ctx, conn)
			stop()
			conn.Close()
		}
		pause(ctx)
	}
}

func (a *arrivals) listen(ctx context.Context, conn *client.Device) error {
	if err := conn.Subscribe("$aws/events/certificates/registered/+"); err != nil {
		return err
	}
	for {
		m, err := conn.Receive()
		if err != nil { // also when nobody came for a while: it connects again
			return err
		}
		var event struct {
			ID arn.CertID `json:"certificateId"`
		}
		if json.Unmarshal(m.Payload, &event) == nil {
			_ = a.decide(ctx, event.ID)
		}
	}
}

// decide makes the thing and activates its certificate last.
func (a *arrivals) decide(ctx context.Context, id arn.CertID) error {
	a.mu.Lock()
	number, known := a.known[id]
	a.mu.Unlock()
	c, err := a.control()
	if !known || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	name, target := thingName(number), arn.Default.Cert(id)
	for _, call := range []struct {
		method, path string
		query        url.Values
		header       http.Header
		body         map[string]any
	}{
		{http.MethodPost, "/things/" + name, nil, nil, map[string]any{"thingTypeName": fleetType, "attributePayload": map[string]any{"attributes": map[string]string{"serial": serial(number)}}}},
		{http.MethodPut, "/thing-groups/addThingToThingGroup", nil, nil, map[string]any{"thingGroupName": fleetGroup, "thingName": name}},
		{http.MethodPut, "/target-policies/" + fleetPolicy, nil, nil, map[string]any{"target": target}},
		{http.MethodPut, "/things/" + name + "/principals", nil, http.Header{"X-Amzn-Principal": {target}}, nil},
		{http.MethodPut, "/certificates/" + string(id), url.Values{"newStatus": {"ACTIVE"}}, nil, nil},
	} {
		if err := c.Do(ctx, call.method, call.path, call.query, call.header, call.body, nil); err != nil {
			return err
		}
	}
	return nil
}

// control is a client of the server's life that runs, if one does.
func (a *arrivals) control() (*api.Client, error) {
	e, err := a.node.readEndpoints()
	return &api.Client{Endpoint: e.Control, Region: arn.Default.Region, AccessKeyID: a.id, Secret: a.key}, err
}

// audit reads the whole registry: each device is one thing with its own
// certificate, and nothing else is there.
func (a *arrivals) audit(t *testing.T, b backend, devices []*arrival, r *row) {
	db, err := b.open(t.Context(), a.node)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := read(t, db)
	watcher := arn.IDOf(a.watcher.Certificate[0])
	delete(now.certs, watcher)
	r.Things, r.Active, r.Pending = len(now.things), now.count(certs.Active), now.count(certs.PendingActivation)
	for _, d := range devices {
		if d.err != nil {
			r.Stuck++
			t.Errorf("%s is stuck: %v", thingName(d.number), d.err)
		}
		now.isDevice(t, d.number, arn.IDOf(d.cert.Raw))
	}
	if len(now.things) != len(devices) || len(now.certs) != len(devices) || len(now.members) != len(devices) {
		t.Errorf("%d devices arrived, and there are %d things, %d certificates and %d members of the group", len(devices), len(now.things), len(now.certs), len(now.members))
	}
	b.drains(t, a.node, db)
}
