package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// The kinds of function.
const (
	Process   = "process"
	HTTP      = "http"
	Allowlist = "allowlist"
)

// MaxTimeout is what AWS IoT gives a hook (hooks-and-events.md, section 1.1),
// and what a function gets that asks for nothing else.
const MaxTimeout = 5 * time.Second

// maxConcurrency bounds the processes or connections of one function.
const maxConcurrency = 256

// A Spec is the operator's description of a function, as it is stored.
type Spec struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // process, http or allowlist

	// Command is the program of a process function and its arguments. The
	// program is an absolute path.
	Command []string `json:"command,omitempty"`
	// Env is added to the clean environment of a process.
	Env map[string]string `json:"env,omitempty"`

	// URL is where an http function is called by POST.
	URL string `json:"url,omitempty"`
	// Secret is the key of the signature that an http function receives;
	// without one calls are not signed.
	Secret string `json:"secret,omitempty"`
	// AllowPrivate lets URL reach loopback, link-local and private addresses,
	// and lets it be plain http.
	AllowPrivate bool `json:"allowPrivate,omitempty"`

	// Path is the CSV file of an allowlist, CSV its text; one of them is set.
	Path string `json:"path,omitempty"`
	CSV  string `json:"csv,omitempty"`
	// Parameter is the one that holds the serial number; default SerialNumber.
	Parameter string `json:"parameter,omitempty"`

	// Concurrency bounds the calls under way, and so the processes or
	// connections; default 2 for a process, 32 otherwise.
	Concurrency int `json:"concurrency,omitempty"`
	// Timeout bounds a call, waiting and starting included; default and
	// longest 5 s. In JSON it is a text such as "1.5s".
	Timeout time.Duration `json:"-"`
}

// plainSpec is Spec without its methods, and wireSpec its JSON form.
type plainSpec Spec

type wireSpec struct {
	plainSpec
	Timeout string `json:"timeout,omitempty"`
}

// MarshalJSON writes the timeout as a text.
func (s Spec) MarshalJSON() ([]byte, error) {
	w := wireSpec{plainSpec: plainSpec(s)}
	if s.Timeout != 0 {
		w.Timeout = s.Timeout.String()
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. An unknown member is an error:
// a setting that this version does not know must not be dropped silently.
func (s *Spec) UnmarshalJSON(data []byte) error {
	var w wireSpec
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "The function cannot be read: %s.", unreadable(err))
	}
	*s = Spec(w.plainSpec)
	if w.Timeout == "" {
		return nil
	}
	t, err := time.ParseDuration(w.Timeout)
	if err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "timeout %q: expected a duration such as 2s or 500ms", Quote(w.Timeout))
	}
	s.Timeout = t
	return nil
}

// unreadable names the member that encoding/json refused, in our words.
func unreadable(err error) string {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s is a JSON %s", strings.TrimPrefix(kind.Field, "plainSpec."), kind.Value)
	}
	return arn.Clip(strings.TrimPrefix(err.Error(), "json: "), 120)
}

// WithDefaults fills what the operator left open.
func (s Spec) WithDefaults() Spec {
	if s.Concurrency == 0 {
		s.Concurrency = 32
		if s.Kind == Process {
			s.Concurrency = 2
		}
	}
	if s.Timeout == 0 {
		s.Timeout = MaxTimeout
	}
	if s.Parameter == "" && s.Kind == Allowlist {
		s.Parameter = "SerialNumber"
	}
	return s
}

