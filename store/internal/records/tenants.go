package records

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/tenants"
)

func noTenant(t arn.Tenant) error {
	return fault.New(fault.Missing, "Account %s does not exist in %s.", arn.Clip(t.Account, 40), arn.Clip(t.Region, 40))
}

// A tenantRow receives the columns of a tenant.
type tenantRow struct {
	name, settings    string
	disabled, created int64
}

func (r *tenantRow) record() (*tenants.Record, error) {
	out := &tenants.Record{Tenant: tenant(r.name), Disabled: r.disabled != 0, Created: moment(r.created)}
	if r.settings == "" {
		return out, nil
	}
	return out, json.Unmarshal([]byte(r.settings), &out.Settings)
}

// settings are written as JSON, none as the empty text.
func settings(s tenants.Settings) (string, error) {
	body, err := json.Marshal(s)
	if err != nil || string(body) == "{}" {
		return "", err
	}
	return string(body), nil
}

// Limit gives the limit of a tenant that holds. One transaction looks once.
func (tx *Tx) Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error) {
	if tx.limited == nil || tx.limited.Tenant != t {
		if tx.limited = tx.held.limitsOf(t); tx.limited != nil {
			return tx.limited.Settings.Limits.Of(name), nil
		}
		r, err := tx.Tenant(ctx, t)
		if fault.Is(err, fault.Missing) {
			r, err = &tenants.Record{Tenant: t}, nil
		}
		if err != nil {
			return 0, err
		}
		tx.limited = r
		tx.held.keepLimits(r)
	}
	return tx.limited.Settings.Limits.Of(name), nil
}

// Tenant gives the record of an account in a region.
func (tx *Tx) Tenant(ctx context.Context, t arn.Tenant) (*tenants.Record, error) {
	r := tenantRow{name: t.String()}
	found, err := tx.get(ctx, "SELECT disabled, created, settings FROM tenants WHERE tenant = $1", []any{r.name}, &r.disabled, &r.created, &r.settings)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noTenant(t)
	}
	return r.record()
}

// InsertTenant writes a tenant that is not there yet.
func (tx *Tx) InsertTenant(ctx context.Context, r *tenants.Record) error {
	set, err := settings(r.Settings)
	if err != nil {
		return err
	}
	tx.limited = nil
	tx.held.dropLimits(r.Tenant)
	n, err := tx.exec(ctx, "INSERT INTO tenants (tenant, disabled, created, settings) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		r.Tenant.String(), bit(r.Disabled), micros(r.Created), set)
	return expect(n, err, fault.Exists, "Account %s exists already in %s.", r.Tenant.Account, r.Tenant.Region)
}

// UpdateTenant writes whether the tenant is disabled, and its settings.
func (tx *Tx) UpdateTenant(ctx context.Context, r *tenants.Record) error {
	set, err := settings(r.Settings)
	if err != nil {
		return err
	}
	tx.limited = nil
	tx.held.dropLimits(r.Tenant)
	n, err := tx.exec(ctx, "UPDATE tenants SET disabled = $1, settings = $2 WHERE tenant = $3", bit(r.Disabled), set, r.Tenant.String())
	if err == nil && n == 0 {
		return noTenant(r.Tenant)
	}
	return err
}

// ListTenants orders by account, then region.
func (tx *Tx) ListTenants(ctx context.Context, p ref.Page) ([]*tenants.Record, string, error) {
	l := list{
		name:  "tenants",
		query: "SELECT tenant, disabled, created, settings FROM tenants WHERE 1 = 1",
		order: []string{"tenant"},
	}
	var r tenantRow
	return pages(ctx, tx, l, p, []any{&r.name, &r.disabled, &r.created, &r.settings}, func() (*tenants.Record, mark, bool, error) {
		out, err := r.record()
		return out, mark{r.name}, true, err
	})
}

const keyColumns = "id, account, role, sealed, name, disabled, created, templates"

// A keyRow receives keyColumns.
type keyRow struct {
	id, account, role, name, templates string
	sealed                             []byte
	disabled, created                  int64
}

func (r *keyRow) dest() []any {
	return []any{&r.id, &r.account, &r.role, &r.sealed, &r.name, &r.disabled, &r.created, &r.templates}
}

func (r *keyRow) key() *tenants.AccessKey {
	k := &tenants.AccessKey{
		ID: r.id, Account: r.account, Role: tenants.Role(r.role), Sealed: r.sealed,
		Name: r.name, Disabled: r.disabled != 0, Created: moment(r.created),
	}
	if r.templates != "" { // names hold no comma
		k.Templates = strings.Split(r.templates, ",")
	}
	return k
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
	n, err := tx.exec(ctx, "INSERT INTO access_keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
		k.ID, k.Account, string(k.Role), orEmpty(k.Sealed), k.Name, bit(k.Disabled), micros(k.Created), strings.Join(k.Templates, ","))
	return expect(n, err, fault.Exists, "Access key %s exists already.", k.ID)
}

// UpdateAccessKey writes role, sealed secret, name, templates and whether it is
// disabled.
func (tx *Tx) UpdateAccessKey(ctx context.Context, k *tenants.AccessKey) error {
	n, err := tx.exec(ctx, "UPDATE access_keys SET role = $1, sealed = $2, name = $3, disabled = $4, templates = $5 WHERE id = $6",
		string(k.Role), orEmpty(k.Sealed), k.Name, bit(k.Disabled), strings.Join(k.Templates, ","), k.ID)
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
