package main

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
)

// demoArrivals makes a lock of a certificate's subject.
const demoArrivals = `{
  "Parameters": {"AWS::IoT::Certificate::SerialNumber": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Fn::Join": ["-", ["SmartLock", {"Ref": "AWS::IoT::Certificate::SerialNumber"}]]},
      "ThingTypeName": "SmartLock"}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "SmartLockPolicy"}}
  }
}`

// A guest is a device that connects before it is known, with a certificate of
// the factory's CA.
type guest struct {
	Door          string     `json:"door"`
	Serial        string     `json:"serial"`
	Thing         string     `json:"thing"`
	CertificateID arn.CertID `json:"certificateId"`
	Tries         int        `json:"tries"`
	Reason        string     `json:"reason"` // empty: it was accepted
	cert          tls.Certificate
}

// A party is the guests of one door. What decides about them differs.
type party struct {
	*demo
	door    string
	factory *factory

	mu     sync.Mutex
	guests []*guest
	turned map[arn.CertID]string // who is not let in, and why
}

// justInTime shows devices that a template of their CA makes things of. The
// first one's subject lacks the serial that the template asks for; the last one
// is of a CA that only has the name of ours.
func (d *demo) justInTime(ctx context.Context) error {
	p, err := d.invite(ctx, "jitp", map[string]any{"templateBody": demoArrivals, "roleArn": "arn:aws:iam::000000000000:role/provisioning"})
	if err != nil {
		return err
	}
	d.say("CA          registered with a template: what it signed becomes a thing when it connects")
	if p.guests[0].cert, err = p.factory.device(pkix.Name{CommonName: "SmartLock"}); err != nil {
		return err
	}
	return p.end(p.receive(ctx), "Cannot resolve reference value", "whose key did not sign it")
}

// byDecision shows devices about whom somebody decides who hears that they
// came. The first one is not in his list; the last one is as above.
func (d *demo) byDecision(ctx context.Context) error {
	p, err := d.invite(ctx, "jitr", nil)
	if err != nil {
		return err
	}
	d.say("CA          registered without a template: that somebody came is announced")
	conn, err := d.listen(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, conn.Abort)
	var listening errgroup.Group
	listening.Go(func() error { p.decide(ctx, conn); return nil })
	err = p.receive(ctx)
	if stop() {
		conn.Abort()
	}
	_ = listening.Wait()
	return p.end(err, "is not in the list", "whose key did not sign it")
}

// invite registers a new CA and makes a device for each serial.
func (d *demo) invite(ctx context.Context, door string, registration map[string]any) (*party, error) {
	f, err := newFactory("Example lock CA, " + door)
	if err != nil {
		return nil, err
	}
	stranger, err := newFactory("Example lock CA, " + door)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"caCertificate": f.pem(), "certificateMode": "SNI_ONLY"}
	if registration != nil {
		body["registrationConfig"] = registration
	}
	if err := d.api.Do(ctx, http.MethodPost, "/cacertificate", url.Values{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}, nil, body, nil); err != nil {
		return nil, err
	}
	p := &party{demo: d, door: door, factory: f, turned: map[arn.CertID]string{}}
	for i := range d.cmd.Devices {
		g := &guest{Door: door, Serial: strings.ToUpper(door[3:]) + serial(i)[1:]}
		g.Thing = "SmartLock-" + g.Serial
		signer := f
		if i == d.cmd.Devices-1 {
			signer = stranger
		}
		if g.cert, err = signer.device(pkix.Name{CommonName: g.Thing, SerialNumber: g.Serial}); err != nil {
			return nil, err
		}
		p.guests = append(p.guests, g)
	}
	return p, nil
}

// receive has all devices connect, some at a time.
func (p *party) receive(ctx context.Context) error {
	var devices errgroup.Group
	devices.SetLimit(8)
	for _, g := range p.guests {
		g.CertificateID = arn.IDOf(g.cert.Certificate[0])
		devices.Go(func() error {
			begun := time.Now()
			err := p.enter(ctx, g)
			switch g.Reason = reason(err); {
			case err == nil:
				p.say("provisioned %s  at connection %d, in %d ms", g.Serial, g.Tries, time.Since(begun).Milliseconds())
			case ctx.Err() != nil:
				return ctx.Err()
			case p.width == 0:
				p.say("refused     %s  %s", g.Serial, g.Reason)
			default:
				p.say("refused     %s\n%*s%s", g.Serial, afterClock, "", wrap(g.Reason, p.width, afterClock))
			}
			return nil
		})
	}
	return devices.Wait()
}

