package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/server"
)

// envCmd prints shell exports for a running server.
type envCmd struct {
	Data       string `help:"The server's data folder; ./slipway-data if not given." default:"./slipway-data" env:"SLIPWAY_DATA" placeholder:"DIR"`
	Passphrase string `help:"Unlocks the keys in --data." env:"SLIPWAY_PASSPHRASE"`
	Region     string `help:"Region of the exports." default:"us-east-1"`
	JSON       bool   `name:"json" help:"Print a JSON object instead."`
}

// awsEndpoints are the services that a device fleet's tools ask for; each is
// answered, or refused by name, by the control port.
var awsEndpoints = []string{"IOT", "IOT_DATA_PLANE", "IOT_JOBS_DATA_PLANE", "STS"}

// Run prints the exports.
func (c *envCmd) Run(_ context.Context, s streams) error {
	if c.Data == "" { // $SLIPWAY_DATA is set, to nothing
		c.Data = defaultData
	}
	e, admin, err := readRunning(c.Data, c.Passphrase)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(e.RootCA)
	if err != nil {
		return err
	}
	vars := exports(admin.ID, admin.Secret, c.Region, e.Control, root)
	vars = append(vars, [2]string{"SLIPWAY_MQTT_PORT", portOf(e.MQTT)})
	if e.HTTPS != "" {
		vars = append(vars, [2]string{"SLIPWAY_HTTPS_PORT", portOf(e.HTTPS)})
	}
	if e.ALPN != "" {
		vars = append(vars, [2]string{"SLIPWAY_ALPN_PORT", portOf(e.ALPN)})
	}
	if c.JSON {
		m := map[string]string{}
		for _, v := range vars {
			m[v[0]] = v[1]
		}
		return json.NewEncoder(s.out).Encode(m)
	}
	return writeExports(s.out, vars)
}

// exports are the variables with which tools call a control plane by a key;
// root is the file of what vouches for it, empty if it is not known here.
func exports(id, secret, region, endpoint, root string) [][2]string {
	vars := [][2]string{
		{"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", secret},
		{"AWS_REGION", region}, {"AWS_DEFAULT_REGION", region},
	}
	for _, service := range awsEndpoints {
		vars = append(vars, [2]string{"AWS_ENDPOINT_URL_" + service, endpoint})
	}
	if root == "" {
		return vars
	}
	if strings.HasPrefix(endpoint, "https://") {
		vars = append(vars, [2]string{"AWS_CA_BUNDLE", root})
	}
	return append(vars, [2]string{"SLIPWAY_ROOT_CA", root})
}

// writeExports prints variables for a shell to eval.
func writeExports(w io.Writer, vars [][2]string) error {
	for _, v := range vars {
		fmt.Fprintf(w, "export %s=%s\n", v[0], shellQuote(v[1]))
	}
	_, err := fmt.Fprintln(w, "unset AWS_SESSION_TOKEN AWS_PROFILE")
	return err
}

// shellQuote makes a word that every POSIX shell reads back as it is.
func shellQuote(v string) string {
	if v != "" && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+") == "" {
		return v
	}
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}

// readRunning reads where a data folder's server runs, and its admin key.
func readRunning(data, passphrase string) (*server.Endpoints, *server.Credential, error) {
	b, err := os.ReadFile(filepath.Join(data, server.EndpointsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, unreachable{fmt.Errorf("no server runs on %s: start it with `slipway serve --data %s`", data, data)}
	}
	if err != nil {
		return nil, nil, err
	}
	var e server.Endpoints
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, nil, fmt.Errorf("%s in %s is not readable: %w", server.EndpointsFile, data, err)
	}
	key, created, err := seal.Open(data, passphrase, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if created {
		return nil, nil, fmt.Errorf("%s held no unlock key", data)
	}
	admin, err := server.ReadAdmin(data, key)
	return &e, admin, err
}

// unreachable says that no server answers.
type unreachable struct{ error }

func (unreachable) ExitCode() int { return exitUnreachable }

// defaultRegion is the region when nothing names one.
var defaultRegion = arn.Default.Region
