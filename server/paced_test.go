package server

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/tenants"
)

// The gateway holds an account to AWS's rate quotas as soon as its profile says
// so, and no longer.
func TestTheGatewayFollowsAnAccountsProfile(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.Profile = tenants.AWS })
	if !s.paced(arn.Default) {
		t.Error("the server's profile does not hold")
	}
	for _, profile := range []tenants.Profile{tenants.None, tenants.AWS, tenants.None, ""} {
		_, err := call(s.admin(), "PATCH", "/slipway/accounts/000000000000/us-east-1", fmt.Sprintf(`{"profile":%q}`, profile))
		must(t, err)
		for want := profile != tenants.None; s.paced(arn.Default) != want; {
			runtime.Gosched() // the account's change is on its way
		}
	}
}

// The data plane has quotas of its own: what AWS's brokers take in a second is
// more than what its control plane does.
func TestTheDataPlaneHasItsOwnQuotas(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.Profile = tenants.AWS })
	admin := s.admin()
	admin.Pause = func(context.Context, time.Duration) error { return nil }
	for range 50 {
		_, err := sends(admin, "nobody", "topic=a", "x")
		wantRefusal(t, err, "ResourceNotFoundException", "nobody")
		must(t, publishes(admin, "a", "", "x"))
	}
}
