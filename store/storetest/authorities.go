package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

func authority(i int) *certs.Authority {
	return &certs.Authority{
		Tenant: arn.Default, ID: certID(i), Subject: certs.Digest{byte(i), 0, 255}, PEM: fmt.Sprintf("ca %d", i),
		Status: certs.Inactive, Mode: certs.DefaultMode, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		Created: noon.Add(time.Duration(i) * time.Second), Modified: noon, Version: 1, Generation: fmt.Sprintf("generation %d", i),
	}
}

func authorities(t *testing.T, open Open) {
	t.Run("a CA certificate comes back as it was put", func(t *testing.T) { authorityKept(t, open(t)) })
	t.Run("it keeps what it says itself", func(t *testing.T) { authorityChanged(t, open(t)) })
	t.Run("it is gone once deleted, in its tenant alone", func(t *testing.T) { authorityDeleted(t, open(t)) })
	t.Run("CA certificates are found by their subject", func(t *testing.T) { authoritiesNamed(t, open(t)) })
	t.Run("the tenants that have something in DEFAULT mode are known", func(t *testing.T) { holders(t, open(t)) })
	t.Run("one account of many wins what is in DEFAULT mode", func(t *testing.T) { exclusive(t, open(t)) })
}

func authorityKept(t *testing.T, db store.DB) {
	plain, full := authority(1), authority(2)
	full.Status, full.Mode, full.Automatic = certs.Active, certs.SNIOnly, true
	full.Registration = &certs.Registration{TemplateBody: `{"Resources":{}}`, RoleARN: "arn:aws:iam::1:role/r"}
	full.Tags = map[string]string{"line": "3"}
	update(t, db, func(ctx context.Context, tx tx) error {
		for _, a := range []*certs.Authority{plain, full} {
			if err := tx.InsertAuthority(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	for _, want := range []*certs.Authority{plain, full} {
		same(t, getAuthority(t, db, arn.Default, want.ID), want)
	}
	refused(t, db, fault.Exists, func(ctx context.Context, tx tx) error { return tx.InsertAuthority(ctx, plain) })
}

func getAuthority(t *testing.T, db store.DB, owner arn.Tenant, id arn.CertID) *certs.Authority {
	t.Helper()
	return fetch(t, db, func(ctx context.Context, tx tx) (*certs.Authority, error) { return tx.Authority(ctx, owner, id) })
}

func authorityChanged(t *testing.T, db store.DB) {
	a := authority(1)
	update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertAuthority(ctx, a) })
	a.Status, a.Automatic, a.Version, a.Modified = certs.Active, true, 2, noon.Add(time.Minute)
	a.Registration, a.Tags = &certs.Registration{TemplateName: "jitp"}, map[string]string{"a": "b"}
	changed := *a
	changed.PEM, changed.Mode, changed.Subject = "other", certs.SNIOnly, certs.Digest{}
	update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateAuthority(ctx, &changed) })
	same(t, getAuthority(t, db, arn.Default, a.ID), a)
	stranger := *a
	stranger.Tenant = elsewhere
	refused(t, db, fault.Missing, func(ctx context.Context, tx tx) error { return tx.UpdateAuthority(ctx, &stranger) })
}

func authorityDeleted(t *testing.T, db store.DB) {
	mine, theirs := authority(1), authority(1)
	theirs.Tenant = elsewhere
	update(t, db, func(ctx context.Context, tx tx) error {
		if err := tx.InsertAuthority(ctx, mine); err != nil {
			return err
		}
		if err := tx.InsertAuthority(ctx, theirs); err != nil {
			return err
		}
		return tx.DeleteAuthority(ctx, arn.Default, mine.ID)
	})
	same(t, getAuthority(t, db, elsewhere, mine.ID), theirs)
	for _, f := range []func(context.Context, tx) error{
		func(ctx context.Context, tx tx) error { return tx.DeleteAuthority(ctx, arn.Default, mine.ID) },
		func(ctx context.Context, tx tx) error { _, err := tx.Authority(ctx, arn.Default, mine.ID); return err },
	} {
		refused(t, db, fault.Missing, f)
	}
}

