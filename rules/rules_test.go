package rules_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Most is tested through the control plane; here stands what takes long there.
func TestAnAccountHasSoManyRules(t *testing.T) {
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		three := 3
		if _, err := tenants.Ensure(ctx, tx, arn.Default, noon); err != nil {
			return err
		}
		if _, err := tenants.Set(ctx, tx, arn.Default, tenants.Change{Limits: map[ref.Limit]*int{ref.Rules: &three}}, noon); err != nil {
			return err
		}
		create := func(i int) error {
			return rules.Create(ctx, tx, arn.Default, &rules.Rule{Name: fmt.Sprint("r", i), SQL: "SELECT 1 FROM 'a'", Created: noon})
		}
		for i := range 3 {
			if err := create(i); err != nil {
				return err
			}
		}
		if err := create(3); !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), "the limit is 3") {
			t.Errorf("the fourth gave %v", err)
		}
		if _, err := rules.Get(ctx, tx, arn.Default, "r3"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("and was stored: %v", err)
		}
		if err := rules.Delete(ctx, tx, arn.Default, "r0"); err != nil {
			return err
		}
		return create(3)
	})
	if err != nil {
		t.Fatal(err)
	}
}
