package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
)

func certID(i int) arn.CertID { return arn.CertID(fmt.Sprintf("%064x", i)) }

func certificate(i int) *certs.Certificate {
	return &certs.Certificate{
		Tenant: arn.Default, ID: certID(i),
		PEM:    "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIB", 200) + "\n-----END CERTIFICATE-----\n",
		Status: certs.PendingActivation, Mode: "DEFAULT", CAID: "ca", Serial: fmt.Sprintf("%032x", i),
		Origin: certs.FromCSR, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(24 * time.Hour),
		Created: noon.Add(time.Duration(i) * time.Second), Modified: noon, Version: 1, Generation: "5a0c4a4e-0000-4000-8000-000000000000",
	}
}

func thing(name string) *things.Thing {
	return &things.Thing{
		Tenant: arn.Default, Name: name, ID: "id-of-" + name, Type: "lock", BillingGroup: "north",
		Attributes: map[string]string{"serial": name, "colour": `"blue"; DROP TABLE`}, Version: 1, Created: noon,
	}
}

func records(t *testing.T, open Open) {
	t.Run("a certificate comes back as it was put, also when hidden", func(t *testing.T) {
		db := open(t)
		c, h := certificate(1), certificate(2)
		h.Hidden = true
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := tx.InsertCertificate(ctx, c); err != nil {
				return err
			}
			return tx.InsertCertificate(ctx, h)
		})
		for _, want := range []*certs.Certificate{c, h} {
			same(t, fetch(t, db, func(ctx context.Context, tx tx) (*certs.Certificate, error) {
				return tx.Certificate(ctx, arn.Default, want.ID)
			}), want)
		}
	})
	t.Run("a certificate keeps all but status, version and modification time", func(t *testing.T) {
		db := open(t)
		c := certificate(1)
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertCertificate(ctx, c) })
		c.Status, c.Version, c.Modified = certs.Active, 2, noon.Add(time.Minute)
		changed := *c
		changed.PEM, changed.Serial = "other", "other"
		update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateCertificate(ctx, &changed) })
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (*certs.Certificate, error) {
			return tx.Certificate(ctx, arn.Default, c.ID)
		}), c)
	})
	t.Run("a spent token remembers request and answer", func(t *testing.T) {
		db := open(t)
		r := &certs.TokenRecord{Tenant: arn.Default, Digest: certs.Digest{1, 0, 255}, CertID: certID(1), Expires: noon}
		get := func(ctx context.Context, tx tx) (*certs.TokenRecord, error) {
			return tx.Token(ctx, arn.Default, r.Digest)
		}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertToken(ctx, r) })
		same(t, fetch(t, db, get), r)
		r.Spent, r.Request, r.Answer = true, certs.Digest{9}, []byte("{\x00\xff}")
		update(t, db, func(ctx context.Context, tx tx) error { return tx.SpendToken(ctx, r) })
		same(t, fetch(t, db, get), r)
	})
	t.Run("expired tokens of all tenants come oldest first", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			for i, owner := range []arn.Tenant{arn.Default, elsewhere, arn.Default, elsewhere} {
				r := &certs.TokenRecord{Tenant: owner, Digest: certs.Digest{byte(i)}, CertID: certID(i), Expires: noon.Add(time.Duration(-i) * time.Hour)}
				if err := tx.InsertToken(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
		got := fetch(t, db, func(ctx context.Context, tx tx) ([]*certs.TokenRecord, error) {
			return tx.ExpiredTokens(ctx, noon, 2)
		})
		if len(got) != 2 || got[0].CertID != certID(3) || got[1].CertID != certID(2) || got[0].Tenant != elsewhere {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("stale intents of all tenants come oldest first", func(t *testing.T) {
		db := open(t)
		fresh := &certs.Intent{Tenant: arn.Default, Serial: "0c", Subject: "CN=c", KeyHash: certs.Digest{3}, Purpose: "csr", Created: noon}
		old := &certs.Intent{Tenant: elsewhere, Serial: "0a", Subject: "CN=a", KeyHash: certs.Digest{1}, Purpose: "csr", Created: noon.Add(-2 * time.Hour)}
		gone := &certs.Intent{Tenant: arn.Default, Serial: "0b", Subject: "CN=b", Purpose: "csr", Created: noon.Add(-time.Hour)}
		update(t, db, func(ctx context.Context, tx tx) error {
			for _, i := range []*certs.Intent{fresh, old, gone} {
				if err := tx.InsertIntent(ctx, i); err != nil {
					return err
				}
			}
			return tx.DeleteIntent(ctx, arn.Default, gone.Serial)
		})
		same(t, fetch(t, db, func(ctx context.Context, tx tx) ([]*certs.Intent, error) {
			return tx.StaleIntents(ctx, noon, 10)
		}), []*certs.Intent{old})
	})
	t.Run("an intent whose subject is no text is kept all the same", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			return tx.InsertIntent(ctx, &certs.Intent{Tenant: arn.Default, Serial: "0a", Subject: "CN=\xff\x00", Created: noon})
		})
		got := fetch(t, db, func(ctx context.Context, tx tx) ([]*certs.Intent, error) {
			return tx.StaleIntents(ctx, noon.Add(time.Hour), 10)
		})
		if len(got) != 1 || got[0].Subject != "CN=\uFFFD\uFFFD" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a claim comes back as it was put", func(t *testing.T) {
		db := open(t)
		c := &certs.ClaimRecord{Tenant: arn.Default, CertID: certID(1), Template: "fleet", Trusted: true, MadeBy: "AKIA", Expires: noon, Created: noon}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertClaim(ctx, c) })
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (*certs.ClaimRecord, error) {
			return tx.Claim(ctx, arn.Default, c.CertID)
		}), c)
	})
	t.Run("expiring certificates are counted if ACTIVE, at each moment", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			for i := range 6 {
				c := certificate(i)
				c.NotAfter = noon.Add(time.Duration(i) * time.Hour)
				if c.Status = certs.Active; i == 1 {
					c.Status = certs.Revoked
				}
				if err := tx.InsertCertificate(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
		same(t, fetch(t, db, func(ctx context.Context, tx tx) ([]int64, error) {
			return tx.ExpiringCertificates(ctx, []time.Time{noon, noon.Add(150 * time.Minute), noon.Add(time.Hour * 100)})
		}), []int64{0, 2, 5})
	})
	t.Run("a thing comes back as it was put, whatever its name", func(t *testing.T) {
		db := open(t)
		for _, name := range []string{"lock-1", `it's "quoted" -- ; $1 ?`, "Schloß-Ωμέγα-🔒", "per%cent_under"} {
			th := thing(name)
			update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, th) })
			th.Type, th.BillingGroup, th.Attributes, th.Version = "", "", nil, 2
			update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateThing(ctx, th) })
			same(t, fetch(t, db, func(ctx context.Context, tx tx) (*things.Thing, error) {
				return tx.Thing(ctx, arn.Default, name)
			}), th)
		}
	})
	t.Run("a tenant comes back, can be disabled and has settings", func(t *testing.T) {
		db := open(t)
		r := &tenants.Record{Tenant: elsewhere, Created: noon}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertTenant(ctx, r) })
		r.Disabled, r.Settings = true, tenants.Settings{Profile: tenants.AWS, Limits: tenants.Limits{ref.GroupDepth: 9}}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateTenant(ctx, r) })
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (*tenants.Record, error) {
			return tx.Tenant(ctx, elsewhere)
		}), r)
	})
	t.Run("a limit is the tenant's own or AWS's, also in the transaction that sets it", func(t *testing.T) {
		db := open(t)
		want := func(tx tx, of arn.Tenant, n int) {
			t.Helper()
			if got, err := tx.Limit(t.Context(), of, ref.GroupDepth); got != n || err != nil {
				t.Errorf("the limit of %s is %d, %v; want %d", of, got, err, n)
			}
		}
		update(t, db, func(ctx context.Context, tx tx) error {
			want(tx, elsewhere, 7)
			r := &tenants.Record{Tenant: elsewhere, Settings: tenants.Settings{Limits: tenants.Limits{ref.GroupDepth: 9}}}
			if err := tx.InsertTenant(ctx, r); err != nil {
				return err
			}
			want(tx, elsewhere, 9)
			want(tx, arn.Default, 7)
			r.Settings = tenants.Settings{}
			err := tx.UpdateTenant(ctx, r)
			want(tx, elsewhere, 7)
			return err
		})
	})
	t.Run("an access key comes back, and can be disabled", func(t *testing.T) {
		db := open(t)
		k := &tenants.AccessKey{ID: "AKIA1", Account: elsewhere.Account, Role: tenants.Admin, Sealed: []byte{0, 255, 1}, Name: "Jo's", Created: noon, Templates: []string{"fleet", "doors"}}
		update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertAccessKey(ctx, k) })
		k.Disabled, k.Templates = true, nil
		update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateAccessKey(ctx, k) })
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (*tenants.AccessKey, error) {
			return tx.AccessKey(ctx, k.ID)
		}), k)
	})
	absent(t, open)
	taken(t, open)
	foreign(t, open)
}

