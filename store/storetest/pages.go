package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/retained"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
)

// A roll is one list of the store, read as names.
type roll struct {
	name string
	put  func(context.Context, tx, int) error
	list func(context.Context, tx, ref.Page) ([]string, string, error)
}

func name(i int) string { return fmt.Sprintf("n-%04d", i) }

func names[T any](some []T, next string, err error, of func(T) string) ([]string, string, error) {
	var out []string
	for _, v := range some {
		out = append(out, of(v))
	}
	return out, next, err
}

// rolls gives the lists of one tenant. Those of tenants and of access keys are
// the same for all.
func rolls(d arn.Tenant) []roll {
	return slices.Concat([]roll{
		{"certificates",
			func(ctx context.Context, tx tx, i int) error {
				c := certificate(i)
				c.Tenant = d
				c.Created = noon.Add(time.Duration(i/3) * time.Second) // ties are broken by id
				return tx.InsertCertificate(ctx, c)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListCertificates(ctx, d, p)
				return names(s, n, err, func(c *certs.Certificate) string { return string(c.ID) })
			}},
		{"claims",
			func(ctx context.Context, tx tx, i int) error {
				return tx.InsertClaim(ctx, &certs.ClaimRecord{Tenant: d, CertID: certID(i), Created: noon})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListClaims(ctx, d, p)
				return names(s, n, err, func(c *certs.ClaimRecord) string { return string(c.CertID) })
			}},
		{"things",
			func(ctx context.Context, tx tx, i int) error {
				th := thing(name(i))
				th.Tenant = d
				return tx.InsertThing(ctx, th)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListThings(ctx, d, things.Filter{}, p)
				return names(s, n, err, func(th *things.Thing) string { return th.Name })
			}},
		{"things of a type",
			func(ctx context.Context, tx tx, i int) error {
				th := thing(name(i))
				th.Tenant = d
				return tx.InsertThing(ctx, th)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListThings(ctx, d, things.Filter{Type: "lock"}, p)
				return names(s, n, err, func(th *things.Thing) string { return th.Name })
			}},
		{"things with an attribute",
			func(ctx context.Context, tx tx, i int) error {
				th := thing(name(i))
				th.Tenant = d
				th.Attributes["floor"] = "2"
				return tx.InsertThing(ctx, th)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListThings(ctx, d, things.Filter{Type: "lock", Attribute: "floor", Value: "2"}, p)
				return names(s, n, err, func(th *things.Thing) string { return th.Name })
			}},
		{"thing types",
			func(ctx context.Context, tx tx, i int) error {
				return tx.PutThingType(ctx, d, &things.Type{Name: name(i)})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListThingTypes(ctx, d, p)
				return names(s, n, err, func(v *things.Type) string { return v.Name })
			}},
		{"thing groups",
			func(ctx context.Context, tx tx, i int) error {
				return tx.PutGroup(ctx, d, &things.Group{Name: name(i)})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListGroups(ctx, d, p)
				return names(s, n, err, func(v *things.Group) string { return v.Name })
			}},
		{"billing groups",
			func(ctx context.Context, tx tx, i int) error {
				return tx.PutBillingGroup(ctx, d, &things.BillingGroup{Name: name(i)})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListBillingGroups(ctx, d, p)
				return names(s, n, err, func(v *things.BillingGroup) string { return v.Name })
			}},
		{"policies",
			func(ctx context.Context, tx tx, i int) error {
				r := policyRecord(name(i))
				r.Tenant = d
				return tx.PutPolicy(ctx, r)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListPolicies(ctx, d, p)
				return names(s, n, err, func(v *policy.Record) string { return v.Name })
			}},
		{"templates",
			func(ctx context.Context, tx tx, i int) error {
				r := templateRecord(name(i))
				r.Tenant = d
				return tx.PutTemplate(ctx, r)
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListTemplates(ctx, d, p)
				return names(s, n, err, func(v *templates.Record) string { return v.Name })
			}},
		{"documents",
			func(ctx context.Context, tx tx, i int) error {
				return tx.PutDocument(ctx, d, store.FunctionDocument, name(i), []byte("{}"))
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, _, n, err := tx.ListDocuments(ctx, d, store.FunctionDocument, p)
				return s, n, err
			}},
		{"tenants",
			func(ctx context.Context, tx tx, i int) error {
				return tx.InsertTenant(ctx, &tenants.Record{Tenant: arn.Tenant{Account: fmt.Sprintf("%012d", i), Region: "eu-west-1"}})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListTenants(ctx, p)
				return names(s, n, err, func(v *tenants.Record) string { return v.Tenant.String() })
			}},
		{"access keys",
			func(ctx context.Context, tx tx, i int) error {
				return tx.InsertAccessKey(ctx, &tenants.AccessKey{ID: name(i), Account: d.Account})
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListAccessKeys(ctx, d.Account, p)
				return names(s, n, err, func(v *tenants.AccessKey) string { return v.ID })
			}},
		{"lefts",
			func(ctx context.Context, tx tx, i int) error {
				_, err := tx.PutLink(ctx, d, ref.PolicyTarget, ref.Link{Left: name(i), Right: "same"})
				return err
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.Lefts(ctx, d, ref.PolicyTarget, "same", p)
				return names(s, n, err, func(l ref.Link) string { return l.Left })
			}},
		{"rights",
			func(ctx context.Context, tx tx, i int) error {
				_, err := tx.PutLink(ctx, d, ref.PolicyTarget, ref.Link{Left: "same", Right: name(i)})
				return err
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.Rights(ctx, d, ref.PolicyTarget, "same", p)
				return names(s, n, err, func(l ref.Link) string { return l.Right })
			}},
		{"retained messages",
			func(ctx context.Context, tx tx, i int) error {
				_, err := tx.PutRetained(ctx, retainedMessage(d, name(i), "x"))
				return err
			},
			func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
				s, n, err := tx.ListRetained(ctx, d, p)
				return names(s, n, err, func(m retained.Summary) string { return m.Topic })
			}},
	}, authorityRolls(d))
}

