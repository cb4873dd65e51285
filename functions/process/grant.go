package process

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// granted is what the environment of a process needs to reach the control
// plane: where it is, and where its AWS SDK fetches credentials. A grant that
// fails leaves it out; the function then meets the lack of credentials.
func (c *child) granted(api string) map[string]string {
	p := c.program
	if p.driver.Grant == nil {
		return nil
	}
	g, err := p.driver.Grant(p.tenant, p.spec.Name)
	if err != nil {
		return nil
	}
	env := maps.Clone(g.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://" + api + "/credentials"
	return env
}

// credentials answers in the form of AWS's container credentials.
func (c *child) credentials(w http.ResponseWriter) {
	p := c.program
	g, err := p.driver.Grant(p.tenant, p.spec.Name)
	if err != nil {
		reply(w, http.StatusInternalServerError, "InternalError", "no credentials could be made")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"AccessKeyId": g.KeyID, "SecretAccessKey": g.Secret, "Token": g.Token, "Expiration": g.Expires.UTC().Format(time.RFC3339),
	})
}
