package agent

import (
	"os"
	"path/filepath"

	"github.com/slipway-iot/slipway/wire/handover"
)

// Files of a temporary claim in the device's folder, while it is needed.
const (
	ClaimCertFile = "claim.cert.pem"
	ClaimKeyFile  = "claim.private.key"
)

// Keep puts a claim that was handed over into the device's folder, and gives
// the configuration that trades it. The claim's files go when the new identity
// has connected. A root in the claim is taken unless the configuration names
// one: what was installed on purpose vouches for more.
func Keep(c Config, claim *handover.Claim) (Config, error) {
	if c.Dir == "" {
		return c, usage("--out is missing.")
	}
	if err := makeDir(c.Dir); err != nil {
		return c, err
	}
	if _, err := pair([]byte(claim.Certificate), []byte(claim.PrivateKey)); err != nil {
		return c, usage("The certificate and the key of the claim do not belong together: %v.", err)
	}
	files := []struct{ name, text string }{{ClaimKeyFile, claim.PrivateKey}, {ClaimCertFile, claim.Certificate}}
	if c.RootCA == "" && claim.RootCA != "" {
		files = append(files, struct{ name, text string }{RootFile, claim.RootCA})
		c.RootCA = filepath.Join(c.Dir, RootFile)
	}
	for _, f := range files {
		if err := writeFile(c.Dir, f.name, []byte(f.text), 0o600); err != nil {
			return c, broken(err, "The claim cannot be written: %v.", err)
		}
	}
	c.Template, c.DeleteClaim = claim.Template, true
	c.ClaimCert, c.ClaimKey = filepath.Join(c.Dir, ClaimCertFile), filepath.Join(c.Dir, ClaimKeyFile)
	return c, nil
}

func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return usage("--out: %v.", err)
	}
	return nil
}