// fill puts the entries with the numbers.
func (r roll) fill(t *testing.T, db store.DB, numbers ...int) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx tx) error {
		for _, i := range numbers {
			if err := r.put(ctx, tx, i); err != nil {
				return err
			}
		}
		return nil
	})
}

func pages(t *testing.T, open Open) {
	db := open(t)
	for i := range rolls(arn.Default) {
		r := rolls(arn.Tenant{Account: fmt.Sprintf("%012d", i), Region: "us-east-1"})[i]
		t.Run(r.name, func(t *testing.T) {
			nothing(t, db, r)
			r.fill(t, db, 70, 10, 40, 20, 60, 30, 50)
			order(t, db, r)
			underWrites(t, db, r)
		})
	}
	t.Run("cursors", func(t *testing.T) { cursors(t, open) })
	t.Run("hidden certificates are not listed", func(t *testing.T) { hidden(t, open) })
	t.Run("things are filtered by type and attribute", func(t *testing.T) { filters(t, open) })
	t.Run("a rare type among things with an attribute", func(t *testing.T) { rare(t, open) })
	t.Run("things are found by the attributes that they have", func(t *testing.T) { indexed(t, open) })
	t.Run("names are ordered by their bytes", func(t *testing.T) { bytewise(t, open) })
}

// nothing asserts that an empty list is an empty last page.
func nothing(t *testing.T, db store.DB, r roll) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx tx) error {
		some, next, err := r.list(ctx, tx, ref.Page{Limit: 5})
		if len(some) != 0 || next != "" {
			t.Errorf("an empty list gave %v, next %q", some, next)
		}
		return err
	})
}

