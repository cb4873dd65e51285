package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/wire"
	"github.com/slipway-iot/slipway/wire/strict"
)

// environment is the prefix of every flag's environment variable.
const environment = "SLIPWAY_AGENT"

// provision trades a claim that lies in files.
type provision struct {
	Endpoint  string `required:"" placeholder:"HOST[:PORT]" help:"Server to connect to; port 8883 if none is given."`
	ClaimCert string `required:"" placeholder:"FILE" help:"Claim certificate, PEM."`
	ClaimKey  string `required:"" placeholder:"FILE" help:"Private key of the claim, PEM."`
	Template  string `required:"" placeholder:"NAME" help:"Provisioning template to use."`
	Keys      string `enum:"csr,server" default:"csr" help:"Who makes the private key: csr means this device, and the key never leaves it; server means the server."`
	run

	DeleteClaim bool `help:"Delete the claim's two files once the new identity has connected."`
	IgnoreDates bool `help:"Use the claim even if this device's clock says that it is not valid."`
}

// A run is what every way to an identity takes.
type run struct {
	ConfigFile kong.ConfigFlag `name:"config" placeholder:"FILE" help:"JSON file whose keys are flag names."`

	RootCA string `name:"root-ca" placeholder:"FILE" help:"PEM file with the roots that vouch for the server; the system's if not given."`
	Param  params `placeholder:"NAME=VALUE" help:"Parameter of the template; may be repeated. In the environment, one pair or a JSON object."`
	Out    string `required:"" placeholder:"DIR" help:"Folder for the identity and for the state of the run."`

	Format   string `enum:"json,cbor" default:"json" help:"Encoding of the payloads: json or cbor."`
	MQTT     string `name:"mqtt" enum:"5,3.1.1" default:"5" help:"Version of MQTT: 5 or 3.1.1. Only 5 tells why it refuses."`
	KeyType  string `enum:"p256,rsa2048" default:"p256" help:"Key that this device makes: p256 or rsa2048."`
	ClientID string `name:"client-id" placeholder:"ID" help:"MQTT client id on the claim's connection; random if not given."`
	JSON     bool   `name:"json" help:"Print the result as JSON."`

	Attempts           int           `default:"5" help:"How often a stage is tried."`
	ConnectTimeout     time.Duration `default:"30s" help:"Longest wait for a connection."`
	CertificateTimeout time.Duration `default:"30s" help:"Longest wait for the certificate."`
	RegisterTimeout    time.Duration `default:"10s" help:"Longest wait for the registration."`
	Timeout            time.Duration `help:"Longest duration of the whole run; no limit if not given."`
}

// config is what the flags say. The enums have been checked by the parser.
func (p *provision) config() agent.Config {
	c := p.run.config()
	c.Endpoint, c.ClaimCert, c.ClaimKey, c.Template = p.Endpoint, p.ClaimCert, p.ClaimKey, p.Template
	c.DeleteClaim, c.IgnoreDates = p.DeleteClaim, p.IgnoreDates
	if p.Keys == "server" {
		c.Keys = agent.ServerKey
	}
	return c
}

func (p *run) config() agent.Config {
	c := agent.Config{
		RootCA: p.RootCA, Parameters: p.Param, Dir: p.Out, Version: mqttlink.V5, ClientID: p.ClientID, Attempts: p.Attempts,
		ConnectTimeout: p.ConnectTimeout, CertificateTimeout: p.CertificateTimeout, RegisterTimeout: p.RegisterTimeout,
	}
	c.Format, _ = wire.ParseFormat(p.Format)
	if p.MQTT == "3.1.1" {
		c.Version = mqttlink.V311
	}
	if p.KeyType == "rsa2048" {
		c.KeyType = agent.RSA2048
	}
	return c
}

// Validate refuses what the parser cannot know to be wrong.
func (p *run) Validate() error {
	if p.Attempts < 1 {
		return fmt.Errorf("--attempts is %d; at least one is needed", p.Attempts)
	}
	for name, d := range map[string]time.Duration{"connect-timeout": p.ConnectTimeout,
		"certificate-timeout": p.CertificateTimeout, "register-timeout": p.RegisterTimeout} {
		if d <= 0 {
			return fmt.Errorf("--%s is %s; it has to be longer than nothing", name, d)
		}
	}
	if p.Timeout < 0 {
		return fmt.Errorf("--timeout is %s; it has to be longer than nothing, or left out", p.Timeout)
	}
	return nil
}

// params are the template's parameters. A value may hold any character, so that
// a pair is never split at anything but its first "=".
type params map[string]string

// Decode reads NAME=VALUE, a JSON object from the environment, or an object of
// the configuration file.
func (p *params) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("NAME=VALUE")
	if err != nil {
		return err
	}
	if *p == nil {
		*p = params{}
	}
	switch v := token.Value.(type) {
	case map[string]string:
		for name, value := range v {
			(*p)[name] = value
		}
		return nil
	case string:
		return p.add(v)
	}
	return fmt.Errorf("expected an object or NAME=VALUE")
}

func (p *params) add(text string) error {
	if strings.HasPrefix(text, "{") {
		v, err := strict.Parse([]byte(text))
		if err != nil {
			return err
		}
		object, err := texts(v)
		for name, value := range object {
			(*p)[name] = value
		}
		return err
	}
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	if _, twice := (*p)[name]; twice {
		return fmt.Errorf("parameter %q is given twice", name)
	}
	(*p)[name] = value
	return nil
}

func texts(v *strict.Value) (map[string]string, error) {
	if v.Kind != strict.Object {
		return nil, fmt.Errorf("%s is %s; an object is expected", v.Where(), v.Kind)
	}
	out := map[string]string{}
	for _, m := range v.Members {
		if m.Value.Kind != strict.String {
			return nil, fmt.Errorf("%s is %s; a string is expected", m.Value.Where(), m.Value.Kind)
		}
		out[m.Key] = m.Value.Text
	}
	return out, nil
}

// A fileResolver gives flags their values from the configuration file. The
// environment goes before it.
type fileResolver struct{ file *strict.Value }

// configFile reads the file that --config names.
func configFile(r io.Reader) (kong.Resolver, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	v, err := strict.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if v.Kind != strict.Object {
		return nil, fmt.Errorf("--config: the file holds %s; an object is expected", v.Kind)
	}
	return fileResolver{v}, nil
}

// Validate refuses a key that no flag has: a misspelt one would be ignored in
// silence.
func (f fileResolver) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, node := range app.Children {
		for _, flag := range node.Flags {
			known[flag.Name] = true
		}
	}
	for _, m := range f.file.Members {
		if !known[m.Key] || m.Key == "config" {
			return fmt.Errorf("--config: %s is no flag's name", m.Value.Where())
		}
	}
	return nil
}

// Resolve looks a flag up.
func (f fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	v := f.file.Get(flag.Name)
	if v == nil {
		return nil, nil
	}
	switch v.Kind {
	case strict.String, strict.Number:
		return v.Text, nil
	case strict.Bool:
		return v.Bool, nil
	case strict.Object:
		return texts(v)
	}
	return nil, fmt.Errorf("--config: %s is %s, which no flag takes", v.Where(), v.Kind)
}
