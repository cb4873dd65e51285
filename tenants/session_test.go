package tenants_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/tenants"
)

func TestSessions(t *testing.T) {
	box, _, err := seal.Open(t.TempDir(), "", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := tenants.NewSession(box, "111122223333", tenants.Function, "function/f", rand.Reader, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.ID, "ASIA") || s.Expires != now.Add(time.Hour) {
		t.Errorf("got %+v", s)
	}
	k, same, err := tenants.OpenSession(box, s.ID, s.Token, now.Add(time.Hour-time.Second))
	if err != nil || *same != *s || k.ID != s.ID || k.Account != "111122223333" || k.Role != tenants.Function || k.Name != "function/f" {
		t.Errorf("got %+v, %v", k, err)
	}
	for name, tc := range map[string]struct {
		id, token string
		at        time.Time
		kind      fault.Kind
	}{
		"its time is over":       {s.ID, s.Token, now.Add(time.Hour), fault.ExpiredToken},
		"another key's":          {"ASIAOTHER", s.Token, now, fault.UnknownKey},
		"one that was cut short": {s.ID, s.Token[:20], now, fault.UnknownKey},
		"none at all":            {s.ID, "", now, fault.UnknownKey},
	} {
		if _, _, err := tenants.OpenSession(box, tc.id, tc.token, tc.at); !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tenants.NewSession(box, "111122223333", tenants.Function, "f", rand.Reader, now, 13*time.Hour); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("too long: %v", err)
	}
}