// order asserts that every page size and both directions give the same list.
func order(t *testing.T, db store.DB, r roll) {
	t.Helper()
	whole := walk(t, db, ref.Page{Limit: 100}, nil, r.list)
	if len(whole) != 7 || !slices.IsSorted(whole) {
		t.Fatalf("got %v, want seven entries in order", whole)
	}
	backwards := slices.Clone(whole)
	slices.Reverse(backwards)
	for limit := 1; limit <= 8; limit++ {
		same(t, walk(t, db, ref.Page{Limit: limit}, nil, r.list), whole)
		same(t, walk(t, db, ref.Page{Limit: limit, Descending: true}, nil, r.list), backwards)
	}
}

// underWrites asserts that entries which come while a list is read disturb
// none of those that were there.
func underWrites(t *testing.T, db store.DB, r roll) {
	t.Helper()
	before := walk(t, db, ref.Page{Limit: 100}, nil, r.list)
	fresh := []int{5, 75, 35, 15, 65, 45}
	got := walk(t, db, ref.Page{Limit: 2}, func() {
		if len(fresh) > 0 {
			r.fill(t, db, fresh[0])
			fresh = fresh[1:]
		}
	}, r.list)
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("disordered or repeated: %v", got)
	}
	for _, n := range before {
		if !slices.Contains(got, n) {
			t.Errorf("%s was there throughout and is missing", n)
		}
	}
}

func cursors(t *testing.T, open Open) {
	db := open(t)
	all := rolls(arn.Default)
	for _, r := range all[2:3] {
		r.fill(t, db, 1, 2, 3)
	}
	all[5].fill(t, db, 1, 2, 3)
	list := all[2].list
	var next string
	view(t, db, func(ctx context.Context, tx tx) (err error) {
		_, next, err = list(ctx, tx, ref.Page{Limit: 1})
		return err
	})
	for _, c := range next {
		if !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '=') {
			t.Errorf("cursor %q: %q is outside the alphabet [A-Za-z0-9+/=]", next, c)
		}
	}
	bad := func(why string, list func(context.Context, tx, ref.Page) ([]string, string, error), p ref.Page) {
		t.Helper()
		err := db.View(t.Context(), func(ctx context.Context, tx tx) error {
			_, _, err := list(ctx, tx, p)
			return err
		})
		if !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("%s: got %v, want InvalidRequest", why, err)
		}
	}
	bad("no cursor at all", list, ref.Page{Limit: 1, After: "garbage!"})
	bad("base64 of nothing known", list, ref.Page{Limit: 1, After: "e30="})
	bad("another direction", list, ref.Page{Limit: 1, After: next, Descending: true})
	bad("another list", all[5].list, ref.Page{Limit: 1, After: next})
	bad("another filter", all[3].list, ref.Page{Limit: 1, After: next})
}

func hidden(t *testing.T, open Open) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx tx) error {
		for i := range 4 {
			c := certificate(i)
			c.Hidden = i%2 == 0
			if err := tx.InsertCertificate(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	got := walk(t, db, ref.Page{Limit: 1}, nil, rolls(arn.Default)[0].list)
	same(t, got, []string{string(certID(1)), string(certID(3))})
}

func filters(t *testing.T, open Open) {
	db := open(t)
	const n = 1200
	update(t, db, func(ctx context.Context, tx tx) error {
		for i := range n {
			th := thing(name(i))
			th.Attributes = map[string]string{"floor": fmt.Sprint(i % 400)}
			if th.Type = "lock"; i%2 == 1 {
				th.Type = ""
			}
			if err := tx.InsertThing(ctx, th); err != nil {
				return err
			}
		}
		return nil
	})
	list := func(f things.Filter) []string {
		return walk(t, db, ref.Page{Limit: 2}, nil, func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
			s, next, err := tx.ListThings(ctx, arn.Default, f, p)
			return names(s, next, err, func(th *things.Thing) string { return th.Name })
		})
	}
	same(t, list(things.Filter{Attribute: "floor", Value: "399"}), []string{name(399), name(799), name(1199)})
	same(t, list(things.Filter{Attribute: "floor", Value: "2", Type: "lock"}), []string{name(2), name(402), name(802)})
	same(t, list(things.Filter{Attribute: "floor", Value: "3", Type: "lock"}), []string(nil))
	same(t, list(things.Filter{Attribute: "absent"}), []string(nil))
	same(t, list(things.Filter{Attribute: "floor", Value: "39", Prefix: true})[:4], []string{name(39), name(439), name(839), name(390)})
	same(t, len(list(things.Filter{Attribute: "floor", Prefix: true})), n)
	same(t, len(list(things.Filter{Attribute: "floor", Prefix: true, Type: "lock"})), n/2)
}

// rare asks for a type that few of many things with an attribute have: pages
// may be short, and lead to all of them.
func rare(t *testing.T, open Open) {
	db := open(t)
	const n = 3000
	update(t, db, func(ctx context.Context, tx tx) error {
		for i := range n {
			th := thing(name(i))
			th.Attributes = map[string]string{"model": "m"}
			if i%1400 == 1399 {
				th.Type = "rare"
			}
			if err := tx.InsertThing(ctx, th); err != nil {
				return err
			}
		}
		return nil
	})
	f := things.Filter{Attribute: "model", Value: "m", Type: "rare"}
	for _, p := range []ref.Page{{Limit: 1}, {Limit: 2}, {Limit: 250}} {
		same(t, walk(t, db, p, nil, func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
			s, next, err := tx.ListThings(ctx, arn.Default, f, p)
			return names(s, next, err, func(th *things.Thing) string { return th.Name })
		}), []string{name(1399), name(2799)})
	}
}

