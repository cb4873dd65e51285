package server

import (
	"fmt"
	"runtime"
	"testing"

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
