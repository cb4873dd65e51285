package main

import (
	"testing"
	"time"
)

func TestAListedClaimSaysThatItsTimeIsOver(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, tt := range map[string]struct {
		claim claimItem
		want  string
	}{
		"good":               {claimItem{Status: "ACTIVE", Expiration: 1001}, "ACTIVE"},
		"over":               {claimItem{Status: "ACTIVE", Expiration: 999}, "ACTIVE, expired"},
		"revoked, then over": {claimItem{Status: "REVOKED", Expiration: 999}, "REVOKED, expired"},
		"without a date":     {claimItem{Status: "ACTIVE"}, "ACTIVE"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.claim.state(now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