// indexed asserts that a thing is found by the attributes that it has, and by
// none that it had.
func indexed(t *testing.T, open Open) {
	db := open(t)
	th := thing("lock-1")
	find := func(attribute, value string, want ...string) {
		t.Helper()
		same(t, walk(t, db, ref.Page{Limit: 5}, nil, func(ctx context.Context, tx tx, p ref.Page) ([]string, string, error) {
			s, next, err := tx.ListThings(ctx, arn.Default, things.Filter{Attribute: attribute, Value: value}, p)
			return names(s, next, err, func(th *things.Thing) string { return th.Name })
		}), want)
	}
	put := func(attributes map[string]string) {
		t.Helper()
		th.Attributes = attributes
		update(t, db, func(ctx context.Context, tx tx) error { return tx.UpdateThing(ctx, th) })
	}
	update(t, db, func(ctx context.Context, tx tx) error {
		th.Attributes = nil
		return tx.InsertThing(ctx, th)
	})
	find("floor", "2")
	put(map[string]string{"floor": "2", "site": "<north> & \"south\" é", "empty": ""})
	find("floor", "2", "lock-1")
	find("site", "<north> & \"south\" é", "lock-1")
	find("empty", "", "lock-1")
	put(map[string]string{"floor": "3", "site": "<north> & \"south\" é"})
	find("floor", "2")
	find("floor", "3", "lock-1")
	find("site", "<north> & \"south\" é", "lock-1")
	find("empty", "")
	refused(t, db, fault.Exists, func(ctx context.Context, tx tx) error {
		again := thing("lock-1")
		again.Attributes = map[string]string{"floor": "9"}
		return tx.InsertThing(ctx, again)
	})
	find("floor", "9")
	put(nil)
	find("floor", "3")
	put(map[string]string{"floor": "4"})
	update(t, db, func(ctx context.Context, tx tx) error { return tx.DeleteThing(ctx, arn.Default, "lock-1") })
	find("floor", "4")
	update(t, db, func(ctx context.Context, tx tx) error { return tx.InsertThing(ctx, thing("lock-1")) })
	find("serial", "lock-1", "lock-1")
}

func bytewise(t *testing.T, open Open) {
	db := open(t)
	want := []string{"-a", "B", "_b", "a", "é", "🔒"}
	update(t, db, func(ctx context.Context, tx tx) error {
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			if err := tx.InsertThing(ctx, thing(want[i])); err != nil {
				return err
			}
		}
		return nil
	})
	same(t, walk(t, db, ref.Page{Limit: 1}, nil, rolls(arn.Default)[2].list), want)
}
