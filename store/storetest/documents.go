package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
)

func policyRecord(name string) *policy.Record {
	return &policy.Record{
		Tenant: arn.Default, Name: name, Default: "2", Next: 3, Generation: "g",
		Versions: []policy.VersionRecord{
			{ID: "1", Document: "{\n \"Version\": \"2012-10-17\"\n}", Created: noon},
			{ID: "2", Document: `{"Statement":[]} <&> "é"`, Created: noon.Add(time.Second)},
		},
		Created: noon, Modified: noon.Add(time.Second), Tags: map[string]string{"team": "locks"},
	}
}

func templateRecord(name string) *templates.Record {
	return &templates.Record{
		Tenant: arn.Default, Name: name, Description: "d", Type: templates.FleetProvisioning, Enabled: true,
		RoleARN: "arn:aws:iam::0:role/r", Hook: &templates.HookRecord{PayloadVersion: "2020-04-01", TargetARN: "arn"},
		Default: 1, Next: 2, Versions: []templates.VersionRecord{{ID: 1, Body: "{ \"Parameters\" : {} }", Created: noon}},
		Created: noon, Modified: noon, Tags: map[string]string{"slipway:validity": "30d"},
	}
}

// A document is one kind of registry resource that is put, not inserted.
type document struct {
	kind, sentence string
	put            func(ctx context.Context, tx tx, version int) error
	get            func(context.Context, tx) (any, error)
	remove         func(context.Context, tx) error
	want           func(version int) any
}

func kinds() []document {
	pol := func(v int) *policy.Record { r := policyRecord("x"); r.Next = v; return r }
	tpl := func(v int) *templates.Record {
		r := templateRecord("x")
		if r.Next = v; v > 1 {
			r.Hook, r.Tags = nil, nil
		}
		return r
	}
	typ := func(v int) *things.Type {
		ty := &things.Type{Name: "x", ID: "i", Description: "d", Searchable: []string{"a", "b"}, Propagating: []things.Propagation{{UserProperty: "u", Thing: "a"}}, Created: noon, Tags: map[string]string{"k": "v"}}
		if v > 1 {
			ty.Deprecated, ty.DeprecatedAt = true, noon.Add(time.Hour)
		}
		return ty
	}
	group := func(v int) *things.Group {
		return &things.Group{Name: "x", ID: "i", Description: "d", Parent: "p", Attributes: map[string]string{"a": "b"}, Version: int64(v), Created: noon, Tags: map[string]string{"k": "v"}}
	}
	bill := func(v int) *things.BillingGroup {
		return &things.BillingGroup{Name: "x", ID: "i", Description: "d", Version: int64(v), Created: noon, Tags: map[string]string{"k": "v"}}
	}
	d := arn.Default
	return []document{
		{"policy", "Policy x does not exist.",
			func(ctx context.Context, tx tx, v int) error { return tx.PutPolicy(ctx, pol(v)) },
			func(ctx context.Context, tx tx) (any, error) { return tx.Policy(ctx, d, "x") },
			func(ctx context.Context, tx tx) error { return tx.DeletePolicy(ctx, d, "x") },
			func(v int) any { return pol(v) }},
		{"template", "Provisioning template x does not exist.",
			func(ctx context.Context, tx tx, v int) error { return tx.PutTemplate(ctx, tpl(v)) },
			func(ctx context.Context, tx tx) (any, error) { return tx.TemplateRecord(ctx, d, "x") },
			func(ctx context.Context, tx tx) error { return tx.DeleteTemplate(ctx, d, "x") },
			func(v int) any { return tpl(v) }},
		{"thing type", "Thing type x does not exist.",
			func(ctx context.Context, tx tx, v int) error { return tx.PutThingType(ctx, d, typ(v)) },
			func(ctx context.Context, tx tx) (any, error) { return tx.ThingType(ctx, d, "x") },
			func(ctx context.Context, tx tx) error { return tx.DeleteThingType(ctx, d, "x") },
			func(v int) any { return typ(v) }},
		{"thing group", "Thing group x does not exist.",
			func(ctx context.Context, tx tx, v int) error { return tx.PutGroup(ctx, d, group(v)) },
			func(ctx context.Context, tx tx) (any, error) { return tx.Group(ctx, d, "x") },
			func(ctx context.Context, tx tx) error { return tx.DeleteGroup(ctx, d, "x") },
			func(v int) any { return group(v) }},
		{"billing group", "Billing group x does not exist.",
			func(ctx context.Context, tx tx, v int) error { return tx.PutBillingGroup(ctx, d, bill(v)) },
			func(ctx context.Context, tx tx) (any, error) { return tx.BillingGroup(ctx, d, "x") },
			func(ctx context.Context, tx tx) error { return tx.DeleteBillingGroup(ctx, d, "x") },
			func(v int) any { return bill(v) }},
		{"function", "The function x does not exist.",
			func(ctx context.Context, tx tx, v int) error {
				return tx.PutDocument(ctx, d, "function", "x", []byte{'{', byte('0' + v), '}'})
			},
			func(ctx context.Context, tx tx) (any, error) { return tx.Document(ctx, d, "function", "x") },
			func(ctx context.Context, tx tx) error { return tx.DeleteDocument(ctx, d, "function", "x") },
			func(v int) any { return []byte{'{', byte('0' + v), '}'} }},
	}
}

