package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/server"
)

// A target is where a verb finds its control plane (DESIGN.md, decision 16):
// a URL with the keys of the usual AWS environment, or a server's data folder.
// A flag beats the environment, and that beats the folder of this directory.
type target struct {
	EndpointURL string `name:"endpoint-url" help:"Control plane to speak to; else $$AWS_ENDPOINT_URL_IOT or $$AWS_ENDPOINT_URL, with $$AWS_ACCESS_KEY_ID and its siblings, or what $$AWS_PROFILE says." placeholder:"URL" group:"Server" xor:"server"`
	Data        string `help:"Data folder of a server on this machine; else $$SLIPWAY_DATA, else ./slipway-data." placeholder:"DIR" group:"Server" xor:"server"`
	Passphrase  string `help:"Unlocks the keys in --data; better given by environment." env:"SLIPWAY_PASSPHRASE" group:"Server"`
	Region      string `help:"Region of the account; us-east-1 unless the AWS environment says otherwise." placeholder:"NAME" group:"Server"`
	RootCA      string `name:"root-ca" help:"PEM file that vouches for an https control plane; else $$AWS_CA_BUNDLE." placeholder:"FILE" group:"Server"`
}

// defaultData is the data folder when nothing names one.
const defaultData = "./slipway-data"

// connect finds the control plane. It sends nothing yet.
func (t *target) connect() (*plane, error) {
	switch {
	case t.EndpointURL != "":
		return t.remote(t.EndpointURL, "--endpoint-url")
	case t.Data != "":
		return t.local(t.Data, "--data "+t.Data)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_IOT", "AWS_ENDPOINT_URL"} {
		if endpoint := os.Getenv(name); endpoint != "" {
			return t.remote(endpoint, "$"+name)
		}
	}
	if endpoint := currentProfile().endpoint(); endpoint != "" && os.Getenv("AWS_PROFILE") != "" {
		return t.remote(endpoint, "$AWS_PROFILE")
	}
	if data := os.Getenv("SLIPWAY_DATA"); data != "" {
		return t.local(data, "$SLIPWAY_DATA")
	}
	p, err := t.local(defaultData, defaultData)
	var gone unreachable
	if errors.As(err, &gone) {
		return nil, unreachable{fmt.Errorf("%w.\nTried: --endpoint-url and --data (not given), $AWS_ENDPOINT_URL_IOT, $AWS_ENDPOINT_URL and $SLIPWAY_DATA (not set), $AWS_PROFILE (no endpoint_url), then %s. For an account on AWS: --endpoint-url https://iot.REGION.amazonaws.com", err, defaultData)}
	}
	return p, err
}

// remote is a control plane by URL, with the keys of the environment, else of
// the profile.
func (t *target) remote(endpoint, from string) (*plane, error) {
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("%s %q: expected http://HOST:PORT or https://HOST", from, endpoint)}
	}
	settings := currentProfile()
	id, secret, token := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	if id == "" || secret == "" {
		id, secret, token = settings["aws_access_key_id"], settings["aws_secret_access_key"], settings["aws_session_token"]
	}
	if id == "" || secret == "" {
		return nil, usageError{fmt.Errorf("%s names %s, which needs $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, or a profile that holds both: set them with `slipway env`, or from a profile of another kind with `aws configure export-credentials --format env`", from, endpoint)}
	}
	c := &api.Client{
		Endpoint: endpoint, Region: t.remoteRegion(endpoint, settings["region"]),
		AccessKeyID: id, Secret: secret, SessionToken: token,
	}
	if roots := os.Getenv("AWS_CA_BUNDLE"); t.RootCA == "" && roots != "" {
		return newPlane(c, from, "$AWS_CA_BUNDLE", roots)
	}
	return newPlane(c, from, "--root-ca", t.RootCA)
}

var awsHost = regexp.MustCompile(`^https://iot(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.`)

func (t *target) remoteRegion(endpoint, settled string) string {
	named := ""
	if m := awsHost.FindStringSubmatch(endpoint); m != nil {
		named = m[1]
	}
	for _, region := range []string{t.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), settled, named} {
		if region != "" {
			return region
		}
	}
	return defaultRegion
}

// local is the server that runs on a data folder, with its admin key.
func (t *target) local(data, from string) (*plane, error) {
	e, admin, err := readRunning(data, t.Passphrase)
	if err != nil {
		return nil, err
	}
	c := &api.Client{Endpoint: e.Control, Region: t.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	flag, roots := "--root-ca", t.RootCA
	if roots == "" {
		flag, roots = "the server's root", e.RootCA
	}
	p, err := newPlane(c, from, flag, roots)
	if err == nil {
		p.running = e
	}
	return p, err
}

// newPlane reads the roots, if there is a file of them; flag says who named it.
func newPlane(c *api.Client, from, flag, roots string) (*plane, error) {
	if roots != "" {
		pem, err := readGiven(flag, roots)
		if err != nil {
			return nil, err
		}
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM(pem) {
			return nil, usageError{fmt.Errorf("%s %s: it holds no certificate in PEM", flag, roots)}
		}
	}
	return &plane{client: c, from: from}, nil
}

// A plane is a control plane that a verb speaks to.
type plane struct {
	client  *api.Client
	from    string            // where its address was found
	running *server.Endpoints // of a server on this machine; nil: another's
}
