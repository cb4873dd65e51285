package records

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/fault"
)

var byAge = list{name: "certificates", args: []any{"000000000000/us-east-1"}, order: []string{"#created", "id"}}

func TestCursorComesBackAsItsMark(t *testing.T) {
	for _, want := range []mark{{int64(0), ""}, {int64(-1 << 62), "é\"\\ 🔒"}, {int64(1<<63 - 1), strings.Repeat("x", 2048)}} {
		for _, down := range []bool{false, true} {
			got, err := byAge.open(byAge.cursor(want, down), down)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
	}
}

// FuzzCursor asserts that whatever a caller sends as a token is either a mark
// that the statement can take, or an invalid request.
func FuzzCursor(f *testing.F) {
	f.Add(byAge.cursor(mark{int64(1), "a"}, false))
	f.Add(byAge.cursor(mark{int64(1), "a"}, true))
	f.Add("")
	f.Add("W10=")
	f.Add("WyIiLCIxIiwiYSJd")
	f.Add("bnVsbA==")
	f.Fuzz(func(t *testing.T, cursor string) {
		at, err := byAge.open(cursor, false)
		if err != nil {
			if !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("%v", err)
			}
			return
		}
		if _, ok := at[0].(int64); !ok || len(at) != 2 {
			t.Errorf("mark %v", at)
		}
		if _, ok := at[1].(string); !ok {
			t.Errorf("mark %v", at)
		}
	})
}

// FuzzEvents asserts that a row of the outbox, however damaged, is read or
// refused.
func FuzzEvents(f *testing.F) {
	f.Add(`[{"k":"certificate.status","t":"000000000000/us-east-1","i":"a","d":"REVOKED","a":1}]`)
	f.Add(`[]`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, body string) {
		events, err := OpenEvents(body)
		if err != nil {
			return
		}
		if _, err := PackEvents(events); err != nil {
			t.Error(err)
		}
	})
}