// absent asserts what is said about things that are not there.
func absent(t *testing.T, open Open) {
	db := open(t)
	id := certID(1)
	for _, c := range []struct {
		sentence string
		call     func(context.Context, tx) error
	}{
		{"Certificate " + string(id) + " does not exist.", func(ctx context.Context, tx tx) error {
			_, err := tx.Certificate(ctx, arn.Default, id)
			return err
		}},
		{"Certificate " + string(id) + " does not exist.", func(ctx context.Context, tx tx) error {
			return tx.UpdateCertificate(ctx, certificate(1))
		}},
		{"Certificate " + string(id) + " does not exist.", func(ctx context.Context, tx tx) error {
			return tx.DeleteCertificate(ctx, arn.Default, id)
		}},
		{"The certificate ownership token does not exist.", func(ctx context.Context, tx tx) error {
			_, err := tx.Token(ctx, arn.Default, certs.Digest{})
			return err
		}},
		{"The certificate ownership token does not exist.", func(ctx context.Context, tx tx) error {
			return tx.SpendToken(ctx, &certs.TokenRecord{Tenant: arn.Default})
		}},
		{"The certificate ownership token does not exist.", func(ctx context.Context, tx tx) error {
			return tx.DeleteToken(ctx, arn.Default, certs.Digest{})
		}},
		{"No signing is under way for serial number 0a.", func(ctx context.Context, tx tx) error {
			return tx.DeleteIntent(ctx, arn.Default, "0a")
		}},
		{"Certificate " + string(id) + " is not a claim.", func(ctx context.Context, tx tx) error {
			_, err := tx.Claim(ctx, arn.Default, id)
			return err
		}},
		{"Certificate " + string(id) + " is not a claim.", func(ctx context.Context, tx tx) error {
			return tx.DeleteClaim(ctx, arn.Default, id)
		}},
		{"Thing lock-1 does not exist.", func(ctx context.Context, tx tx) error {
			_, err := tx.Thing(ctx, arn.Default, "lock-1")
			return err
		}},
		{"Thing lock-1 does not exist.", func(ctx context.Context, tx tx) error {
			return tx.UpdateThing(ctx, thing("lock-1"))
		}},
		{"Thing lock-1 does not exist.", func(ctx context.Context, tx tx) error {
			return tx.DeleteThing(ctx, arn.Default, "lock-1")
		}},
		{"Account 111122223333 does not exist in eu-west-1.", func(ctx context.Context, tx tx) error {
			_, err := tx.Tenant(ctx, elsewhere)
			return err
		}},
		{"Account 111122223333 does not exist in eu-west-1.", func(ctx context.Context, tx tx) error {
			return tx.UpdateTenant(ctx, &tenants.Record{Tenant: elsewhere})
		}},
		{"Access key AKIA1 does not exist.", func(ctx context.Context, tx tx) error {
			_, err := tx.AccessKey(ctx, "AKIA1")
			return err
		}},
		{"Access key AKIA1 does not exist.", func(ctx context.Context, tx tx) error {
			return tx.UpdateAccessKey(ctx, &tenants.AccessKey{ID: "AKIA1"})
		}},
	} {
		says(t, db.Update(t.Context(), c.call), fault.Missing, c.sentence)
	}
}

