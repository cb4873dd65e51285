package agent

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// KeySource says who makes the device's private key.
type KeySource uint8

const (
	OwnKey    KeySource = iota // the device; the key never leaves it
	ServerKey                  // the server, which sends it once
)

// KeyType is the kind of key that the device makes.
type KeyType uint8

const (
	P256 KeyType = iota
	RSA2048
)

// Config is what a device has to know before it can be provisioned.
type Config struct {
	Endpoint  string // HOST or HOST:PORT; the port is 8883 if none is given
	RootCA    string // file with the roots that vouch for the server; empty means the system's
	ClaimCert string // file with the claim certificate, PEM
	ClaimKey  string // file with its private key, PEM
	Template  string
	// Parameters are what the template asks for, the serial number above all.
	Parameters map[string]string
	Dir        string // where the identity and the state are kept

	Format   wire.Format
	Version  mqtt.Version // zero means MQTT 5
	Keys     KeySource
	KeyType  KeyType
	ClientID string // on the claim's connection; empty means a random one

	DeleteClaim bool // remove the claim's two files once the new identity has connected
	IgnoreDates bool // use the claim even if this device's clock says that it is not valid

	ConnectTimeout     time.Duration // TCP, TLS and CONNECT together; zero means 30 s
	CertificateTimeout time.Duration // from SUBSCRIBE to the certificate; zero means 30 s
	RegisterTimeout    time.Duration // from SUBSCRIBE to the registration; zero means 10 s
	// Attempts is how often a stage is tried before the run fails; zero means
	// five. What is refused for good is not tried again.
	Attempts int
}

const (
	defaultPort     = "8883"
	defaultAttempts = 5

	waitForConnection   = 30 * time.Second
	waitForCertificate  = 30 * time.Second
	waitForRegistration = 10 * time.Second
)

// withDefaults fills in what the caller left to us.
func (c Config) withDefaults() Config {
	orDuration := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orDuration(&c.ConnectTimeout, waitForConnection)
	orDuration(&c.CertificateTimeout, waitForCertificate)
	orDuration(&c.RegisterTimeout, waitForRegistration)
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Version == 0 {
		c.Version = mqttlink.V5
	}
	return c
}

// check finds what cannot work before anything is done or sent.
func (c Config) check() error {
	for _, need := range []struct{ value, name string }{
		{c.Endpoint, "endpoint"}, {c.Template, "template"}, {c.Dir, "out"}, {c.ClaimCert, "claim-cert"}, {c.ClaimKey, "claim-key"},
	} {
		if need.value == "" {
			return usage("--%s is missing.", need.name)
		}
	}
	if _, _, err := c.address(); err != nil {
		return err
	}
	if n := len(c.Template); n > 36 {
		return usage("--template has %d characters; a template's name has at most 36.", n)
	}
	if i := strings.IndexFunc(c.Template, func(r rune) bool { return !strings.ContainsRune(nameRunes, r) }); i >= 0 {
		return usage("--template %q: a template's name has letters, digits, - and _ alone.", c.Template)
	}
	return c.checkParameters()
}

// nameRunes are those of a template's name.
const nameRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// checkParameters applies the bounds that the server applies, so that a slip of
// the pen costs no certificate.
func (c Config) checkParameters() error {
	if len(c.Parameters) > wire.MaxParameters {
		return usage("There are %d parameters; at most %d can be sent.", len(c.Parameters), wire.MaxParameters)
	}
	for name, value := range c.Parameters {
		switch {
		case !utf8.ValidString(name), !utf8.ValidString(value):
			return usage("Parameter %q is not UTF-8.", name)
		case utf8.RuneCountInString(name) > wire.MaxParameterName:
			return usage("The name of parameter %.64q… is longer than %d characters.", name, wire.MaxParameterName)
		case utf8.RuneCountInString(value) > wire.MaxParameterValue:
			return usage("The value of parameter %q is longer than %d characters.", name, wire.MaxParameterValue)
		}
	}
	return nil
}

// address splits the endpoint.
func (c Config) address() (host, port string, err error) {
	host, port, err = net.SplitHostPort(c.Endpoint)
	if err != nil {
		host, port, err = net.SplitHostPort(net.JoinHostPort(c.Endpoint, defaultPort))
	}
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || host == "" || e != nil || n == 0 {
		return "", "", usage("--endpoint %q is not HOST or HOST:PORT.", c.Endpoint)
	}
	return host, port, nil
}

// endpoint is the endpoint with its port, as the state and config.json know it.
func (c Config) endpoint() string {
	host, port, err := c.address()
	if err != nil {
		return c.Endpoint
	}
	return net.JoinHostPort(host, port)
}

// clientID is the name on the claim's connection. Devices share a claim, and a
// server drops the older of two connections with one client id, so that a name
// nobody chose is random.
func (a *Agent) clientID() string {
	if a.Config.ClientID != "" {
		return a.Config.ClientID
	}
	return "slipway-agent-" + strconv.FormatUint(a.random(), 36)
}

// readFile reads one of the configured files.
func readFile(flag, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("--%s: %v.", flag, err)
	}
	return b, nil
}
