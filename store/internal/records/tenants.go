package records

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/tenants"
)

func noTenant(t arn.Tenant) error {
	return fault.New(fault.Missing, "Account %s does not exist in %s.", arn.Clip(t.Account, 40), arn.Clip(t.Region, 40))
}

// Tenant gives the record of an account in a region.
func (tx *Tx) Tenant(ctx context.Context, t arn.Tenant) (*tenants.Record, error) {
	var disabled, created int64
	found, err := tx.get(ctx, "SELECT disabled, created FROM tenants WHERE tenant = $1", []any{t.String()}, &disabled, &created)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noTenant(t)
	}
	return &tenants.Record{Tenant: t, Disabled: disabled != 0, Created: moment(created)}, nil
}

// InsertTenant writes a tenant that is not there yet.
func (tx *Tx) InsertTenant(ctx context.Context, r *tenants.Record) error {
	n, err := tx.exec(ctx, "INSERT INTO tenants (tenant, disabled, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		r.Tenant.String(), bit(r.Disabled), micros(r.Created))
	return expect(n, err, fault.Exists, "Account %s exists already in %s.", r.Tenant.Account, r.Tenant.Region)
}

// UpdateTenant writes whether the tenant is disabled.
func (tx *Tx) UpdateTenant(ctx context.Context, r *tenants.Record) error {
	n, err := tx.exec(ctx, "UPDATE tenants SET disabled = $1 WHERE tenant = $2", bit(r.Disabled), r.Tenant.String())
	if err == nil && n == 0 {
		return noTenant(r.Tenant)
	}
	return err
}

// ListTenants orders by account, then region.
func (tx *Tx) ListTenants(ctx context.Context, p ref.Page) ([]*tenants.Record, string, error) {
	var (
		name              string
		disabled, created int64
	)
	l := list{
		name:  "tenants",
		query: "SELECT tenant, disabled, created FROM tenants WHERE 1 = 1",
		order: []string{"tenant"},
	}
	return pages(ctx, tx, l, p, []any{&name, &disabled, &created}, func() (*tenants.Record, mark, bool, error) {
		r := &tenants.Record{Tenant: tenant(name), Disabled: disabled != 0, Created: moment(created)}
		return r, mark{name}, true, nil
	})
}

const keyColumns = "id, account, role, sealed, name, disabled, created"

// A keyRow receives keyColumns.
type keyRow struct {
	id, account, role, name string
	sealed                  []byte
	disabled, created       int64
}

func (r *keyRow) dest() []any {
	return []any{&r.id, &r.account, &r.role, &r.sealed, &r.name, &r.disabled, &r.created}
}

func (r *keyRow) key() *tenants.AccessKey {
	return &tenants.AccessKey{
		ID: r.id, Account: r.account, Role: tenants.Role(r.role), Sealed: r.sealed,
		Name: r.name, Disabled: r.disabled != 0, Created: moment(r.created),
	}
}

func noKey(id string) error {
	return fault.New(fault.Missing, "Access key %s does not exist.", arn.Clip(id, 128))
}

// AccessKey gives the key with the id, disabled ones included.
func (tx *Tx) AccessKey(ctx context.Context, id string) (*tenants.AccessKey, error) {
	var r keyRow
	found, err := tx.get(ctx, "SELECT "+keyColumns+" FROM access_keys WHERE id = $1", []any{id}, r.dest()...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noKey(id)
	}
	return r.key(), nil
}

// InsertAccessKey writes a key whose id is free, whatever its account.
func (tx *Tx) InsertAccessKey(ctx context.Context, k *tenants.AccessKey) error {
	n, err := tx.exec(ctx, "INSERT INTO access_keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		k.ID, k.Account, string(k.Role), orEmpty(k.Sealed), k.Name, bit(k.Disabled), micros(k.Created))
	return expect(n, err, fault.Exists, "Access key %s exists already.", k.ID)
}

// UpdateAccessKey writes role, sealed secret, name and whether it is disabled.
func (tx *Tx) UpdateAccessKey(ctx context.Context, k *tenants.AccessKey) error {
	n, err := tx.exec(ctx, "UPDATE access_keys SET role = $1, sealed = $2, name = $3, disabled = $4 WHERE id = $5",
		string(k.Role), orEmpty(k.Sealed), k.Name, bit(k.Disabled), k.ID)
	if err == nil && n == 0 {
		return noKey(k.ID)
	}
	return err
}

// ListAccessKeys orders by id.
func (tx *Tx) ListAccessKeys(ctx context.Context, account string, p ref.Page) ([]*tenants.AccessKey, string, error) {
	l := list{
		name:  "access keys",
		query: "SELECT " + keyColumns + " FROM access_keys WHERE account = $1",
		args:  []any{account},
		order: []string{"id"},
	}
	var r keyRow
	return pages(ctx, tx, l, p, r.dest(), func() (*tenants.AccessKey, mark, bool, error) {
		return r.key(), mark{r.id}, true, nil
	})
}
