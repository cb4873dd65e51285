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
	var key *tenants.AccessKey
	var secret string
	err := db.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		key, secret, err = tenants.NewAccessKey(ctx, tx, box, arn.Default.Account, tenants.Operator, "ci", rand.Reader, noon)
		return err
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
		err := db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			_, _, err := tenants.NewAccessKey(ctx, tx, box, arn.Default.Account, tenants.Admin, "", iotest.ErrReader(broken), noon)
			return err
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
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
