// Package sim is virtual devices: the claim flow over real mutual TLS and MQTT,
// with the time of each stage. The demo and the benchmarks run them.
package sim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/wire"
)

// A Device is one virtual device. It is for one goroutine.
type Device struct {
	Connect    client.Options // with the claim; ClientID is the device's
	Template   string
	Parameters map[string]string
	Format     wire.Format
	ServerKeys bool              // the server makes the key; else a CSR is sent
	Key        *ecdsa.PrivateKey // of the CSR; made when nil
	// Progress is how far the device is; zero when it comes from the factory.
	Progress Progress
	// Began is called when a stage begins, if set.
	Began func(stage string)
}

// A Stage is one part of the flow and how long it took.
type Stage struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took"`
}

// Result is what became of a device.
type Result struct {
	Progress
	Stages []Stage
}

// Stages names the stages in their order.
var Stages = []string{"tls", "connect", "subscribe", "create", "register", "tls again", "connect again"}

// Provision takes the device through the flow, or through what is left of it:
// claim connection, new certificate, registration, and the connection under its
// own identity, which stays open. The result holds the stages that were
// finished, error or not.
func (d *Device) Provision(ctx context.Context) (*Result, *client.Device, error) {
	r := &Result{}
	conn, err := d.goOn(ctx, r)
	r.Progress = d.Progress
	return r, conn, err
}

func (d *Device) goOn(ctx context.Context, r *Result) (*client.Device, error) {
	if !d.Progress.Registered {
		if err := d.register(ctx, r); err != nil {
			return nil, err
		}
	}
	return d.dial(ctx, d.own(), r, " again")
}

// own is how the device connects once it is registered.
func (d *Device) own() client.Options {
	o := d.Connect
	o.Cert = d.Progress.Cert
	if d.Progress.Thing != "" {
		o.ClientID = d.Progress.Thing
	}
	return o
}

func (d *Device) dial(ctx context.Context, o client.Options, r *Result, suffix string) (*client.Device, error) {
	d.begin("tls" + suffix)
	conn, err := client.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	r.Stages = append(r.Stages, Stage{"tls" + suffix, conn.TLS}, Stage{"connect" + suffix, conn.Connect})
	return conn, nil
}

func (d *Device) begin(stage string) {
	if d.Began != nil {
		d.Began(stage)
	}
}

// timed runs one stage.
func (d *Device) timed(r *Result, name string, f func() error) error {
	d.begin(name)
	start := time.Now()
	err := f()
	if err == nil {
		r.Stages = append(r.Stages, Stage{name, time.Since(start)})
	}
	return err
}

// register goes from the claim connection to the registered thing. A device
// that holds a certificate with its token asks for no other.
func (d *Device) register(ctx context.Context, r *Result) error {
	topic, payload, err := d.createRequest()
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx, d.Connect, r, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	registerTopic := wire.RegisterTopic(d.Template, d.Format)
	err = d.timed(r, "subscribe", func() error {
		return conn.Subscribe(wire.Accepted(topic), wire.Rejected(topic), wire.Accepted(registerTopic), wire.Rejected(registerTopic))
	})
	if err != nil {
		return err
	}
	if d.Progress.Token == "" {
		if err := d.timed(r, "create", func() error { return d.create(conn, topic, payload) }); err != nil {
			return err
		}
	}
	return d.timed(r, "register", func() error { return d.redeem(conn, registerTopic) })
}

func (d *Device) create(conn *client.Device, topic string, payload []byte) error {
	answer, err := conn.Request(topic, d.Format, payload)
	if err != nil {
		return err
	}
	created, err := wire.DecodeCreateAnswer(d.Format, answer)
	if err != nil {
		return err
	}
	return d.keep(created)
}

func (d *Device) redeem(conn *client.Device, topic string) error {
	req := wire.RegisterRequest{Token: d.Progress.Token, Parameters: d.Parameters}
	answer, err := conn.Request(topic, d.Format, req.Encode(d.Format))
	if badToken(err) {
		d.Progress = Progress{}
	}
	if err != nil {
		return err
	}
	registered, err := wire.DecodeRegisterAnswer(d.Format, answer)
	if err != nil {
		return err
	}
	p := &d.Progress
	p.Registered, p.Thing, p.Configuration = true, registered.ThingName, registered.DeviceConfiguration
	return nil
}

// createRequest makes what the device asks for its certificate with.
func (d *Device) createRequest() (topic string, payload []byte, err error) {
	if d.ServerKeys {
		return wire.CreateKeysTopic(d.Format), nil, nil
	}
	if d.Key == nil {
		if d.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return "", nil, err
		}
	}
	csr, err := CSR(d.Key, d.Connect.ClientID)
	return wire.CreateFromCSRTopic(d.Format), wire.EncodeCreateFromCSR(d.Format, csr), err
}

// CSR makes a signing request in PEM.
func CSR(key *ecdsa.PrivateKey, commonName string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}

// keep puts key and certificate together; that they belong together is
// checked.
func (d *Device) keep(c wire.CreateAnswer) (err error) {
	p := Progress{CertificateID: c.CertificateID, Token: c.Token}
	if p.Cert, err = d.pair(c); err == nil {
		d.Progress = p
	}
	return err
}

func (d *Device) pair(c wire.CreateAnswer) (tls.Certificate, error) {
	if d.ServerKeys {
		return tls.X509KeyPair([]byte(c.CertificatePEM), []byte(c.PrivateKey))
	}
	block, _ := pem.Decode([]byte(c.CertificatePEM))
	if block == nil {
		return tls.Certificate{}, errors.New("the answer holds no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	if !d.Key.PublicKey.Equal(leaf.PublicKey) {
		return tls.Certificate{}, fmt.Errorf("the certificate %s is for another key", c.CertificateID)
	}
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: d.Key, Leaf: leaf}, nil
}