// enter connects until the device is accepted. It gives up at the second no of
// a template, or once somebody has decided against it.
func (p *party) enter(ctx context.Context, g *guest) error {
	for {
		g.Tries++
		conn, err := client.Dial(ctx, p.options(g.cert, g.Thing))
		if err == nil {
			defer conn.Close()
			return conn.Publish("locks/"+g.Thing+"/hello", []byte("hello"))
		}
		var refused *client.Refused
		if !errors.As(err, &refused) || p.door == "jitp" && g.Tries == 2 || !strings.Contains(refused.Reason, "onnect again") && !strings.Contains(refused.Reason, "next connection") {
			return err
		}
		if why := p.against(g.CertificateID); why != "" {
			return errors.New(why)
		}
		if p.door == "jitr" && !pausing(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (p *party) against(id arn.CertID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turned[id]
}

func pausing(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *demo) options(cert tls.Certificate, clientID string) client.Options {
	e := d.srv.Endpoints()
	return client.Options{Address: e.MQTT, ServerName: e.Host, Roots: d.roots, Cert: cert, ClientID: clientID}
}

// listen connects who hears of arrivals, with a certificate made for that.
func (d *demo) listen(ctx context.Context) (*client.Device, error) {
	const document = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/porter"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/$aws/events/*"},
 {"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/$aws/events/*"}]}`
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	if err := d.api.Do(ctx, http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, nil, &made); err != nil {
		return nil, err
	}
	if err := d.api.Do(ctx, http.MethodPost, "/policies/Porter", nil, nil, map[string]any{"policyDocument": document}, nil); err != nil {
		return nil, err
	}
	if err := d.api.Do(ctx, http.MethodPut, "/target-policies/Porter", nil, nil, map[string]any{"target": made.ARN}, nil); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.Keys.PrivateKey))
	if err != nil {
		return nil, err
	}
	o := d.options(cert, "porter")
	o.Timeout = time.Minute
	conn, err := client.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	d.say("porter      listens to $aws/events/certificates/registered/+ and has a list")
	return conn, conn.Subscribe("$aws/events/certificates/registered/+")
}

// decide does what a function behind a rule does, until the connection ends:
// who is in the list gets a thing, a policy, and last an ACTIVE certificate.
// The event may come twice, and every step may be repeated.
func (p *party) decide(ctx context.Context, conn *client.Device) {
	list := map[arn.CertID]*guest{}
	for _, g := range p.guests[1:] {
		list[arn.IDOf(g.cert.Certificate[0])] = g
	}
	for {
		m, err := conn.Receive()
		if err != nil {
			return
		}
		var event struct {
			ID arn.CertID `json:"certificateId"`
		}
		if json.Unmarshal(m.Payload, &event) != nil {
			continue
		}
		why := fmt.Sprintf("Certificate %s is not in the list of those who may come in.", event.ID)
		if g := list[event.ID]; g != nil {
			why = reason(p.admit(ctx, g, event.ID))
		}
		p.mu.Lock()
		p.turned[event.ID] = why
		p.mu.Unlock()
	}
}

func (p *party) admit(ctx context.Context, g *guest, id arn.CertID) error {
	target := arn.Default.Cert(id)
	for _, call := range []struct {
		method, path string
		query        url.Values
		header       http.Header
		body         map[string]any
	}{
		{http.MethodPost, "/things/" + g.Thing, nil, nil, map[string]any{"thingTypeName": demoType}},
		{http.MethodPut, "/target-policies/" + demoPolicy, nil, nil, map[string]any{"target": target}},
		{http.MethodPut, "/things/" + g.Thing + "/principals", nil, http.Header{"X-Amzn-Principal": {target}}, nil},
		{http.MethodPut, "/certificates/" + string(id), url.Values{"newStatus": {"ACTIVE"}}, nil, nil},
	} {
		if err := p.api.Do(ctx, call.method, call.path, call.query, call.header, call.body, nil); err != nil {
			return err
		}
	}
	return nil
}

// end tells how many came in, and fails unless exactly the first and the last
// were refused, and why they should have been.
func (p *party) end(err error, first, last string) error {
	if err != nil {
		return err
	}
	in := 0
	var rows []doorRow
	for _, g := range p.guests {
		if g.Reason == "" {
			in++
		}
		rows = append(rows, doorRow{g.Serial, g.Thing, string(g.CertificateID), fmt.Sprint(g.Tries), g.Reason})
		if !p.cmd.JSON {
			continue
		}
		if err := json.NewEncoder(p.s.out).Encode(g); err != nil {
			return err
		}
	}
	if !p.cmd.JSON {
		p.doorTable("tries", rows)
		fmt.Fprintf(p.s.out, "\n%d devices at the %s door, %d provisioned.\n", len(p.guests), p.door, in)
	}
	if in != len(p.guests)-2 || !strings.Contains(p.guests[0].Reason, first) || !strings.Contains(p.guests[len(p.guests)-1].Reason, last) {
		return fmt.Errorf("the demo did not end as it should at the %s door: exactly the first device and the last are to be refused", p.door)
	}
	return nil
}
