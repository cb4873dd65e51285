package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/templates"
)

// A handed is a device that a person brought in, one at a time.
type handed struct {
	Door          string `json:"door"`
	Serial        string `json:"serial"`
	Thing         string `json:"thing"`
	CertificateID string `json:"certificateId"`
	Reason        string `json:"reason"` // empty: it is in
	took          time.Duration
}

// The names of the installer's part of the fleet.
const (
	trustedTemplate = "InstalledLocks"
	trustedFunction = "installed-list"
	neighbour       = "TL-100000" // who has used up the last device's claim
)

// byInstaller shows temporary claims: an installer asks for one for each
// device. The first device's serial is not on the list; the last one comes with
// a claim that a neighbour has used up.
func (d *demo) byInstaller(ctx context.Context) error {
	if err := d.makeInstalled(ctx); err != nil {
		return err
	}
	d.say("installer   asks for a claim for each device: five minutes, one device, one template")
	used, err := d.temporaryClaim(ctx)
	if err != nil {
		return err
	}
	if err := d.install(ctx, used, &handed{Serial: neighbour}); err != nil {
		return err
	}
	return d.hand(ctx, "trusted", func(ctx context.Context, i int, h *handed) error {
		claim := used
		if i < d.cmd.Devices-1 {
			var err error
			if claim, err = d.temporaryClaim(ctx); err != nil {
				return err
			}
		}
		return d.install(ctx, claim, h)
	}, "is not on the list", "is good for 1")
}

// makeInstalled makes a list and a template as makeFunction and makeTemplate
// do, for other serials.
func (d *demo) makeInstalled(ctx context.Context) error {
	list := "SerialNumber\n" + neighbour + "\n"
	for i := 1; i < d.cmd.Devices; i++ {
		list += doorSerial("trusted", i) + "\n"
	}
	err := d.api.Do(ctx, http.MethodPut, "/slipway/functions/"+trustedFunction, nil, nil, map[string]any{"kind": "allowlist", "csv": list}, nil)
	if err != nil {
		return err
	}
	f, err := templates.ParseFile(smartLock)
	if err != nil {
		return err
	}
	return d.api.Do(ctx, http.MethodPost, "/provisioning-templates", nil, nil, map[string]any{
		"templateName": trustedTemplate, "enabled": true, "provisioningRoleArn": f.ProvisioningRoleARN, "templateBody": f.Body,
		"preProvisioningHook": map[string]string{"payloadVersion": "2020-04-01",
			"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:" + trustedFunction},
	}, nil)
}

