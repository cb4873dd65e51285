package ref

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

func TestIDIsAUUIDOfItsRecord(t *testing.T) {
	made := time.Unix(1767225600, 5)
	id := ID("000000000000/us-east-1", "thing", "lamp", made)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("%s is no UUID of version 8", id)
	}
	if id != ID("000000000000/us-east-1", "thing", "lamp", made.UTC()) {
		t.Error("the same record got two identifiers")
	}
	others := []string{
		ID("000000000001/us-east-1", "thing", "lamp", made),
		ID("000000000000/us-east-1", "thingtype", "lamp", made),
		ID("000000000000/us-east-1", "thing", "lam", made),
		ID("000000000000/us-east-1", "thing", "lamp", made.Add(1)),
	}
	for _, other := range others {
		if other == id {
			t.Error("two records share an identifier")
		}
	}
}

// fifty is every limit of an account.
type fifty struct{}

func (fifty) Limit(context.Context, arn.Tenant, Limit) (int, error) { return 50, nil }

func TestRetag(t *testing.T) {
	old := map[string]string{"site": "north", "line": "1"}
	got, err := Retag(t.Context(), fifty{}, arn.Default, old, map[string]string{"line": "2"}, []string{"site", "none"})
	if diff := cmp.Diff(map[string]string{"line": "2"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if len(old) != 2 {
		t.Error("the old tags were changed")
	}
	if _, err := Retag(t.Context(), fifty{}, arn.Default, nil, map[string]string{"AWS:x": ""}, nil); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("a reserved key gave %v", err)
	}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	if _, err := Retag(t.Context(), fifty{}, arn.Default, nil, many, nil); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("51 tags gave %v", err)
	}
	if got, err := Retag(t.Context(), fifty{}, arn.Default, many, nil, []string{"0"}); err != nil || len(got) != 50 {
		t.Errorf("a resource that carries more than a new limit keeps %d tags after one was taken away: %v", len(got), err)
	}
}
