package trail

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
)

// Each method here notes what it is about to write, and lets the inner
// transaction write it. The kinds are those of ARNs, and of the store's links
// and documents.
//
// Intents are not noted: they are the signer's own notes, each gone with the
// certificate that it announced. Nor are attempts, which devices leave, nor
// the trail itself.

// Each runs the parts one after the other: what one of them finds before it
// writes is noted in this Tx.
func (tx *Tx) Each(ctx context.Context, n int, f func(context.Context, store.Tx, int) error) error {
	for i := range n {
		if err := f(ctx, tx, i); err != nil {
			return err
		}
	}
	return nil
}

// touching is touch for a resource that get reads by its name.
func touching[T any](ctx context.Context, tx *Tx, at place, get func(context.Context, arn.Tenant, string) (T, error)) error {
	return tx.touch(ctx, at, func(ctx context.Context) (any, error) { return get(ctx, at.tenant, at.name) })
}

func (tx *Tx) certificate(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	return tx.touch(ctx, place{t, "cert", string(id), ""}, func(ctx context.Context) (any, error) { return tx.Certificate(ctx, t, id) })
}

func (tx *Tx) InsertCertificate(ctx context.Context, c *certs.Certificate) error {
	if err := tx.certificate(ctx, c.Tenant, c.ID); err != nil {
		return err
	}
	return tx.Tx.InsertCertificate(ctx, c)
}

func (tx *Tx) UpdateCertificate(ctx context.Context, c *certs.Certificate) error {
	if err := tx.certificate(ctx, c.Tenant, c.ID); err != nil {
		return err
	}
	return tx.Tx.UpdateCertificate(ctx, c)
}

func (tx *Tx) DeleteCertificate(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	if err := tx.certificate(ctx, t, id); err != nil {
		return err
	}
	return tx.Tx.DeleteCertificate(ctx, t, id)
}

func (tx *Tx) authority(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	return tx.touch(ctx, place{t, "cacert", string(id), ""}, func(ctx context.Context) (any, error) { return tx.Authority(ctx, t, id) })
}

func (tx *Tx) InsertAuthority(ctx context.Context, a *certs.Authority) error {
	if err := tx.authority(ctx, a.Tenant, a.ID); err != nil {
		return err
	}
	return tx.Tx.InsertAuthority(ctx, a)
}

func (tx *Tx) UpdateAuthority(ctx context.Context, a *certs.Authority) error {
	if err := tx.authority(ctx, a.Tenant, a.ID); err != nil {
		return err
	}
	return tx.Tx.UpdateAuthority(ctx, a)
}

func (tx *Tx) DeleteAuthority(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	if err := tx.authority(ctx, t, id); err != nil {
		return err
	}
	return tx.Tx.DeleteAuthority(ctx, t, id)
}

// token names an ownership token by the certificate that it buys.
func (tx *Tx) token(ctx context.Context, t arn.Tenant, d certs.Digest, id arn.CertID) error {
	return tx.touch(ctx, place{t, "ownership-token", string(id), ""}, func(ctx context.Context) (any, error) { return tx.Token(ctx, t, d) })
}

func (tx *Tx) InsertToken(ctx context.Context, r *certs.TokenRecord) error {
	if err := tx.token(ctx, r.Tenant, r.Digest, r.CertID); err != nil {
		return err
	}
	return tx.Tx.InsertToken(ctx, r)
}

func (tx *Tx) SpendToken(ctx context.Context, r *certs.TokenRecord) error {
	if err := tx.token(ctx, r.Tenant, r.Digest, r.CertID); err != nil {
		return err
	}
	return tx.Tx.SpendToken(ctx, r)
}

func (tx *Tx) DeleteToken(ctx context.Context, t arn.Tenant, d certs.Digest) error {
	r, err := tx.Token(ctx, t, d)
	if err == nil {
		err = tx.token(ctx, t, d, r.CertID)
	}
	if err != nil {
		return err
	}
	return tx.Tx.DeleteToken(ctx, t, d)
}

func (tx *Tx) claim(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	return tx.touch(ctx, place{t, "claim", string(id), ""}, func(ctx context.Context) (any, error) { return tx.Claim(ctx, t, id) })
}

func (tx *Tx) InsertClaim(ctx context.Context, c *certs.ClaimRecord) error {
	if err := tx.claim(ctx, c.Tenant, c.CertID); err != nil {
		return err
	}
	return tx.Tx.InsertClaim(ctx, c)
}

func (tx *Tx) DeleteClaim(ctx context.Context, t arn.Tenant, id arn.CertID) error {
	if err := tx.claim(ctx, t, id); err != nil {
		return err
	}
	return tx.Tx.DeleteClaim(ctx, t, id)
}

func (tx *Tx) link(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) error {
	at := place{t, string(k), left, right}
	if tx.known[at] {
		return nil
	}
	if tx.links == maxLinks {
		tx.more++
		return nil
	}
	tx.links++
	return tx.touch(ctx, at, func(ctx context.Context) (any, error) {
		l, err := tx.Link(ctx, t, k, left, right)
		return linkView{l.Data, l.Created}, err
	})
}

// A linkView is what a link says besides its ends.
type linkView struct {
	Type    string
	Created time.Time
}

func (tx *Tx) PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (bool, error) {
	if err := tx.link(ctx, t, k, l.Left, l.Right); err != nil {
		return false, err
	}
	return tx.Tx.PutLink(ctx, t, k, l)
}

