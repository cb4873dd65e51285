package records

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

const authorityColumns = "id, subject, pem, status, mode, automatic, template, body, not_before, not_after, created, modified, version, generation"

// An authorityRow receives authorityColumns.
type authorityRow struct {
	id, pem, status, mode, template, body, generation string
	subject                                           []byte
	automatic, notBefore, notAfter, created, modified int64
	version                                           int64
}

func (r *authorityRow) dest() []any {
	return []any{&r.id, &r.subject, &r.pem, &r.status, &r.mode, &r.automatic, &r.template, &r.body,
		&r.notBefore, &r.notAfter, &r.created, &r.modified, &r.version, &r.generation}
}

// An authorityBody is what nothing is looked up by. The name of a template has
// a column of its own.
type authorityBody struct {
	Template string            `json:"template,omitempty"`
	RoleARN  string            `json:"role,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

func (r *authorityRow) authority(t arn.Tenant) (*certs.Authority, error) {
	var body authorityBody
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		return nil, damaged(err, "CA certificate "+r.id)
	}
	a := &certs.Authority{
		Tenant: t, ID: arn.CertID(r.id), PEM: r.pem, Status: certs.Status(r.status), Mode: r.mode,
		Automatic: r.automatic != 0, Tags: body.Tags,
		NotBefore: moment(r.notBefore), NotAfter: moment(r.notAfter), Created: moment(r.created), Modified: moment(r.modified),
		Version: int(r.version), Generation: r.generation,
	}
	copy(a.Subject[:], r.subject)
	if g := (certs.Registration{TemplateBody: body.Template, RoleARN: body.RoleARN, TemplateName: r.template}); g != (certs.Registration{}) {
		a.Registration = &g
	}
	return a, nil
}

// packAuthority gives the columns template and body.
func packAuthority(a *certs.Authority) (template, body string, err error) {
	b := authorityBody{Tags: a.Tags}
	if r := a.Registration; r != nil {
		b.Template, b.RoleARN = r.TemplateBody, r.RoleARN
		template = r.TemplateName
	}
	text, err := json.Marshal(b)
	return template, string(text), err
}

func noAuthority(id arn.CertID) error {
	return fault.New(fault.Missing, "CA certificate %s does not exist.", arn.Clip(string(id), 64))
}

// Authority gives the CA certificate with the id.
func (tx *Tx) Authority(ctx context.Context, t arn.Tenant, id arn.CertID) (*certs.Authority, error) {
	var r authorityRow
	found, err := tx.get(ctx, "SELECT "+authorityColumns+" FROM authorities WHERE id = $1 AND tenant = $2",
		[]any{string(id), t.String()}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noAuthority(id)
	}
	return r.authority(t)
}

// InsertAuthority writes a CA certificate whose id is new to the tenant.
func (tx *Tx) InsertAuthority(ctx context.Context, a *certs.Authority) error {
	template, body, err := packAuthority(a)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, `INSERT INTO authorities (tenant, `+authorityColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
		a.Tenant.String(), string(a.ID), a.Subject[:], a.PEM, string(a.Status), a.Mode, bit(a.Automatic), template, body,
		micros(a.NotBefore), micros(a.NotAfter), micros(a.Created), micros(a.Modified), int64(a.Version), a.Generation)
	return expect(n, err, fault.Exists, "CA certificate %s exists already.", a.ID)
}

// UpdateAuthority writes what a CA certificate does not say itself.
func (tx *Tx) UpdateAuthority(ctx context.Context, a *certs.Authority) error {
	template, body, err := packAuthority(a)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE authorities SET status = $1, automatic = $2, template = $3, body = $4, modified = $5, version = $6
		WHERE id = $7 AND tenant = $8`,
		string(a.Status), bit(a.Automatic), template, body, micros(a.Modified), int64(a.Version), string(a.ID), a.Tenant.String())
	if err == nil && n == 0 {
		return noAuthority(a.ID)
	}
	return err
}

