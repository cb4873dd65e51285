package tenants_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) (store.DB, *seal.Key) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, _, err := seal.Open(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return db, box
}

func TestRoles(t *testing.T) {
	const everybody = "admin operator installer auditor function"
	for action, may := range map[string]string{
		"sts:GetCallerIdentity":         everybody,
		"iot:DescribeEndpoint":          everybody,
		"iot:CreateProvisioningClaim":   "admin operator installer",
		"iot:CreateThing":               "admin operator function",
		"iot:DeleteThing":               "admin operator",
		"iot:DescribeThing":             everybody,
		"iot:ListThings":                "admin operator auditor",
		"iot:UpdateCertificate":         "admin operator function",
		"iot:CreateKeysAndCertificate":  "admin operator",
		"iot:SearchIndex":               "admin operator auditor",
		"iot:TestAuthorization":         "admin operator auditor",
		"iot:TestInvokeAuthorizer":      "admin operator",
		"slipway:CreateClaim":           "admin operator",
		"slipway:ListAttempts":          "admin operator installer auditor",
		"slipway:AddAccount":            "admin",
		"slipway:DisableAccount":        "admin",
		"slipway:AddKey":                "admin",
		"slipway:PutFunction":           "admin",
		"slipway:TestFunction":          "admin operator",
		"slipway:ExplainPolicy":         "admin operator auditor",
		"slipway:ListKeys":              "admin operator auditor",
		"":                              "admin operator",
		"iot:CreateThing;iot:GetPolicy": "admin operator",
	} {
		for _, role := range []tenants.Role{tenants.Admin, tenants.Operator, tenants.Installer, tenants.Auditor, tenants.Function, "root", ""} {
			want := role != "" && strings.Contains(" "+may+" ", " "+string(role)+" ")
			if role.Allows(action) != want {
				t.Errorf("%q may %s: %t", role, action, !want)
			}
		}
	}
}

