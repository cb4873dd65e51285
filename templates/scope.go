package templates

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// maxRendered bounds, in bytes, all text that one Render builds, so that
// Fn::Join of Fn::Split of Fn::Join cannot blow memory; overhead is what each
// value costs beside its text, so that work on empty values ends too.
const (
	maxRendered = 256 << 10
	overhead    = 16
)

// A scope is one evaluation. It belongs to one call of Render.
type scope struct {
	t        *Template
	in       Input
	left     int64             // of maxRendered
	names    map[string]string // identities of resources that were asked for
	inPolicy bool              // a policy document is being evaluated
}

func newScope(t *Template, in Input) *scope {
	return &scope{t: t, in: in, left: maxRendered, names: map[string]string{}}
}

func (s *scope) spend(n int) error {
	s.left -= int64(n) + overhead
	if s.left < 0 {
		return fault.New(fault.InvalidParameters, "The template renders to more than %d KiB with these parameters.", maxRendered>>10)
	}
	return nil
}

// An origin says who supplied a value.
type origin uint8

const (
	nowhere origin = iota
	fromHook
	fromRequest
	fromService
	fromDefault
)

// lookup finds a parameter's value: hook, request, service, default, the
// first that has it (templates.md, section 1.1). Names that begin AWS:: are
// the service's: a request cannot set them, and a hook only those that the
// service does not know. A JITP template sees the certificate and nothing else.
func (s *scope) lookup(name string) (string, origin) {
	order := []origin{fromHook, fromRequest, fromService}
	switch {
	case s.t.kind == JITP:
		order = []origin{fromService}
	case reserved(name):
		order = []origin{fromService, fromHook}
	}
	for _, from := range order {
		if v, ok := s.source(from)[name]; ok {
			return v, from
		}
	}
	if p := s.t.declared[name]; p != nil && p.HasDefault {
		return p.Default, fromDefault
	}
	return "", nowhere
}

func (s *scope) source(from origin) map[string]string {
	switch from {
	case fromHook:
		return s.in.Overrides
	case fromRequest:
		return s.in.Parameters
	}
	return s.in.Service
}

func reserved(name string) bool { return strings.HasPrefix(name, "AWS::") }

// unresolved is AWS's text for a reference without a value: the short one as
// devices get it, the long one as the other doors show it. The place goes to
// the log.
func (s *scope) unresolved(name, where string) error {
	cause := errors.New("it is declared and has neither a value nor a default")
	if where != "" {
		cause = fmt.Errorf("%s refers to it, and it has neither a value nor a default", where)
	}
	text := "Cannot resolve reference value: %s"
	if s.t.kind != Fleet {
		text = "Invalid registration template. Cannot resolve reference value: {Ref=%s}"
	}
	return fault.Wrap(fault.InvalidParameters, cause, text, arn.Clip(name, 200))
}

// guard refuses to put what a stranger chose into a policy document if it
// means something there: a wildcard would widen the policy, a quote could
// rewrite it. AWS applies the same list, less the quotes, to the attributes
// that policy variables bring in (policies.md, section 2.3). Values of the
// operator's own (hook, default, bulk file, REST call) pass.
func (s *scope) guard(r paramRef, v string, from origin) error {
	strange := s.t.kind == Fleet && from == fromRequest || s.t.kind == JITP && from == fromService
	if !s.inPolicy || !strange {
		return nil
	}
	i := strings.IndexFunc(v, func(c rune) bool { return strings.ContainsRune(`*?$+#"\`, c) || unicode.IsControl(c) })
	if i < 0 {
		return nil
	}
	return wrong(r.where, "parameter %s holds %q, which a device may not bring into a policy document",
		arn.Clip(r.name, 200), v[i:i+1])
}

// identity is what Ref to a resource yields: a thing's or policy's name, a
// certificate's id. Parse has made sure that none depends on itself and that
// the certificate has one.
func (s *scope) identity(logical string) (string, error) {
	if name, ok := s.names[logical]; ok {
		return name, nil
	}
	defer func(was bool) { s.inPolicy = was }(s.inPolicy)
	s.inPolicy = false
	name, err := s.name(logical)
	if err == nil {
		s.names[logical] = name
	}
	return name, err
}

func (s *scope) name(logical string) (string, error) {
	switch s.t.resources[logical] {
	case TypeThing:
		return s.t.thing.name.eval(s)
	case TypeCertificate:
		return s.t.cert.id.eval(s)
	}
	for _, p := range s.t.policies {
		if p.logical == logical {
			plan, err := p.render(s)
			return plan.Name, err
		}
	}
	return "", fault.New(fault.Internal, "Resource %s is not compiled.", logical)
}

// hashName is the name of a policy that is known by its document only: 40
// upper-case hex digits, as in AWS's sample ARNs (templates.md, section 2.3).
func hashName(document string) string {
	sum := sha1.Sum([]byte(document))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