// DeleteAuthority removes the CA certificate alone.
func (tx *Tx) DeleteAuthority(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	n, err := tx.exec(ctx, "DELETE FROM authorities WHERE id = $1 AND tenant = $2", string(id), t.String())
	if err == nil && n == 0 {
		return noAuthority(id)
	}
	return err
}

// ListAuthorities orders by creation, then id.
func (tx *Tx) ListAuthorities(ctx context.Context, t arn.Tenant, template string, p ref.Page) ([]*certs.Authority, string, error) {
	l := list{
		name:  "authorities",
		query: "SELECT " + authorityColumns + " FROM authorities WHERE tenant = $1",
		args:  []any{t.String()},
		order: []string{"#created", "id"},
	}
	if template != "" { // said twice, so that the index of those that have one serves
		l.query += " AND template = $2 AND template <> ''"
		l.args = append(l.args, template)
	}
	var r authorityRow
	return pages(ctx, tx, l, p, r.dest(), func() (*certs.Authority, mark, bool, error) {
		a, err := r.authority(t)
		return a, mark{r.created, r.id}, true, err
	})
}

// AuthoritiesNamed gives the CA certificates with the subject, ordered by id.
func (tx *Tx) AuthoritiesNamed(ctx context.Context, t arn.Tenant, subject certs.Digest) ([]*certs.Authority, error) {
	var (
		r   authorityRow
		out []*certs.Authority
	)
	err := tx.query(ctx, "SELECT "+authorityColumns+" FROM authorities WHERE tenant = $1 AND subject = $2 ORDER BY id",
		[]any{t.String(), subject[:]}, r.dest(), func() error {
			a, err := r.authority(t)
			out = append(out, a)
			return err
		})
	return out, err
}

// ListCertificatesByCA orders by creation, then id.
func (tx *Tx) ListCertificatesByCA(ctx context.Context, t arn.Tenant, ca arn.CertID, p ref.Page) ([]*certs.Certificate, string, error) {
	l := list{
		name:  "certificates by ca",
		query: "SELECT " + certColumns + " FROM certificates WHERE hidden = 0 AND tenant = $1 AND ca = $2 AND ca <> ''",
		args:  []any{t.String(), string(ca)},
		order: []string{"#created", "id"},
	}
	var r certRow
	return pages(ctx, tx, l, p, r.dest(), func() (*certs.Certificate, mark, bool, error) {
		return r.certificate(t), mark{r.created, r.id}, true, nil
	})
}

// AuthorityHolders gives the tenants that have the CA certificate in DEFAULT
// mode.
func (tx *Tx) AuthorityHolders(ctx context.Context, id arn.CertID) ([]arn.Tenant, error) {
	return tx.holders(ctx, "authorities", id)
}

// CertificateHolders is AuthorityHolders for certificates.
func (tx *Tx) CertificateHolders(ctx context.Context, id arn.CertID) ([]arn.Tenant, error) {
	return tx.holders(ctx, "certificates", id)
}

// holders asks each tenant in turn: an index by id alone would cost every
// certificate that is issued, for a question about the few that are brought
// along. The count keeps PostgreSQL from walking the table's index as a whole.
// Where it may, one in some 150 runs of the contract's test, whose tables are
// empty, ended with two holders; since then none did.
func (tx *Tx) holders(ctx context.Context, table string, id arn.CertID) ([]arn.Tenant, error) {
	var (
		name string
		out  []arn.Tenant
	)
	query := "SELECT t.tenant FROM tenants AS t WHERE (SELECT COUNT(*) FROM " + table + ` AS c
		WHERE c.tenant = t.tenant AND c.id = $1 AND c.mode = 'DEFAULT') > 0 ORDER BY t.tenant`
	err := tx.query(ctx, query, []any{string(id)}, []any{&name}, func() error {
		out = append(out, tenant(name))
		return nil
	})
	return out, err
}