func TestAccessKeys(t *testing.T) {
	db, box := open(t)
	ctx := context.Background()
	id, secret, err := tenants.Draw(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := &tenants.AccessKey{ID: id, Account: arn.Default.Account, Role: tenants.Operator, Name: "ci", Created: noon}
	err = db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tenants.AddAccessKey(ctx, tx, box, key, secret)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(key.ID) != 20 || len(secret) != 40 || strings.Contains(string(key.Sealed), secret) {
		t.Errorf("got id %s and a secret of %d characters", key.ID, len(secret))
	}
	t.Run("the secret comes back, for this key alone", func(t *testing.T) {
		var stored *tenants.AccessKey
		err := db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			stored, err = tx.AccessKey(ctx, key.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tenants.Secret(box, stored); err != nil || got != secret {
			t.Errorf("got %q, %v", got, err)
		}
		stored.ID = "AKIAANOTHERKEY"
		if got, err := tenants.Secret(box, stored); err == nil {
			t.Errorf("a moved row gave %q", got)
		}
	})
	t.Run("what is no key is refused and not stored", func(t *testing.T) {
		add := func(id, account string, role tenants.Role, secret string) error {
			return db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
				return tenants.AddAccessKey(ctx, tx, box, &tenants.AccessKey{ID: id, Account: account, Role: role, Created: noon}, secret)
			})
		}
		const good = "0123456789abcdef"
		for _, err := range []error{
			add("short", arn.Default.Account, tenants.Admin, good),
			add("AKIAEXAMPLE/../X", arn.Default.Account, tenants.Admin, good),
			add("AKIAEXAMPLE1", "12", tenants.Admin, good),
			add("AKIAEXAMPLE1", arn.Default.Account, "root", good),
			add("AKIAEXAMPLE1", arn.Default.Account, tenants.Admin, "short"),
		} {
			if !fault.Is(err, fault.InvalidRequest) || strings.Contains(err.Error(), good) {
				t.Errorf("got %v", err)
			}
		}
		if err := add(key.ID, arn.Default.Account, tenants.Admin, good); !fault.Is(err, fault.Exists) {
			t.Errorf("a second key of the id gave %v", err)
		}
		err := db.View(ctx, func(ctx context.Context, tx store.Tx) error {
			keys, _, err := tx.ListAccessKeys(ctx, arn.Default.Account, ref.All)
			if len(keys) != 1 {
				t.Errorf("there are %d keys", len(keys))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("randomness that fails makes no key", func(t *testing.T) {
		broken := errors.New("no entropy")
		if _, _, err := tenants.Draw(iotest.ErrReader(broken)); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an installer's key is for named templates, another role's for none", func(t *testing.T) {
		for _, k := range []*tenants.AccessKey{
			{Role: tenants.Installer},
			{Role: tenants.Installer, Templates: []string{"a,b"}},
			{Role: tenants.Installer, Templates: []string{""}},
			{Role: tenants.Installer, Templates: make([]string, 101)},
			{Role: tenants.Operator, Templates: []string{"fleet"}},
			{Role: tenants.Operator, Name: "two words"},
		} {
			k.ID, k.Account, k.Created = "AKIAEXAMPLE1", arn.Default.Account, noon
			err := db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
				return tenants.AddAccessKey(ctx, tx, box, k, secret)
			})
			if !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%+v gave %v", k, err)
			}
		}
		k := &tenants.AccessKey{Role: tenants.Installer, Templates: []string{"fleet"}}
		if !k.May("iot:CreateProvisioningClaim", "fleet") || k.May("iot:CreateProvisioningClaim", "doors") || k.May("iot:CreateThing", "fleet") || !k.May("iot:DescribeEndpoint", "") {
			t.Error("it may what it should not, or may not what it should")
		}
	})
	t.Run("a disabled key stays so", func(t *testing.T) {
		for range 2 {
			err := db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
				return tenants.DisableAccessKey(ctx, tx, key.ID, noon)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			return tenants.DisableAccessKey(ctx, tx, "AKIANOBODYATALL", noon)
		})
		if !fault.Is(err, fault.Missing) {
			t.Errorf("an unknown key gave %v", err)
		}
	})
}

func TestAccounts(t *testing.T) {
	db, _ := open(t)
	acme := arn.Tenant{Account: "111122223333", Region: "eu-west-1"}
	update := func(f func(context.Context, store.Tx) error) error { return db.Update(context.Background(), f) }
	create := func(t arn.Tenant) error {
		return update(func(ctx context.Context, tx store.Tx) error {
			_, err := tenants.Create(ctx, tx, t, noon)
			return err
		})
	}
	if err := create(acme); err != nil {
		t.Fatal(err)
	}
	if err := create(acme); !fault.Is(err, fault.Exists) {
		t.Errorf("the same again gave %v", err)
	}
	if err := create(arn.Tenant{Account: "1", Region: "eu-west-1"}); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("a short account gave %v", err)
	}
	err := update(func(ctx context.Context, tx store.Tx) error {
		if err := tenants.SetDisabled(ctx, tx, acme, true, noon); err != nil {
			return err
		}
		r, err := tenants.Ensure(ctx, tx, acme, noon)
		if err == nil && !r.Disabled {
			t.Error("Ensure switched the account on again")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSettings(t *testing.T) {
	db, _ := open(t)
	set := func(ch tenants.Change) (r *tenants.Record, err error) {
		err = db.Update(context.Background(), func(ctx context.Context, tx store.Tx) (err error) {
			if _, err = tenants.Ensure(ctx, tx, arn.Default, noon); err == nil {
				r, err = tenants.Set(ctx, tx, arn.Default, ch, noon)
			}
			return err
		})
		return r, err
	}
	number := func(n int) *int { return &n }
	r, err := set(tenants.Change{Profile: new(string(tenants.AWS)), Limits: map[ref.Limit]*int{ref.GroupDepth: number(9), ref.Templates: number(1)}})
	if err != nil || r.Settings.Profile != tenants.AWS || r.Settings.Limits.Of(ref.GroupDepth) != 9 || r.Settings.Limits.All()[ref.TypedAttributes] != 50 {
		t.Errorf("got %+v, %v", r, err)
	}
	t.Run("what is no setting is refused, and nothing of the change is stored", func(t *testing.T) {
		for _, ch := range []tenants.Change{
			{Profile: new("gcp")},
			{Limits: map[ref.Limit]*int{"gruop-depth": number(9)}},
			{Limits: map[ref.Limit]*int{ref.GroupDepth: number(0)}},
			{Limits: map[ref.Limit]*int{ref.GroupChildren: number(5), ref.GroupDepth: number(1_000_000)}},
		} {
			if _, err := set(ch); !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%+v gave %v", ch, err)
			}
		}
		if r, err := set(tenants.Change{}); err != nil || len(r.Settings.Limits) != 2 || r.Settings.Profile != tenants.AWS {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("a limit goes back to AWS's, and nothing of it stays", func(t *testing.T) {
		r, err := set(tenants.Change{Profile: new(""), Limits: map[ref.Limit]*int{ref.GroupDepth: nil, ref.Templates: number(256)}})
		if err != nil || r.Settings.Limits != nil || r.Settings.Profile != "" || r.Settings.Limits.Of(ref.GroupDepth) != 7 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("an account that is not there has none", func(t *testing.T) {
		err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			_, err := tenants.Set(ctx, tx, arn.Tenant{Account: "999999999999", Region: "eu-west-1"}, tenants.Change{}, noon)
			return err
		})
		if !fault.Is(err, fault.Missing) {
			t.Errorf("got %v", err)
		}
	})
}