func authoritiesNamed(t *testing.T, db store.DB) {
	update(t, db, func(ctx context.Context, tx tx) error {
		for i := range 6 {
			a := authority(i)
			a.Subject = certs.Digest{byte(i % 2)}
			if i == 4 {
				a.Tenant = elsewhere
			}
			if err := tx.InsertAuthority(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	for subject, want := range map[byte][]arn.CertID{0: {certID(0), certID(2)}, 1: {certID(1), certID(3), certID(5)}, 2: nil} {
		found := fetch(t, db, func(ctx context.Context, tx tx) ([]*certs.Authority, error) {
			return tx.AuthoritiesNamed(ctx, arn.Default, certs.Digest{subject})
		})
		var ids []arn.CertID
		for _, a := range found {
			ids = append(ids, a.ID)
		}
		same(t, ids, want)
	}
}

func holders(t *testing.T, db store.DB) {
	update(t, db, func(ctx context.Context, tx tx) error {
		for i, owner := range []arn.Tenant{arn.Default, elsewhere} {
			if err := tx.InsertTenant(ctx, &tenants.Record{Tenant: owner, Created: noon}); err != nil {
				return err
			}
			for id, mode := range []string{certs.DefaultMode, []string{certs.DefaultMode, certs.SNIOnly}[i], certs.SNIOnly} {
				c, a := certificate(id), authority(id)
				c.Tenant, a.Tenant, c.Mode, a.Mode = owner, owner, mode, mode
				if err := tx.InsertCertificate(ctx, c); err != nil {
					return err
				}
				if err := tx.InsertAuthority(ctx, a); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for id, want := range map[int][]arn.Tenant{0: {arn.Default, elsewhere}, 1: {arn.Default}, 2: nil, 3: nil} {
		same(t, fetch(t, db, func(ctx context.Context, tx tx) ([]arn.Tenant, error) { return tx.AuthorityHolders(ctx, certID(id)) }), want)
		same(t, fetch(t, db, func(ctx context.Context, tx tx) ([]arn.Tenant, error) { return tx.CertificateHolders(ctx, certID(id)) }), want)
	}
}

// exclusive lets accounts of one region register the same CA certificate, or
// the same certificate, at once.
func exclusive(t *testing.T, db store.DB) {
	const callers = 4
	var accounts []arn.Tenant
	for i := range callers {
		accounts = append(accounts, arn.Tenant{Account: fmt.Sprintf("%012d", i), Region: "us-east-1"})
	}
	update(t, db, func(ctx context.Context, tx tx) error {
		for _, owner := range accounts {
			if err := tx.InsertTenant(ctx, &tenants.Record{Tenant: owner, Created: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	for what, take := range map[string]func(context.Context, tx, arn.Tenant) error{
		"a CA certificate": func(ctx context.Context, tx tx, owner arn.Tenant) error {
			held, err := tx.AuthorityHolders(ctx, certID(1))
			if err != nil || len(held) > 0 {
				return err
			}
			a := authority(1)
			a.Tenant = owner
			return tx.InsertAuthority(ctx, a)
		},
		"a certificate": func(ctx context.Context, tx tx, owner arn.Tenant) error {
			held, err := tx.CertificateHolders(ctx, certID(1))
			if err != nil || len(held) > 0 {
				return err
			}
			c := certificate(1)
			c.Tenant = owner
			return tx.InsertCertificate(ctx, c)
		},
	} {
		together(callers, func(i int) {
			err := db.Update(context.Background(), func(ctx context.Context, tx tx) error { return take(ctx, tx, accounts[i]) })
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	for _, held := range [][]arn.Tenant{
		fetch(t, db, func(ctx context.Context, tx tx) ([]arn.Tenant, error) { return tx.AuthorityHolders(ctx, certID(1)) }),
		fetch(t, db, func(ctx context.Context, tx tx) ([]arn.Tenant, error) { return tx.CertificateHolders(ctx, certID(1)) }),
	} {
		if len(held) != 1 {
			t.Errorf("held by %v, want one account", held)
		}
	}
}

// authorityRolls gives the lists of one tenant.
func authorityRolls(d arn.Tenant) []roll {
	id := func(a *certs.Authority) string { return string(a.ID) }
	put := func(ctx context.Context, tx tx, i int) error {
		a := authority(i)
		a.Tenant, a.Created = d, noon.Add(time.Duration(i/3)*time.Second) // ties are broken by id
		a.Registration = &certs.Registration{TemplateName: "jitp"}
		return tx.InsertAuthority(ctx, a)
	}
	return []roll{
		{"CA certificates", put, func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
			s, n, err := tx.ListAuthorities(ctx, d, "", p)
			return names(s, n, err, id)
		}},
		{"CA certificates with a template", put, func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
			s, n, err := tx.ListAuthorities(ctx, d, "jitp", p)
			return names(s, n, err, id)
		}},
		{"certificates that a CA signed",
			func(ctx context.Context, tx tx, i int) error {
				c := certificate(i)
				c.Tenant, c.CAID, c.Created = d, string(certID(1)), noon.Add(time.Duration(i/3)*time.Second)
				return tx.InsertCertificate(ctx, c)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListCertificatesByCA(ctx, d, certID(1), p)
				return names(s, n, err, func(c *certs.Certificate) string { return string(c.ID) })
			}},
	}
}
