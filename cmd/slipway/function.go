package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/templates"
)

// functionCmd are the verbs about functions.
type functionCmd struct {
	Add    functionAdd    `cmd:"" help:"Add or replace a function: an allowlist, a program or a URL."`
	List   functionList   `cmd:"" help:"List the functions."`
	Remove functionRemove `cmd:"" help:"Remove a function; templates that ask it refuse devices from then on."`
	Test   functionTest   `cmd:"" help:"Call a function and print its answer."`
}

// functionAdd stores a function. Exactly one of the three kinds is given.
type functionAdd struct {
	target
	Name string   `arg:"" help:"Its name: the last part of the Lambda ARN by which templates know it."`
	Args []string `arg:"" optional:"" help:"Arguments of --program, after a --."`

	Allowlist string            `help:"CSV file of the serials that may provision, under a first line that names its columns; further columns override parameters." placeholder:"FILE.csv" xor:"kind"`
	ByPath    bool              `help:"With --allowlist: the server reads the file itself, again whenever it has changed."`
	Parameter string            `help:"With --allowlist: the parameter that holds the serial; SerialNumber if not given." placeholder:"NAME"`
	Program   string            `help:"Program on the server's machine that speaks the AWS Lambda Runtime API." placeholder:"PATH" xor:"kind"`
	Env       map[string]string `help:"With --program: environment variable of the program; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	URL       string            `name:"url" help:"HTTPS endpoint that is called by POST." placeholder:"URL" xor:"kind"`
	SecretEnv string            `help:"With --url: environment variable here that holds the key which signs the calls." placeholder:"VAR"`

	AllowPrivate bool          `help:"With --url: it may be plain http and may lie in a private network."`
	Concurrency  int           `help:"Most calls at the same time; each has a process or connection of its own." placeholder:"N"`
	Timeout      time.Duration `help:"Longest duration of a call; at most and by default 5s." placeholder:"DURATION"`
	JSON         bool          `name:"json" help:"Print a JSON object."`
}

// spec is the function that the flags describe.
func (c *functionAdd) spec() (functions.Spec, error) {
	f := functions.Spec{Name: c.Name, Concurrency: c.Concurrency, Timeout: c.Timeout, Env: c.Env,
		Parameter: c.Parameter, AllowPrivate: c.AllowPrivate, Command: c.Args}
	var err error
	switch {
	case c.Allowlist == "" && c.Program == "" && c.URL == "":
		return f, usageError{errors.New("say what it is: --allowlist FILE.csv, --program PATH or --url URL")}
	case c.Program != "":
		f.Kind = functions.Process
		var path string
		path, err = filepath.Abs(c.Program)
		f.Command = append([]string{path}, c.Args...)
	case c.URL != "":
		f.Kind, f.URL = functions.HTTP, c.URL
	default:
		f.Kind = functions.Allowlist
		err = c.list(&f)
	}
	if err == nil && c.SecretEnv != "" {
		if f.Secret = os.Getenv(c.SecretEnv); f.Secret == "" {
			err = usageError{fmt.Errorf("--secret-env: $%s is empty", c.SecretEnv)}
		}
	}
	if err == nil {
		err = f.Check()
	}
	return f, err
}

func (c *functionAdd) list(f *functions.Spec) (err error) {
	if c.ByPath {
		f.Path, err = filepath.Abs(c.Allowlist)
		return err
	}
	text, err := readGiven("--allowlist", c.Allowlist)
	if err == nil && len(strings.TrimSpace(string(text))) == 0 {
		err = fmt.Errorf("%s is empty: expected a first line with the name of the column, then a serial on each line", c.Allowlist)
	}
	f.CSV = string(text)
	return err
}

// functionItem is a function as the server shows it: without secrets.
type functionItem struct {
	functions.Spec
	ARN string
}

// UnmarshalJSON reads a spec and, beside it, the ARN.
func (f *functionItem) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	if err := json.Unmarshal(members["functionArn"], &f.ARN); err != nil {
		return err
	}
	delete(members, "functionArn")
	rest, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return json.Unmarshal(rest, &f.Spec)
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f functionItem) MarshalJSON() ([]byte, error) {
	var members map[string]any
	spec, err := json.Marshal(f.Spec)
	if err == nil {
		err = json.Unmarshal(spec, &members)
	}
	if err != nil {
		return nil, err
	}
	members["functionArn"] = f.ARN
	return json.Marshal(members)
}

// what says in a few words what is called.
func (f functionItem) what() string {
	switch f.Kind {
	case functions.Process:
		return strings.Join(f.Command, " ")
	case functions.HTTP:
		return f.URL
	}
	if f.Path != "" {
		return "the serials of " + f.Path
	}
	heading, _, _ := strings.Cut(strings.TrimSpace(f.CSV), "\n")
	return plural(max(0, strings.Count(strings.TrimSpace(f.CSV), "\n")), "serial") + " under " + strings.TrimSpace(heading)
}

func functionPath(name string, more ...string) string {
	return api.Path(append([]string{"slipway", "functions", name}, more...)...)
}

func (p *plane) functions(ctx context.Context) ([]functionItem, error) {
	list, err := all[functionItem](ctx, p, http.MethodGet, "/slipway/functions", byToken(), "functions")
	return list, p.needsSlipway(err)
}

// Run stores it.
func (c *functionAdd) Run(ctx context.Context, s streams) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var made functionItem
	if err := p.own(ctx, http.MethodPut, functionPath(c.Name), nil, spec, &made); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, made)
	}
	out := sheet{s.out, 10}
	out.line("function", made.Name)
	out.line("arn", made.ARN)
	out.line("calls", made.what())
	if p.running != nil && c.Program != "" {
		if _, err := os.Stat(spec.Command[0]); errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(s.err, "slipway: %s is not there yet; calls fail until it is.\n", spec.Command[0])
		}
	}
	fmt.Fprintf(s.out, "Use it: slipway template apply FILE --hook %s\n", made.Name)
	return nil
}

// functionList prints all functions.
type functionList struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *functionList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := p.functions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, f := range list {
		rows = append(rows, f.Name+"\t"+f.Kind+"\t"+f.what()+"\t"+f.ARN)
	}
	return writeTable(s.out, "NAME\tKIND\tCALLS\tARN", rows)
}

// functionRemove removes one.
type functionRemove struct {
	target
	Name string `arg:"" help:"Name of the function."`
}

// Run removes it.
func (c *functionRemove) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	if err := p.own(ctx, http.MethodDelete, functionPath(c.Name), nil, nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "Function %s is removed.\n", c.Name)
	return err
}

// functionTest calls one.
type functionTest struct {
	target
	Name    string            `arg:"" help:"Name of the function."`
	Payload string            `help:"File with the payload; - reads standard input." placeholder:"FILE" xor:"payload"`
	Param   map[string]string `help:"Call it as a hook for a device with this parameter; may be repeated." placeholder:"NAME=VALUE" mapsep:"none" xor:"payload"`
}

// Run calls it. What the function answers goes out as it came.
func (c *functionTest) Run(ctx context.Context, s streams) error {
	payload, err := c.payload(s)
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var answer []byte
	if err := p.own(ctx, http.MethodPost, functionPath(c.Name, "test"), nil, payload, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, indentJSON(string(answer)))
	return err
}

// payload is the file's, or that of a hook (hooks-and-events.md, section 1.2)
// for a device that does not exist.
func (c *functionTest) payload(s streams) ([]byte, error) {
	if c.Payload == "" && len(c.Param) == 0 {
		return nil, usageError{errors.New("say what it is asked: --param NAME=VALUE, as for a device, or --payload FILE")}
	}
	if c.Payload != "" {
		return readInput(s, "--payload", c.Payload)
	}
	return json.Marshal(map[string]any{
		"claimCertificateId": templates.NoCertificate, "certificateId": templates.NoCertificate, "certificatePem": "",
		"templateArn": "arn:aws:iot:us-east-1:000000000000:provisioningtemplate/test", "clientId": "test",
		"parameters": c.Param,
	})
}