func documents(t *testing.T, open Open) {
	db := open(t)
	for _, k := range kinds() { // all share the name x, and do not meet
		update(t, db, func(ctx context.Context, tx tx) error { return k.put(ctx, tx, 1) })
	}
	for _, k := range kinds() {
		t.Run("a "+k.kind+" is put, put again, and deleted", func(t *testing.T) {
			same(t, fetch(t, db, k.get), k.want(1))
			update(t, db, func(ctx context.Context, tx tx) error { return k.put(ctx, tx, 2) })
			same(t, fetch(t, db, k.get), k.want(2))
			update(t, db, k.remove)
			says(t, db.Update(t.Context(), k.remove), fault.Missing, k.sentence)
			says(t, db.View(t.Context(), func(ctx context.Context, tx tx) error {
				_, err := k.get(ctx, tx)
				return err
			}), fault.Missing, k.sentence)
		})
	}
	t.Run("what a caller does to a record it read, no other caller sees", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := tx.PutTemplate(ctx, templateRecord("x")); err != nil {
				return err
			}
			return tx.PutPolicy(ctx, policyRecord("x"))
		})
		for range 2 {
			view(t, db, func(ctx context.Context, tx tx) error {
				p, err := tx.Policy(ctx, arn.Default, "x")
				if err != nil {
					return err
				}
				same(t, p, policyRecord("x"))
				p.Versions[0].Document, p.Tags["team"], p.Default = "", "", ""
				tpl, err := tx.TemplateRecord(ctx, arn.Default, "x")
				if err != nil {
					return err
				}
				same(t, tpl, templateRecord("x"))
				tpl.Versions[0].Body, tpl.Tags["slipway:validity"], tpl.Hook.TargetARN, tpl.Enabled = "", "", "", false
				return nil
			})
		}
	})
	t.Run("a document of a caller's kind never meets a record of ours", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			if err := tx.PutDocument(ctx, arn.Default, "policy", "p", []byte("not a policy")); err != nil {
				return err
			}
			return tx.PutPolicy(ctx, policyRecord("p"))
		})
		view(t, db, func(ctx context.Context, tx tx) error {
			names, bodies, next, err := tx.ListDocuments(ctx, arn.Default, "policy", ref.All)
			same(t, names, []string{"p"})
			same(t, bodies, [][]byte{[]byte("not a policy")})
			same(t, next, "")
			return err
		})
	})
}

