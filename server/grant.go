package server

import (
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions/process"
	"github.com/slipway-iot/slipway/tenants"
)

// grantLife is how long a function's credentials last. Its SDK fetches new
// ones in time; what leaks is of no use an hour later.
const grantLife = time.Hour

// grant gives a function credentials of its own for the control plane, with
// the role function in its account: the rights of AWS's managed policy for
// registering things.
func (s *Server) grant(t arn.Tenant, name string) (process.Grant, error) {
	session, err := tenants.NewSession(s.seal, t.Account, tenants.Function, "function/"+name, s.cfg.Rand, s.cfg.Now(), grantLife)
	if err != nil {
		return process.Grant{}, err
	}
	env := map[string]string{"AWS_ENDPOINT_URL_IOT": s.controlURL(), "AWS_ENDPOINT_URL_STS": s.controlURL()}
	if s.controlTLS() {
		env["AWS_CA_BUNDLE"] = s.rootCAPath()
	}
	return process.Grant{KeyID: session.ID, Secret: session.Secret, Token: session.Token, Expires: session.Expires, Env: env}, nil
}
