package records

import (
	"context"
	"math"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

const certColumns = "id, pem, status, mode, ca, serial, origin, hidden, not_before, not_after, created, modified, version, generation"

// A certRow receives certColumns.
type certRow struct {
	id, pem, status, mode, ca, serial, origin, generation string
	hidden, notBefore, notAfter, created, modified        int64
	version                                               int64
}

func (r *certRow) dest() []any {
	return []any{&r.id, &r.pem, &r.status, &r.mode, &r.ca, &r.serial, &r.origin, &r.hidden,
		&r.notBefore, &r.notAfter, &r.created, &r.modified, &r.version, &r.generation}
}

// rowOf gives a certificate as it is stored.
func rowOf(c *certs.Certificate) certRow {
	return certRow{
		id: string(c.ID), pem: c.PEM, status: string(c.Status), mode: c.Mode, ca: c.CAID,
		serial: c.Serial, origin: string(c.Origin), generation: c.Generation,
		hidden: bit(c.Hidden), notBefore: micros(c.NotBefore), notAfter: micros(c.NotAfter),
		created: micros(c.Created), modified: micros(c.Modified), version: int64(c.Version),
	}
}

func (r *certRow) certificate(t arn.Tenant) *certs.Certificate {
	return &certs.Certificate{
		Tenant: t, ID: arn.CertID(r.id), PEM: r.pem,
		Status: certs.Status(r.status), Mode: r.mode, CAID: r.ca,
		Serial: r.serial, Origin: certs.Origin(r.origin), Hidden: r.hidden != 0,
		NotBefore: moment(r.notBefore), NotAfter: moment(r.notAfter),
		Created: moment(r.created), Modified: moment(r.modified),
		Version: int(r.version), Generation: r.generation,
	}
}

// Certificate gives the certificate with the id, hidden or not.
func (tx *Tx) Certificate(ctx context.Context, t arn.Tenant, id arn.CertID) (*certs.Certificate, error) {
	if r, ok := recall[certRow](tx.held, leaf{t, id}); ok && !tx.ended {
		return r.certificate(t), nil
	}
	var r certRow
	found, err := tx.get(ctx, "SELECT "+certColumns+" FROM certificates WHERE tenant = $1 AND id = $2",
		[]any{t.String(), string(id)}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noCertificate(id)
	}
	tx.held.keepCertificate(t, r)
	return r.certificate(t), nil
}

func noCertificate(id arn.CertID) error {
	return fault.New(fault.Missing, "Certificate %s does not exist.", arn.Clip(string(id), 64))
}

// InsertCertificate writes a certificate whose id is new to the tenant. Nothing
// is tied to one that does not exist: who ties makes sure of that, and who deletes
// one unties it before.
func (tx *Tx) InsertCertificate(ctx context.Context, c *certs.Certificate) error {
	r := rowOf(c)
	n, err := tx.exec(ctx, `INSERT INTO certificates (tenant, `+certColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
		c.Tenant.String(), r.id, r.pem, r.status, r.mode, r.ca, r.serial, r.origin, r.hidden,
		r.notBefore, r.notAfter, r.created, r.modified, r.version, r.generation)
	if err == nil && n > 0 {
		tx.held.keepCertificate(c.Tenant, r)
		for _, k := range []ref.Kind{ref.ThingPrincipal, ref.PolicyTarget} {
			tx.held.keepTies(tied{c.Tenant, k, c.Tenant.Cert(c.ID)}, nil)
		}
	}
	return expect(n, err, fault.Exists, "Certificate %s exists already.", c.ID)
}

// UpdateCertificate writes status, modification time and version.
func (tx *Tx) UpdateCertificate(ctx context.Context, c *certs.Certificate) error {
	at := leaf{c.Tenant, c.ID}
	known, ok := recall[certRow](tx.held, at)
	tx.held.drop(at)
	r := rowOf(c)
	n, err := tx.exec(ctx, "UPDATE certificates SET status = $1, modified = $2, version = $3 WHERE tenant = $4 AND id = $5",
		r.status, r.modified, r.version, c.Tenant.String(), r.id)
	if err == nil && n == 0 {
		return noCertificate(c.ID)
	}
	if err == nil && ok {
		known.status, known.modified, known.version = r.status, r.modified, r.version
		tx.held.keepCertificate(c.Tenant, known)
	}
	return err
}

// DeleteCertificate removes the certificate alone; its links are the caller's.
func (tx *Tx) DeleteCertificate(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	tx.held.drop(leaf{t, id})
	n, err := tx.exec(ctx, "DELETE FROM certificates WHERE tenant = $1 AND id = $2", t.String(), string(id))
	if err == nil && n == 0 {
		return noCertificate(id)
	}
	return err
}

// ListCertificates orders by creation, then id.
func (tx *Tx) ListCertificates(ctx context.Context, t arn.Tenant, p ref.Page) ([]*certs.Certificate, string, error) {
	l := list{
		name:  "certificates",
		query: "SELECT " + certColumns + " FROM certificates WHERE hidden = 0 AND tenant = $1",
		args:  []any{t.String()},
		order: []string{"#created", "id"},
	}
	var r certRow
	return pages(ctx, tx, l, p, r.dest(), func() (*certs.Certificate, mark, bool, error) {
		return r.certificate(t), mark{r.created, r.id}, true, nil
	})
}

// ExpiringCertificates goes once along the index of moments: each count begins
// where the one before it ended.
func (tx *Tx) ExpiringCertificates(ctx context.Context, before []time.Time) ([]int64, error) {
	counts := make([]int64, len(before))
	var sum int64
	from := int64(math.MinInt64)
	for i, b := range before {
		_, err := tx.get(ctx, "SELECT COUNT(*) FROM certificates WHERE status = 'ACTIVE' AND not_after >= $1 AND not_after < $2",
			[]any{from, micros(b)}, &counts[i])
		if err != nil {
			return nil, err
		}
		sum += counts[i]
		counts[i], from = sum, micros(b)
	}
	return counts, nil
}