// undone puts, deletes and reads records in Updates that fail: whoever comes
// after finds what was there before, however the driver remembers.
func undone(t *testing.T, open Open) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx tx) error {
		return tx.InsertTenant(ctx, &tenants.Record{Tenant: arn.Default, Settings: tenants.Settings{Limits: tenants.Limits{ref.GroupDepth: 3}}, Created: noon})
	})
	depth := func(ctx context.Context, tx tx, want int) error {
		got, err := tx.Limit(ctx, arn.Default, ref.GroupDepth)
		same(t, got, want)
		return err
	}
	fail := func(f func(context.Context, tx) error) {
		t.Helper()
		no := errors.New("no")
		err := db.Update(t.Context(), func(ctx context.Context, tx tx) error {
			if err := f(ctx, tx); err != nil {
				return err
			}
			return no
		})
		if !errors.Is(err, no) {
			t.Fatalf("Update: %v", err)
		}
	}
	now := func(want func(context.Context, tx) error) {
		t.Helper()
		update(t, db, want)
		if err := db.Peek(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range kinds() {
		is := func(v int) func(context.Context, tx) error {
			return func(ctx context.Context, tx tx) error {
				got, err := k.get(ctx, tx)
				same(t, got, k.want(v))
				return err
			}
		}
		update(t, db, func(ctx context.Context, tx tx) error { return k.put(ctx, tx, 1) })
		now(is(1))
		fail(func(ctx context.Context, tx tx) error {
			if err := k.put(ctx, tx, 2); err != nil {
				return err
			}
			return is(2)(ctx, tx)
		})
		now(is(1))
		fail(k.remove)
		now(is(1))
	}
	now(func(ctx context.Context, tx tx) error { return depth(ctx, tx, 3) })
	fail(func(ctx context.Context, tx tx) error {
		err := tx.UpdateTenant(ctx, &tenants.Record{Tenant: arn.Default, Settings: tenants.Settings{Limits: tenants.Limits{ref.GroupDepth: 9}}})
		if err != nil {
			return err
		}
		return depth(ctx, tx, 9)
	})
	now(func(ctx context.Context, tx tx) error { return depth(ctx, tx, 3) })
}

func links(t *testing.T, open Open) {
	db := open(t)
	put := func(l ref.Link) (created bool) {
		update(t, db, func(ctx context.Context, tx tx) (err error) {
			created, err = tx.PutLink(ctx, arn.Default, ref.ThingPrincipal, l)
			return err
		})
		return created
	}
	drop := func(left, right string) (existed bool) {
		update(t, db, func(ctx context.Context, tx tx) (err error) {
			existed, err = tx.DropLink(ctx, arn.Default, ref.ThingPrincipal, left, right)
			return err
		})
		return existed
	}
	first := ref.Link{Left: "lock-1", Right: "arn:aws:iot:us-east-1:0:cert/é'\"", Data: "EXCLUSIVE_THING", Created: noon}
	other := first
	other.Data = "NON_EXCLUSIVE_THING"

	t.Run("a link that is there keeps its data", func(t *testing.T) {
		if !put(first) || put(other) {
			t.Error("want created, then not created")
		}
		view(t, db, func(ctx context.Context, tx tx) error {
			lefts, _, err := tx.Lefts(ctx, arn.Default, ref.ThingPrincipal, first.Right, ref.All)
			same(t, lefts, []ref.Link{first})
			if err != nil {
				return err
			}
			one, err := tx.Link(ctx, arn.Default, ref.ThingPrincipal, first.Left, first.Right)
			same(t, one, first)
			if err != nil {
				return err
			}
			for _, c := range []struct {
				t           arn.Tenant
				k           ref.Kind
				left, right string
			}{{elsewhere, ref.ThingPrincipal, first.Left, first.Right}, {arn.Default, ref.GroupThing, first.Left, first.Right}, {arn.Default, ref.ThingPrincipal, first.Right, first.Left}} {
				if _, err := tx.Link(ctx, c.t, c.k, c.left, c.right); !fault.Is(err, fault.Missing) {
					t.Errorf("%+v: got %v", c, err)
				}
			}
			rights, _, err := tx.Rights(ctx, arn.Default, ref.ThingPrincipal, first.Left, ref.All)
			same(t, rights, []ref.Link{first})
			return err
		})
	})
	t.Run("links of another kind or tenant are others", func(t *testing.T) {
		view(t, db, func(ctx context.Context, tx tx) error {
			a, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, first.Right, ref.All)
			if err != nil || len(a) > 0 {
				t.Errorf("got %v, %v", a, err)
			}
			b, _, err := tx.Rights(ctx, elsewhere, ref.ThingPrincipal, first.Left, ref.All)
			if err != nil || len(b) > 0 {
				t.Errorf("got %v, %v", b, err)
			}
			return nil
		})
	})
	t.Run("a link is dropped once", func(t *testing.T) {
		if !drop(first.Left, first.Right) || drop(first.Left, first.Right) {
			t.Error("want existed, then not existed")
		}
	})
}
