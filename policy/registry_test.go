package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// Provisioning asks for policies by document; the rest of the registry is
// tested through the control plane.
func TestEnsure(t *testing.T) {
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	const (
		one = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
		two = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:Connect","Resource":"*"}]}`
	)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		say, name, document string
		kind                fault.Kind
		ok                  bool
	}{
		{"an absent policy is made", "p", one, 0, true},
		{"the same document is reused", "p", one, 0, true},
		{"another document conflicts", "p", two, fault.Conflict, false},
		{"a malformed one is refused", "q", `{}`, fault.MalformedPolicy, false},
		{"a name that is none is refused", "a b", one, fault.InvalidRequest, false},
	} {
		t.Run(step.say, func(t *testing.T) {
			err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
				return policy.Ensure(ctx, tx, arn.Default, step.name, step.document, noon)
			})
			if (err == nil) != step.ok || err != nil && !fault.Is(err, step.kind) {
				t.Errorf("got %v", err)
			}
		})
	}
	err = db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		r, err := tx.Policy(ctx, arn.Default, "p")
		if err == nil && (len(r.Versions) != 1 || r.Versions[0].Document != one) {
			t.Errorf("stored %+v", r)
		}
		if _, err := tx.Policy(ctx, arn.Default, "q"); !fault.Is(err, fault.Missing) {
			t.Errorf("q gave %v", err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
