package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/things"
)

// A fleet says what is in a registry of so many things. Whatever its size, 20
// things share a site, 20 are gateways, and ten serial numbers begin alike.
type fleet struct{ things int }

const (
	hits     = 20 // things of one site, and gateways
	alike    = 10 // serial numbers with the same beginning
	perThing = 3  // certificates; the first of them is ACTIVE and carries the policy
)

func (f fleet) certificates() int   { return f.things * perThing }
func (f fleet) name(i int) string   { return fmt.Sprintf("thing-%07d", i) }
func (f fleet) serial(i int) string { return fmt.Sprintf("SN-%07d", i) }
func (f fleet) site(i int) string   { return fmt.Sprintf("site-%06d", i%(f.things/hits)) }

func (f fleet) kind(i int) string {
	if i%(f.things/hits) == 0 {
		return "gateway"
	}
	return "sensor"
}

// certificate gives the ids in their order, spread over all ids as hashes are:
// rows that come in the order of their index are quicker to load.
func (f fleet) certificate(j int) arn.CertID {
	var b [32]byte
	sum := sha256.Sum256(fmt.Append(nil, j))
	copy(b[8:], sum[:])
	at := uint64(j) * (math.MaxUint64 / uint64(f.certificates()))
	for i := range 8 {
		b[i] = byte(at >> (56 - 8*i))
	}
	return arn.CertID(hex.EncodeToString(b[:]))
}

// load makes the registry: what people would make through the API, and the
// rest straight into the store's tables. Nothing runs on it afterwards.
func (r *subject) load(ctx context.Context, s streams) error {
	if err := r.child.start(ctx, s); err != nil {
		return err
	}
	sample, err := r.furnish(ctx)
	r.child.stop()
	if err != nil {
		return err
	}
	empty, err := r.base.size()
	if err != nil {
		return err
	}
	l := loader{fleet: r.fleet, pem: sample, now: time.Now()}
	for _, part := range []struct {
		count, batch int
		put          func(context.Context, store.Tx, int) error
		bytes        *int64
	}{
		{l.things, 2000, l.thing, &r.thingBytes},
		{l.certificates(), 2000, l.withLinks, &r.bytes},
	} {
		if err := fill(ctx, r.child, part.count, part.batch, part.put); err != nil {
			return err
		}
		if *part.bytes, err = r.base.size(); err != nil {
			return err
		}
		*part.bytes -= empty
	}
	if r.base.settle != nil {
		return r.base.settle()
	}
	return nil
}

// furnish makes types and policies, and a certificate whose text stands for
// all others'.
func (r *subject) furnish(ctx context.Context) (sample string, err error) {
	for _, c := range []struct {
		path string
		body map[string]any
	}{
		{"/thing-types/sensor", map[string]any{}},
		{"/thing-types/gateway", map[string]any{}},
		{"/policies/fleet", map[string]any{"policyDocument": demoDocument}},
		{"/policies/extra", map[string]any{"policyDocument": demoDocument}},
	} {
		if err := r.child.api.Do(ctx, http.MethodPost, c.path, nil, nil, c.body, nil); err != nil {
			return "", err
		}
	}
	csr, err := sampleCSR()
	if err != nil {
		return "", err
	}
	var made struct{ CertificatePEM string }
	err = r.child.api.Do(ctx, http.MethodPost, "/certificates", url.Values{}, nil, map[string]any{"certificateSigningRequest": csr}, &made)
	return made.CertificatePEM, err
}

func sampleCSR() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "bench"}}, key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), err
}

// fill puts count records into the store of a server that does not run, a batch
// in each transaction.
func fill(ctx context.Context, c *child, count, batch int, put func(context.Context, store.Tx, int) error) error {
	db, writers, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for from := 0; from < count; from += batch {
		group.Go(func() error {
			return db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
				for i := from; i < min(from+batch, count); i++ {
					if err := put(ctx, tx, i); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	err = group.Wait()
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

// openStore opens the child's store in this process, and says how many
// transactions at once are worth it.
func openStore(ctx context.Context, c *child) (db store.DB, writers int, err error) {
	if c.store == "sqlite" {
		db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(c.data, "slipway.db")})
		return db, 1, err
	}
	db, err = postgres.Open(ctx, c.store, postgres.Options{})
	return db, 4, err
}

// A loader makes the records of a fleet.
type loader struct {
	fleet
	pem string
	now time.Time
}

func (l *loader) thing(ctx context.Context, tx store.Tx, i int) error {
	return tx.InsertThing(ctx, &things.Thing{
		Tenant: arn.Default, Name: l.name(i), ID: ref.ID(arn.Default.String(), "thing", l.name(i), l.now), Type: l.kind(i),
		Attributes: map[string]string{"serial": l.serial(i), "site": l.site(i), "model": fmt.Sprint("m", i%8)},
		Version:    1, Created: l.now,
	})
}

// withLinks makes a certificate that its thing holds. They end one after the
// other over ten years.
func (l *loader) withLinks(ctx context.Context, tx store.Tx, j int) error {
	id := l.certificate(j)
	c := &certs.Certificate{
		Tenant: arn.Default, ID: id, PEM: l.pem, Status: certs.Inactive, Mode: "DEFAULT",
		Serial: string(id[:32]), Origin: certs.FromCSR, Version: 1, Generation: ref.ID(arn.Default.String(), "cert", string(id), l.now),
		NotBefore: l.now, NotAfter: l.now.Add(time.Duration(float64(j) / float64(l.certificates()) * 10 * 365 * 24 * float64(time.Hour))),
		Created: l.now.Add(time.Duration(j) * time.Millisecond), Modified: l.now,
	}
	if j%perThing == 0 {
		c.Status = certs.Active
	}
	if err := tx.InsertCertificate(ctx, c); err != nil {
		return err
	}
	held := ref.Link{Left: l.name(j / perThing), Right: arn.Default.Cert(id), Data: things.NonExclusive, Created: l.now}
	if _, err := tx.PutLink(ctx, arn.Default, ref.ThingPrincipal, held); err != nil || c.Status != certs.Active {
		return err
	}
	_, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, ref.Link{Left: "fleet", Right: held.Right, Created: l.now})
	return err
}
