package provision

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
)

// A NewDevice asks for one device by name: a thing and a certificate for the
// device's own key (methods.md, section 1.2).
type NewDevice struct {
	Thing    templates.ThingPlan
	Policies []templates.PolicyPlan
	CSR      string // PEM
	// Renew gives a thing that exists this certificate, and switches off the
	// others that it has from here. Else such a thing is refused. Without
	// Policies the new certificate has those of the ones switched off.
	Renew bool
}

// Device makes a device whole: thing, certificate, policies and attachments in
// one transaction, and the certificate is ACTIVE. Who asks again with the same
// key, because the answer was lost, gets the certificate of the first time;
// existed says so.
func (s *Service) Device(ctx context.Context, t arn.Tenant, n NewDevice) (c *certs.Certificate, existed bool, err error) {
	defer s.stage("device")()
	linted, err := s.CA.LintCSR([]byte(n.CSR), ca.Rules{ForbiddenNames: s.Reserved})
	if err != nil {
		return nil, false, err
	}
	p := &templates.Plan{Thing: &n.Thing, Policies: n.Policies, Certificate: &templates.CertificatePlan{Status: templates.Active, PrincipalType: templates.NonExclusive}}
	d := device{n: &n, plan: p, key: certs.Digest(linted.KeyDigest())}
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error { return d.foresee(ctx, s.deviceWriter(tx, t)) })
	if err != nil || d.same != nil {
		return d.same, d.same != nil, deviceFailure(err)
	}
	crash.Point("direct.foreseen")
	c, err = s.issue(ctx, t, linted, ca.Profile{}, certs.FromCSR, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		c.Status = certs.Inactive
		if err := keepCertificate(ctx, tx, c); err != nil {
			return err
		}
		return d.write(ctx, s.deviceWriter(tx, t), c)
	})
	return c, false, deviceFailure(err)
}

// deviceFailure puts what the writer says of a template's parts into the words
// of a request that has none.
func deviceFailure(err error) error {
	if !fault.Is(err, fault.MissingPart) {
		return err
	}
	_, text := fault.Show(err)
	words := strings.NewReplacer("the template names", "the request names", "the template attaches", "the request attaches", "which the template names", "which the request names")
	return fault.Wrap(fault.Missing, err, "%s", words.Replace(text))
}

func (s *Service) deviceWriter(tx store.Tx, t arn.Tenant) *writer {
	return &writer{tx: tx, tenant: t, now: s.Now(), reprovision: templates.Keep}
}

// A device is one Device on its way.
type device struct {
	n    *NewDevice
	plan *templates.Plan
	key  certs.Digest
	same *certs.Certificate // for the same key, from an earlier request
}

// foresee finds what would refuse the device, so that nothing is signed in
// vain, or what an earlier request of the same key made.
func (d *device) foresee(ctx context.Context, w *writer) error {
	d.same = nil
	old, _, err := w.existing(ctx, d.n.Thing.Name)
	if err != nil {
		return err
	}
	if old == nil {
		return w.foresee(ctx, d.plan)
	}
	held, err := w.held(ctx, old.Name)
	if err != nil {
		return err
	}
	for _, c := range held {
		if c.Status == certs.Active && keyOf(c) == d.key {
			d.same = c
			return nil
		}
	}
	if !d.n.Renew {
		return thingExists(w.tenant, old.Name)
	}
	return w.foresee(ctx, &templates.Plan{Policies: d.n.Policies})
}

func thingExists(t arn.Tenant, name string) error {
	e := fault.New(fault.Exists, "Thing %s exists already, with another key.", name)
	e.ResourceID, e.ResourceARN = name, t.Thing(name)
	return e
}

// write makes the device, or gives one that exists its new certificate.
func (d *device) write(ctx context.Context, w *writer, c *certs.Certificate) error {
	old, _, err := w.existing(ctx, d.n.Thing.Name)
	if err != nil {
		return err
	}
	if old == nil {
		return w.write(ctx, d.plan, c)
	}
	if !d.n.Renew {
		return thingExists(w.tenant, old.Name)
	}
	kept, err := w.switchOff(ctx, old.Name)
	if err != nil {
		return err
	}
	if len(d.plan.Policies) == 0 {
		for _, name := range kept {
			if err := w.policy(ctx, templates.PolicyPlan{Name: name}, w.tenant.Cert(c.ID)); err != nil {
				return err
			}
		}
	}
	if err := things.BindPrincipal(ctx, w.tx, w.tenant, old.Name, w.tenant.Cert(c.ID), templates.NonExclusive, w.now); err != nil {
		return err
	}
	for _, p := range d.plan.Policies {
		if err := w.policy(ctx, p, w.tenant.Cert(c.ID)); err != nil {
			return err
		}
	}
	return certs.SetStatus(ctx, w.tx, c, certs.Active, w.now)
}

// switchOff makes the certificates of a thing INACTIVE, those that were signed
// here; one that was brought along is its owner's. It gives the policies that
// they have, each once.
func (w *writer) switchOff(ctx context.Context, thing string) (policies []string, err error) {
	held, err := w.held(ctx, thing)
	if err != nil {
		return nil, err
	}
	for _, c := range held {
		if c.Status != certs.Active || c.Origin == certs.Registered {
			continue
		}
		links, _, err := w.tx.Lefts(ctx, w.tenant, ref.PolicyTarget, w.tenant.Cert(c.ID), ref.All)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if !slices.Contains(policies, l.Left) {
				policies = append(policies, l.Left)
			}
		}
		if err := certs.SetStatus(ctx, w.tx, c, certs.Inactive, w.now); err != nil {
			return nil, err
		}
	}
	return policies, nil
}

// held gives the certificates that are attached to a thing.
func (w *writer) held(ctx context.Context, thing string) (out []*certs.Certificate, err error) {
	links, _, err := w.tx.Rights(ctx, w.tenant, ref.ThingPrincipal, thing, ref.All)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		_, id, ok := strings.Cut(l.Right, ":cert/")
		if !ok {
			continue
		}
		c, err := w.tx.Certificate(ctx, w.tenant, arn.CertID(id))
		if fault.Is(err, fault.Missing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// keyOf is the digest of the certificate's public key.
func keyOf(c *certs.Certificate) certs.Digest {
	block, _ := pem.Decode([]byte(c.PEM))
	if block == nil {
		return certs.Digest{}
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return certs.Digest{}
	}
	return sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
}
