package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// A crowd is devices of an authority of their own, each with a certificate.
// They share one key, which no server notices: it is the certificate that
// tells them apart.
type crowd struct {
	key     *ecdsa.PrivateKey
	ca      *x509.Certificate
	caPEM   []byte
	devices []tls.Certificate
}

// crowdPolicy is the policy of all of them: a device connects as its thing, and
// speaks and listens below bench/.
const crowdPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/bench/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/bench/*"}]}`

// name is a device's thing and client id.
func (c *crowd) name(i int) string { return fmt.Sprintf("device-%05d", i) }

func newCrowd(n int) (*crowd, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	c := &crowd{key: key, ca: form, caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), devices: make([]tls.Certificate, n)}
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i := range n {
		group.Go(func() (err error) {
			c.devices[i], err = c.sign(i, nil)
			return err
		})
	}
	return c, group.Wait()
}

// sign makes the certificate of a device, or what change makes of it.
func (c *crowd) sign(i int, change func(*x509.Certificate)) (tls.Certificate, error) {
	form := &x509.Certificate{
		SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: c.name(i)}, NotBefore: c.ca.NotBefore, NotAfter: c.ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(form)
	}
	der, err := x509.CreateCertificate(rand.Reader, form, c.ca, &c.key.PublicKey, c.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key, Leaf: leaf}, err
}

// serve runs a server that knows the devices, their things and their policy.
// It writes them into the store itself, while no server runs on it.
func (c *crowd) serve(ctx context.Context, s streams, server *child) error {
	if err := server.start(ctx, s); err != nil {
		return err
	}
	err := server.api.Do(ctx, http.MethodPost, "/policies/bench", nil, nil, map[string]any{"policyDocument": crowdPolicy}, nil)
	server.stop()
	if err == nil {
		err = fill(ctx, server, len(c.devices), 1000, c.put)
	}
	if err == nil {
		err = server.start(ctx, s)
	}
	return err
}

// put writes one device: its thing, its certificate, and what holds them
// together.
func (c *crowd) put(ctx context.Context, tx store.Tx, i int) error {
	leaf, now, name := c.devices[i].Leaf, time.Now(), c.name(i)
	id := arn.IDOf(leaf.Raw)
	err := tx.InsertThing(ctx, &things.Thing{Tenant: arn.Default, Name: name, ID: ref.ID(arn.Default.String(), "thing", name, now), Version: 1, Created: now})
	if err != nil {
		return err
	}
	err = tx.InsertCertificate(ctx, &certs.Certificate{
		Tenant: arn.Default, ID: id, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
		Status: certs.Active, Mode: certs.DefaultMode, Serial: hex.EncodeToString(leaf.SerialNumber.Bytes()), Origin: certs.Registered,
		Version: 1, Generation: ref.ID(arn.Default.String(), "cert", string(id), now),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Created: now, Modified: now,
	})
	if err != nil {
		return err
	}
	held := ref.Link{Left: name, Right: arn.Default.Cert(id), Data: things.NonExclusive, Created: now}
	if _, err := tx.PutLink(ctx, arn.Default, ref.ThingPrincipal, held); err != nil {
		return err
	}
	_, err = tx.PutLink(ctx, arn.Default, ref.PolicyTarget, ref.Link{Left: "bench", Right: held.Right, Created: now})
	return err
}

// rootsOf reads what devices of a server must trust.
func rootsOf(server *child) (*x509.CertPool, error) {
	root, err := os.ReadFile(server.e.RootCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return pool, nil
}