// Redacted is s fit to be shown: the secret and the values of the environment
// are replaced by stars.
func (s Spec) Redacted() Spec {
	const stars = "***"
	if s.Secret != "" {
		s.Secret = stars
	}
	env := make(map[string]string, len(s.Env))
	for k := range s.Env {
		env[k] = stars
	}
	s.Env = env
	return s
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Check says what is wrong with s, if anything, and names the field as JSON
// has it.
func (s Spec) Check() error {
	if !nameForm.MatchString(s.Name) {
		return bad("name %q: expected 1 to 64 letters, digits, hyphens and underscores", Quote(s.Name))
	}
	if s.Timeout < 0 || s.Timeout > MaxTimeout {
		return bad("timeout %s: expected more than 0 and at most 5 s", s.Timeout)
	}
	if s.Concurrency < 0 || s.Concurrency > maxConcurrency {
		return bad("concurrency %d: expected 1 to %d", s.Concurrency, maxConcurrency)
	}
	if err := s.checkForeign(); err != nil {
		return err
	}
	switch s.Kind {
	case Process:
		return s.checkProcess()
	case HTTP:
		return s.checkHTTP()
	case Allowlist:
		return s.checkAllowlist()
	}
	return bad("kind %q: expected process, http or allowlist", Quote(s.Kind))
}

// checkForeign refuses fields of another kind: who sets one expects it to
// have an effect.
func (s Spec) checkForeign() error {
	for _, f := range []struct {
		name, kind string
		set        bool
	}{
		{"command", Process, len(s.Command) > 0},
		{"env", Process, len(s.Env) > 0},
		{"url", HTTP, s.URL != ""},
		{"secret", HTTP, s.Secret != ""},
		{"allowPrivate", HTTP, s.AllowPrivate},
		{"path", Allowlist, s.Path != ""},
		{"csv", Allowlist, s.CSV != ""},
		{"parameter", Allowlist, s.Parameter != ""},
	} {
		if f.set && s.Kind != f.kind {
			return bad("%s: a function of kind %s has no such field; it belongs to kind %s", f.name, Quote(s.Kind), f.kind)
		}
	}
	return nil
}

func (s Spec) checkProcess() error {
	if len(s.Command) == 0 || !filepath.IsAbs(s.Command[0]) {
		return bad("command: expected the absolute path of a program, then its arguments")
	}
	for i, a := range s.Command {
		if strings.ContainsRune(a, 0) {
			return bad("command[%d]: a NUL byte cannot be passed to a program", i)
		}
	}
	for k, v := range s.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return bad("env %q: a name has no = and neither name nor value a NUL byte", Quote(k))
		}
		if k == "AWS_LAMBDA_RUNTIME_API" {
			return bad("env AWS_LAMBDA_RUNTIME_API: the server sets it for each process")
		}
	}
	return nil
}

func (s Spec) checkHTTP() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return bad("url: expected https://HOST/PATH")
	case u.User != nil:
		return bad("url: a user name or password does not belong in it; set secret")
	case u.Scheme == "http" && !s.AllowPrivate:
		return bad("url: expected https; plain http needs allowPrivate")
	}
	return nil
}

func (s Spec) checkAllowlist() error {
	if (s.Path == "") == (s.CSV == "") {
		return bad("path, csv: expected exactly one of them")
	}
	if s.Path != "" && !filepath.IsAbs(s.Path) {
		return bad("path: expected an absolute path")
	}
	return nil
}

func bad(format string, args ...any) error {
	return fault.New(fault.InvalidRequest, format, args...)
}

// Name gives the name of the function that a Lambda ARN or a bare name means.
// Account, region and alias of an ARN are not looked at (DESIGN.md, decision
// 9).
func Name(arnOrName string) (string, error) {
	name := arnOrName
	if strings.HasPrefix(arnOrName, "arn:") {
		n, err := arn.Parse(arnOrName)
		if err != nil {
			return "", err
		}
		if n.Service != "lambda" || n.Kind != "function" {
			return "", bad("%q does not name a function: expected arn:aws:lambda:REGION:ACCOUNT:function:NAME", Quote(arnOrName))
		}
		name, _, _ = strings.Cut(n.ID, ":")
	}
	if !nameForm.MatchString(name) {
		return "", bad("%q does not name a function: expected a name or arn:aws:lambda:REGION:ACCOUNT:function:NAME", Quote(arnOrName))
	}
	return name, nil
}

// ARN is how the function named name is known in tenant t.
func ARN(t arn.Tenant, name string) string {
	return "arn:aws:lambda:" + t.Region + ":" + t.Account + ":function:" + name
}
