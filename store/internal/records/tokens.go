package records

import (
	"bytes"
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

const tokenColumns = "tenant, digest, cert, expires, spent, request, answer"

// A tokenRow receives tokenColumns.
type tokenRow struct {
	tenant, cert            string
	digest, request, answer []byte
	expires, spent          int64
}

func (r *tokenRow) dest() []any {
	return []any{&r.tenant, &r.digest, &r.cert, &r.expires, &r.spent, &r.request, &r.answer}
}

func (r *tokenRow) token() *certs.TokenRecord {
	rec := &certs.TokenRecord{
		Tenant: tenant(r.tenant), CertID: arn.CertID(r.cert),
		Expires: moment(r.expires), Spent: r.spent != 0,
	}
	copy(rec.Digest[:], r.digest)
	copy(rec.Request[:], r.request)
	if len(r.answer) > 0 {
		rec.Answer = bytes.Clone(r.answer)
	}
	return rec
}

// digestOrNothing keeps the zero digest, which says "none", out of the row.
func digestOrNothing(d certs.Digest) []byte {
	if d == (certs.Digest{}) {
		return []byte{}
	}
	return d[:]
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// rowOfToken is the row of r, which keeps nothing of it.
func rowOfToken(r *certs.TokenRecord) tokenRow {
	return tokenRow{
		r.Tenant.String(), string(r.CertID), bytes.Clone(r.Digest[:]), digestOrNothing(r.Request), append([]byte{}, r.Answer...),
		micros(r.Expires), bit(r.Spent),
	}
}

// InsertToken writes the digest of a new ownership token.
func (tx *Tx) InsertToken(ctx context.Context, t *certs.TokenRecord) error {
	r := rowOfToken(t)
	n, err := tx.exec(ctx, "INSERT INTO tokens ("+tokenColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		r.tenant, r.digest, r.cert, r.expires, r.spent, r.request, r.answer)
	if err == nil && n > 0 {
		tx.held.keepToken(ticket{t.Tenant, t.Digest}, r)
	}
	return expect(n, err, fault.Exists, "The certificate ownership token exists already.")
}

func noToken() error {
	return fault.New(fault.Missing, "The certificate ownership token does not exist.")
}

// Token gives the token with the digest, expired and spent ones included.
func (tx *Tx) Token(ctx context.Context, t arn.Tenant, d certs.Digest) (*certs.TokenRecord, error) {
	at := ticket{t, d}
	if r, ok := recall[tokenRow](tx.held, at); ok && !tx.ended {
		return r.token(), nil
	}
	var r tokenRow
	found, err := tx.get(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE digest = $1 AND tenant = $2",
		[]any{d[:], t.String()}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noToken()
	}
	tx.held.keepToken(at, r)
	return r.token(), nil
}

// SpendToken writes Spent, Request and Answer.
func (tx *Tx) SpendToken(ctx context.Context, t *certs.TokenRecord) error {
	at, r := ticket{t.Tenant, t.Digest}, rowOfToken(t)
	known, ok := recall[tokenRow](tx.held, at)
	tx.held.drop(at)
	n, err := tx.exec(ctx, "UPDATE tokens SET spent = $1, request = $2, answer = $3 WHERE digest = $4 AND tenant = $5",
		r.spent, r.request, r.answer, r.digest, r.tenant)
	if err == nil && n == 0 {
		return noToken()
	}
	if err == nil && ok {
		known.spent, known.request, known.answer = r.spent, r.request, r.answer
		tx.held.keepToken(at, known)
	}
	return err
}

// ExpiredTokens runs over all tenants, oldest first.
func (tx *Tx) ExpiredTokens(ctx context.Context, now time.Time, limit int) ([]*certs.TokenRecord, error) {
	var (
		r   tokenRow
		out []*certs.TokenRecord
	)
	err := tx.query(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE expires < $1 ORDER BY expires LIMIT 0 + $2",
		[]any{micros(now), int64(limit)}, r.dest(), func() error {
			out = append(out, r.token())
			return nil
		})
	return out, err
}

// DeleteToken forgets a token and the answer it remembers.
func (tx *Tx) DeleteToken(ctx context.Context, t arn.Tenant, d certs.Digest) error {
	tx.held.drop(ticket{t, d})
	n, err := tx.exec(ctx, "DELETE FROM tokens WHERE digest = $1 AND tenant = $2", d[:], t.String())
	if err == nil && n == 0 {
		return noToken()
	}
	return err
}

// InsertIntent says that the serial is about to be signed.
func (tx *Tx) InsertIntent(ctx context.Context, i *certs.Intent) error {
	n, err := tx.exec(ctx, "INSERT INTO intents (tenant, serial, subject, key_hash, purpose, created) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		i.Tenant.String(), i.Serial, clean(i.Subject), i.KeyHash[:], clean(i.Purpose), micros(i.Created))
	return expect(n, err, fault.Exists, "Serial number %s is in use already.", i.Serial)
}

// DeleteIntent says that the certificate with the serial is stored.
func (tx *Tx) DeleteIntent(ctx context.Context, t arn.Tenant, serial string) error {
	n, err := tx.exec(ctx, "DELETE FROM intents WHERE serial = $1 AND tenant = $2", serial, t.String())
	return expect(n, err, fault.Missing, "No signing is under way for serial number %s.", serial)
}

// StaleIntents runs over all tenants, oldest first.
func (tx *Tx) StaleIntents(ctx context.Context, before time.Time, limit int) ([]*certs.Intent, error) {
	var (
		owner, serial, subject, purpose string
		hash                            []byte
		created                         int64
		out                             []*certs.Intent
	)
	err := tx.query(ctx, "SELECT tenant, serial, subject, key_hash, purpose, created FROM intents WHERE created < $1 ORDER BY created LIMIT 0 + $2",
		[]any{micros(before), int64(limit)}, []any{&owner, &serial, &subject, &hash, &purpose, &created}, func() error {
			i := &certs.Intent{Tenant: tenant(owner), Serial: serial, Subject: subject, Purpose: purpose, Created: moment(created)}
			copy(i.KeyHash[:], hash)
			out = append(out, i)
			return nil
		})
	return out, err
}

const claimColumns = "cert, template, trusted, made_by, expires, created"

// A claimRow receives claimColumns.
type claimRow struct {
	cert, template, madeBy    string
	trusted, expires, created int64
}

func (r *claimRow) dest() []any {
	return []any{&r.cert, &r.template, &r.trusted, &r.madeBy, &r.expires, &r.created}
}

func (r *claimRow) claim(t arn.Tenant) *certs.ClaimRecord {
	return &certs.ClaimRecord{
		Tenant: t, CertID: arn.CertID(r.cert), Template: r.template, Trusted: r.trusted != 0,
		MadeBy: r.madeBy, Expires: moment(r.expires), Created: moment(r.created),
	}
}

// InsertClaim says what a claim certificate is for.
func (tx *Tx) InsertClaim(ctx context.Context, c *certs.ClaimRecord) error {
	n, err := tx.exec(ctx, "INSERT INTO claims (tenant, "+claimColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		c.Tenant.String(), string(c.CertID), c.Template, bit(c.Trusted), c.MadeBy, micros(c.Expires), micros(c.Created))
	return expect(n, err, fault.Exists, "Certificate %s is a claim already.", c.CertID)
}

func noClaim(id arn.CertID) error {
	return fault.New(fault.Missing, "Certificate %s is not a claim.", arn.Clip(string(id), 64))
}

// Claim gives the claim record of a certificate.
func (tx *Tx) Claim(ctx context.Context, t arn.Tenant, id arn.CertID) (*certs.ClaimRecord, error) {
	var r claimRow
	found, err := tx.get(ctx, "SELECT "+claimColumns+" FROM claims WHERE tenant = $1 AND cert = $2",
		[]any{t.String(), string(id)}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noClaim(id)
	}
	return r.claim(t), nil
}

// DeleteClaim makes the certificate an ordinary one.
func (tx *Tx) DeleteClaim(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	n, err := tx.exec(ctx, "DELETE FROM claims WHERE tenant = $1 AND cert = $2", t.String(), string(id))
	if err == nil && n == 0 {
		return noClaim(id)
	}
	return err
}

// ListClaims orders by creation, then certificate id.
func (tx *Tx) ListClaims(ctx context.Context, t arn.Tenant, p ref.Page) ([]*certs.ClaimRecord, string, error) {
	l := list{
		name:  "claims",
		query: "SELECT " + claimColumns + " FROM claims WHERE tenant = $1",
		args:  []any{t.String()},
		order: []string{"#created", "cert"},
	}
	var r claimRow
	return pages(ctx, tx, l, p, r.dest(), func() (*certs.ClaimRecord, mark, bool, error) {
		return r.claim(t), mark{r.created, r.cert}, true, nil
	})
}
