package things_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/things"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Most of the rules are tested through the control plane, where AWS's own
// client calls them; here stands what that cannot reach.

func update(t *testing.T, db store.DB, f func(context.Context, store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAThingIsInTenGroups(t *testing.T) {
	update(t, open(t), func(ctx context.Context, tx store.Tx) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "lamp", Created: noon}); err != nil {
			return err
		}
		for i := range 11 {
			g := &things.Group{Name: fmt.Sprintf("g%02d", i), Created: noon}
			if err := things.CreateGroup(ctx, tx, arn.Default, g); err != nil {
				return err
			}
			err := things.Join(ctx, tx, arn.Default, g.Name, "lamp", noon)
			if i < 10 && err != nil {
				return err
			}
			if i == 10 && (!fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), "the limit is 10")) {
				t.Errorf("the eleventh gave %v", err)
			}
		}
		names, err := things.Groups(ctx, tx, arn.Default, "lamp")
		if len(names) != 10 {
			t.Errorf("the thing is in %v", names)
		}
		return err
	})
}

// Names that come from a template have not met AWS's model.
func TestNamesAreCheckedHereToo(t *testing.T) {
	update(t, open(t), func(ctx context.Context, tx store.Tx) error {
		for _, th := range []*things.Thing{
			{Name: ""}, {Name: "a b"}, {Name: "a/b"}, {Name: strings.Repeat("x", 129)},
			{Name: "a", Attributes: map[string]string{"": "1"}},
			{Name: "a", Attributes: map[string]string{"a": "b c"}},
			{Name: "a", Attributes: map[string]string{"a": strings.Repeat("x", 801)}},
		} {
			th.Tenant, th.Created = arn.Default, noon
			if err := things.Create(ctx, tx, th); !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%.20q %v gave %v", th.Name, th.Attributes, err)
			}
		}
		return nil
	})
}

func TestWhatChangedIsTold(t *testing.T) {
	db := open(t)
	update(t, db, func(ctx context.Context, tx store.Tx) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "lamp", Created: noon}); err != nil {
			return err
		}
		for range 2 { // what changes nothing is told once
			if err := things.AttachPrincipal(ctx, tx, arn.Default, "lamp", "p", "", noon); err != nil {
				return err
			}
		}
		for range 2 {
			if err := things.DetachPrincipal(ctx, tx, arn.Default, "lamp", "p", noon); err != nil {
				return err
			}
		}
		return things.Delete(ctx, tx, arn.Default, "lamp", 0, noon)
	})
	events, _, err := db.Outbox(context.Background(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, string(e.Kind))
	}
	want := []event.Kind{event.ThingChanged, event.PrincipalChanged, event.PrincipalChanged, event.ThingChanged}
	if got := strings.Join(kinds, " "); got != fmt.Sprintf("%s %s %s %s", want[0], want[1], want[2], want[3]) {
		t.Errorf("told %s", got)
	}
}

func TestAGroupHasAHundredChildren(t *testing.T) {
	update(t, open(t), func(ctx context.Context, tx store.Tx) error {
		create := func(name, parent string) error {
			return things.CreateGroup(ctx, tx, arn.Default, &things.Group{Name: name, Parent: parent, Created: noon})
		}
		if err := create("top", ""); err != nil {
			return err
		}
		for i := range 100 {
			if err := create(fmt.Sprintf("g%03d", i), "top"); err != nil {
				return err
			}
		}
		if err := create("g100", "top"); !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), "the limit is 100") {
			t.Errorf("the hundred-and-first gave %v", err)
		}
		if err := create("g000", "top"); err != nil {
			t.Errorf("one that is there gave %v", err)
		}
		return create("g100", "g000")
	})
}

// CreateThing again with the same content succeeds (rest-api.md, section 7.1),
// whatever became of its type meanwhile.
func TestTheSameThingAgain(t *testing.T) {
	update(t, open(t), func(ctx context.Context, tx store.Tx) error {
		if err := things.CreateType(ctx, tx, arn.Default, &things.Type{Name: "lamp", Created: noon}); err != nil {
			return err
		}
		lamp := func(room string) *things.Thing {
			return &things.Thing{Tenant: arn.Default, Name: "lamp-1", Type: "lamp", Attributes: map[string]string{"room": room}, Created: noon}
		}
		first := lamp("7")
		if err := things.Create(ctx, tx, first); err != nil {
			return err
		}
		if err := things.Deprecate(ctx, tx, arn.Default, "lamp", false, noon); err != nil {
			return err
		}
		again := lamp("7")
		if err := things.Create(ctx, tx, again); err != nil || again.ID != first.ID || again.Version != 1 {
			t.Errorf("got %+v, %v", again, err)
		}
		if err := things.Create(ctx, tx, lamp("8")); !fault.Is(err, fault.Exists) {
			t.Errorf("other content gave %v", err)
		}
		other := lamp("7")
		other.Name = "lamp-2"
		if err := things.Create(ctx, tx, other); !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), "depreated") {
			t.Errorf("a new one of a deprecated type gave %v", err)
		}
		return nil
	})
}