func (tx *Tx) DropLink(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (bool, error) {
	if err := tx.link(ctx, t, k, left, right); err != nil {
		return false, err
	}
	return tx.Tx.DropLink(ctx, t, k, left, right)
}

func (tx *Tx) InsertThing(ctx context.Context, th *things.Thing) error {
	if err := touching(ctx, tx, place{th.Tenant, "thing", th.Name, ""}, tx.Thing); err != nil {
		return err
	}
	return tx.Tx.InsertThing(ctx, th)
}

func (tx *Tx) UpdateThing(ctx context.Context, th *things.Thing) error {
	if err := touching(ctx, tx, place{th.Tenant, "thing", th.Name, ""}, tx.Thing); err != nil {
		return err
	}
	return tx.Tx.UpdateThing(ctx, th)
}

func (tx *Tx) DeleteThing(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "thing", name, ""}, tx.Thing); err != nil {
		return err
	}
	return tx.Tx.DeleteThing(ctx, t, name)
}

func (tx *Tx) PutThingType(ctx context.Context, t arn.Tenant, ty *things.Type) error {
	if err := touching(ctx, tx, place{t, "thingtype", ty.Name, ""}, tx.ThingType); err != nil {
		return err
	}
	return tx.Tx.PutThingType(ctx, t, ty)
}

func (tx *Tx) DeleteThingType(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "thingtype", name, ""}, tx.ThingType); err != nil {
		return err
	}
	return tx.Tx.DeleteThingType(ctx, t, name)
}

func (tx *Tx) PutGroup(ctx context.Context, t arn.Tenant, g *things.Group) error {
	if err := touching(ctx, tx, place{t, "thinggroup", g.Name, ""}, tx.Group); err != nil {
		return err
	}
	return tx.Tx.PutGroup(ctx, t, g)
}

func (tx *Tx) DeleteGroup(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "thinggroup", name, ""}, tx.Group); err != nil {
		return err
	}
	return tx.Tx.DeleteGroup(ctx, t, name)
}

func (tx *Tx) PutBillingGroup(ctx context.Context, t arn.Tenant, g *things.BillingGroup) error {
	if err := touching(ctx, tx, place{t, "billinggroup", g.Name, ""}, tx.BillingGroup); err != nil {
		return err
	}
	return tx.Tx.PutBillingGroup(ctx, t, g)
}

func (tx *Tx) DeleteBillingGroup(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "billinggroup", name, ""}, tx.BillingGroup); err != nil {
		return err
	}
	return tx.Tx.DeleteBillingGroup(ctx, t, name)
}

func (tx *Tx) PutPolicy(ctx context.Context, r *policy.Record) error {
	if err := touching(ctx, tx, place{r.Tenant, "policy", r.Name, ""}, tx.Policy); err != nil {
		return err
	}
	return tx.Tx.PutPolicy(ctx, r)
}

func (tx *Tx) DeletePolicy(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "policy", name, ""}, tx.Policy); err != nil {
		return err
	}
	return tx.Tx.DeletePolicy(ctx, t, name)
}

func (tx *Tx) PutTemplate(ctx context.Context, r *templates.Record) error {
	if err := touching(ctx, tx, place{r.Tenant, "provisioningtemplate", r.Name, ""}, tx.TemplateRecord); err != nil {
		return err
	}
	return tx.Tx.PutTemplate(ctx, r)
}

func (tx *Tx) DeleteTemplate(ctx context.Context, t arn.Tenant, name string) error {
	if err := touching(ctx, tx, place{t, "provisioningtemplate", name, ""}, tx.TemplateRecord); err != nil {
		return err
	}
	return tx.Tx.DeleteTemplate(ctx, t, name)
}

func (tx *Tx) account(ctx context.Context, t arn.Tenant) error {
	return tx.touch(ctx, place{t, "account", t.Account, ""}, func(ctx context.Context) (any, error) { return tx.Tenant(ctx, t) })
}

func (tx *Tx) InsertTenant(ctx context.Context, r *tenants.Record) error {
	if err := tx.account(ctx, r.Tenant); err != nil {
		return err
	}
	return tx.Tx.InsertTenant(ctx, r)
}

func (tx *Tx) UpdateTenant(ctx context.Context, r *tenants.Record) error {
	if err := tx.account(ctx, r.Tenant); err != nil {
		return err
	}
	return tx.Tx.UpdateTenant(ctx, r)
}

// accessKey is an account's, whatever the region.
func (tx *Tx) accessKey(ctx context.Context, k *tenants.AccessKey) error {
	at := place{arn.Tenant{Account: k.Account, Region: tx.cause.Tenant.Region}, "key", k.ID, ""}
	return tx.touch(ctx, at, func(ctx context.Context) (any, error) { return tx.AccessKey(ctx, k.ID) })
}

func (tx *Tx) InsertAccessKey(ctx context.Context, k *tenants.AccessKey) error {
	if err := tx.accessKey(ctx, k); err != nil {
		return err
	}
	return tx.Tx.InsertAccessKey(ctx, k)
}

func (tx *Tx) UpdateAccessKey(ctx context.Context, k *tenants.AccessKey) error {
	if err := tx.accessKey(ctx, k); err != nil {
		return err
	}
	return tx.Tx.UpdateAccessKey(ctx, k)
}

func (tx *Tx) ownDocument(ctx context.Context, t arn.Tenant, kind, name string) error {
	return tx.touch(ctx, place{t, kind, name, ""}, func(ctx context.Context) (any, error) { return tx.Document(ctx, t, kind, name) })
}

func (tx *Tx) PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error {
	if err := tx.ownDocument(ctx, t, kind, name); err != nil {
		return err
	}
	return tx.Tx.PutDocument(ctx, t, kind, name, body)
}

func (tx *Tx) DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error {
	if err := tx.ownDocument(ctx, t, kind, name); err != nil {
		return err
	}
	return tx.Tx.DeleteDocument(ctx, t, kind, name)
}
