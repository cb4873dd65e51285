package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// claim reads the claim's files and compares its dates with this device's
// clock. A clock that stands in 1970 after a power cut is the commonest reason
// why a good claim fails, and no server can say so.
func (a *Agent) claim() (tls.Certificate, error) {
	cert, err := readFile("claim-cert", a.Config.ClaimCert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile("claim-key", a.Config.ClaimKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	claim, err := pair(cert, key)
	if err != nil {
		return tls.Certificate{}, usage("--claim-cert and --claim-key do not belong together: %v.", err)
	}
	if a.Config.IgnoreDates {
		return claim, nil
	}
	return claim, checkDates(claim.Leaf, a.Now())
}

func checkDates(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) {
		return &Failure{Class: ClockWrong, Exit: ExitFailed, Text: fmt.Sprintf(
			"This device's clock says %s, before the claim certificate's notBefore, %s. Set the clock; --ignore-dates sends the claim anyway.",
			stamp(now), stamp(c.NotBefore))}
	}
	if now.After(c.NotAfter) {
		return &Failure{Class: ClaimExpired, Exit: ExitFailed, Text: fmt.Sprintf(
			"The claim certificate expired on %s; this device's clock says %s. Install a new claim, or set the clock if it is wrong; --ignore-dates sends the claim anyway.",
			stamp(c.NotAfter), stamp(now))}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (a *Agent) date() string { return stamp(a.Now()) }

// roots are those that vouch for the server; nil means the system's.
func (a *Agent) roots() (*x509.CertPool, error) {
	if a.Config.RootCA == "" {
		return nil, nil
	}
	b, err := readFile("root-ca", a.Config.RootCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, usage("--root-ca holds no certificate in PEM.")
	}
	return pool, nil
}