// taken asserts that a second Insert is refused and changes nothing, and that
// the name is free again after a Delete.
func taken(t *testing.T, open Open) {
	db := open(t)
	owner := arn.Default
	for _, c := range []struct {
		sentence string
		insert   func(context.Context, tx) error
		remove   func(context.Context, tx) error
	}{
		{"Certificate " + string(certID(1)) + " exists already.",
			func(ctx context.Context, tx tx) error { return tx.InsertCertificate(ctx, certificate(1)) },
			func(ctx context.Context, tx tx) error { return tx.DeleteCertificate(ctx, owner, certID(1)) }},
		{"The certificate ownership token exists already.",
			func(ctx context.Context, tx tx) error {
				return tx.InsertToken(ctx, &certs.TokenRecord{Tenant: owner, Digest: certs.Digest{1}})
			},
			func(ctx context.Context, tx tx) error { return tx.DeleteToken(ctx, owner, certs.Digest{1}) }},
		{"Serial number 0a is in use already.",
			func(ctx context.Context, tx tx) error {
				return tx.InsertIntent(ctx, &certs.Intent{Tenant: owner, Serial: "0a"})
			},
			func(ctx context.Context, tx tx) error { return tx.DeleteIntent(ctx, owner, "0a") }},
		{"Certificate " + string(certID(1)) + " is a claim already.",
			func(ctx context.Context, tx tx) error {
				return tx.InsertClaim(ctx, &certs.ClaimRecord{Tenant: owner, CertID: certID(1)})
			},
			func(ctx context.Context, tx tx) error { return tx.DeleteClaim(ctx, owner, certID(1)) }},
		{"Thing lock-1 exists already.",
			func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, thing("lock-1")) },
			func(ctx context.Context, tx tx) error { return tx.DeleteThing(ctx, owner, "lock-1") }},
		{"Account 111122223333 exists already in eu-west-1.",
			func(ctx context.Context, tx tx) error {
				return tx.InsertTenant(ctx, &tenants.Record{Tenant: elsewhere})
			}, nil},
		{"Access key AKIA1 exists already.",
			func(ctx context.Context, tx tx) error {
				return tx.InsertAccessKey(ctx, &tenants.AccessKey{ID: "AKIA1"})
			}, nil},
	} {
		update(t, db, c.insert)
		says(t, db.Update(t.Context(), c.insert), fault.Exists, c.sentence)
		if c.remove != nil {
			update(t, db, c.remove)
			update(t, db, c.insert)
		}
	}
}

// foreign asserts that no tenant sees or touches another's records.
func foreign(t *testing.T, open Open) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx tx) error {
		if err := tx.InsertCertificate(ctx, certificate(1)); err != nil {
			return err
		}
		if err := tx.InsertToken(ctx, &certs.TokenRecord{Tenant: arn.Default, Digest: certs.Digest{1}}); err != nil {
			return err
		}
		return tx.InsertThing(ctx, thing("lock-1"))
	})
	refused(t, db, fault.Missing, func(ctx context.Context, tx tx) error { return tx.DeleteCertificate(ctx, elsewhere, certID(1)) })
	refused(t, db, fault.Missing, func(ctx context.Context, tx tx) error { return tx.DeleteToken(ctx, elsewhere, certs.Digest{1}) })
	refused(t, db, fault.Missing, func(ctx context.Context, tx tx) error { return tx.DeleteThing(ctx, elsewhere, "lock-1") })
	other := thing("lock-1")
	other.Tenant = elsewhere
	update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, other) })
}