// install sends a device through the flow.
func (d *demo) install(ctx context.Context, claim tls.Certificate, h *handed) error {
	v := &sim.Device{Connect: d.options(claim, "boot-"+h.Serial), Template: trustedTemplate, Parameters: map[string]string{"SerialNumber": h.Serial}}
	result, conn, err := v.Provision(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	h.Thing, h.CertificateID = result.Thing, string(result.CertificateID)
	return conn.Publish("locks/"+h.Thing+"/hello", []byte("hello"))
}

func (d *demo) temporaryClaim(ctx context.Context) (cert tls.Certificate, err error) {
	var out struct{ CertificatePEM, PrivateKey string }
	err = d.api.Do(ctx, http.MethodPost, api.Path("slipway", "trusted-claims", trustedTemplate), nil, nil, map[string]any{"devices": 1}, &out)
	if err != nil {
		return cert, err
	}
	return tls.X509KeyPair([]byte(out.CertificatePEM), []byte(out.PrivateKey))
}

// byHand shows devices that an operator makes: thing, certificate and policy in
// one call, for a key that is made beside it. The first one names a thing type
// that does not exist; the last one a thing that does.
func (d *demo) byHand(ctx context.Context) error {
	d.say("operator    makes each device with one call, for a key that the server never sees")
	one := func(ctx context.Context, name, kind string) (*deviceKey, *handed, error) {
		key, err := newDeviceKey("p256")
		if err != nil {
			return nil, nil, err
		}
		var out struct{ CertificateID, CertificatePEM string }
		err = d.api.Do(ctx, http.MethodPost, "/slipway/devices", nil, nil, map[string]any{
			"thingName": name, "thingTypeName": kind, "policies": []string{demoPolicy}, "certificateSigningRequest": key.request,
		}, &out)
		key.request = out.CertificatePEM
		return key, &handed{Thing: name, CertificateID: out.CertificateID}, err
	}
	taken := "SmartLock-" + doorSerial("direct", 0) + "-taken"
	if _, _, err := one(ctx, taken, demoType); err != nil {
		return err
	}
	return d.hand(ctx, "direct", func(ctx context.Context, i int, h *handed) error {
		name, kind := "SmartLock-"+h.Serial, demoType
		switch i {
		case 0:
			kind = "NoSuchType"
		case d.cmd.Devices - 1:
			name = taken
		}
		key, made, err := one(ctx, name, kind)
		if err != nil {
			return err
		}
		cert, err := tls.X509KeyPair([]byte(key.request), []byte(key.pem))
		if err != nil {
			return err
		}
		conn, err := client.Dial(ctx, d.options(cert, name))
		if err != nil {
			return err
		}
		defer conn.Close()
		h.Thing, h.CertificateID = made.Thing, made.CertificateID
		return conn.Publish("locks/"+name+"/hello", []byte("hello"))
	}, "NoSuchType", "exists already")
}

func doorSerial(door string, i int) string { return strings.ToUpper(door[:1]) + serial(i)[1:] }

// hand brings all devices in, some at a time, and fails unless exactly the first
// and the last were refused, for the reasons given.
func (d *demo) hand(ctx context.Context, door string, enter func(context.Context, int, *handed) error, first, last string) error {
	all := make([]*handed, d.cmd.Devices)
	bring := func(i int) {
		h := &handed{Door: door, Serial: doorSerial(door, i)}
		begun := time.Now()
		h.Reason = reason(enter(ctx, i, h))
		h.took = time.Since(begun)
		all[i] = h
		d.handedLine(h)
	}
	var devices errgroup.Group
	devices.SetLimit(8)
	for i := range len(all) - 1 {
		devices.Go(func() error { bring(i); return ctx.Err() })
	}
	if err := devices.Wait(); err != nil {
		return err
	}
	bring(len(all) - 1) // after its neighbour
	return d.handedEnd(door, all, first, last)
}

func (d *demo) handedLine(h *handed) {
	switch {
	case h.Reason == "":
		d.say("provisioned %s  %-28s in %d ms", h.Serial, h.Thing, h.took.Milliseconds())
	case d.width == 0:
		d.say("refused     %s  %s", h.Serial, h.Reason)
	default:
		d.say("refused     %s\n%*s%s", h.Serial, afterClock, "", wrap(h.Reason, d.width, afterClock))
	}
}

func (d *demo) handedEnd(door string, all []*handed, first, last string) error {
	in := 0
	var rows []doorRow
	for _, h := range all {
		if h.Reason == "" {
			in++
		}
		rows = append(rows, doorRow{h.Serial, h.Thing, h.CertificateID, fmt.Sprintf("%.1f", float64(h.took.Microseconds())/1000), h.Reason})
		if d.cmd.JSON {
			if err := json.NewEncoder(d.s.out).Encode(h); err != nil {
				return err
			}
		}
	}
	if !d.cmd.JSON {
		d.doorTable("ms", rows)
		fmt.Fprintf(d.s.out, "\n%d devices at the %s door, %d provisioned.\n", len(all), door, in)
	}
	a, z := all[0].Reason, all[len(all)-1].Reason
	if in != len(all)-2 || !strings.Contains(a, first) || !strings.Contains(z, last) {
		return errors.New("door " + door + " did not end as it should: exactly the first and the last device are to be refused")
	}
	return nil
}
