// Package templates is the provisioning template language: it parses a
// template, checks it, and renders it with a device's parameters to a Plan.
//
// A template is a JSON document that says which thing, certificate and
// policies a device gets (spec: templates.md). Parse finds everything that is
// wrong with the document itself, once, when somebody stores it. Render finds
// everything that is wrong with one device's values. It is pure: the same
// template and input give the same Plan, nothing is read or written on the
// way, and an error leaves nothing behind. Against compares the planned thing
// with the one that exists and says, under the template's OverrideSettings,
// what has to change.
//
// Both kinds of error name the place in the template by its JSON path, and
// the parameter at fault if there is one.
package templates

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A Kind says through which door a template is used. The doors differ in how
// the certificate is named and in what the service supplies (templates.md,
// sections 2.2 and 6).
type Kind uint8

const (
	Fleet  Kind = iota // RegisterThing over MQTT: by claim or trusted user
	JITP               // first connection under a registered CA
	Inline             // bulk registration and the REST operation RegisterThing
)

// String is the kind as the templates API calls it; Inline has no name there.
func (k Kind) String() string {
	switch k {
	case Fleet:
		return FleetProvisioning
	case JITP:
		return JustInTime
	}
	return "inline"
}

// KindOf gives the kind of a named template's type. The empty type is
// FLEET_PROVISIONING, as in the API.
func KindOf(typ string) (Kind, error) {
	switch typ {
	case "", FleetProvisioning:
		return Fleet, nil
	case JustInTime:
		return JITP, nil
	}
	return 0, fault.New(fault.InvalidRequest, "type: %q is not a type of template; expected %s or %s.", arn.Clip(typ, 80), FleetProvisioning, JustInTime)
}

// atHand says whether the certificate exists before the template runs, so
// that a template can name only that one.
func (k Kind) atHand() bool { return k != Inline }

// The types of resources, which are also the values of Plan.Names.
const (
	TypeThing       = "AWS::IoT::Thing"
	TypeCertificate = "AWS::IoT::Certificate"
	TypePolicy      = "AWS::IoT::Policy"
)

// CertificateID is the name under which the service supplies the id of the
// certificate at hand.
const CertificateID = "AWS::IoT::Certificate::Id"

// supplies says whether the service can supply name to a template of kind k.
func (k Kind) supplies(name string) bool {
	return k.atHand() && name == CertificateID || k == JITP && isSubject(name)
}

// MaxBody bounds a template, in characters as received.
const MaxBody = 10240

// A Template is a parsed and checked template. It never changes, so many
// goroutines may render it at once.
type Template struct {
	kind       Kind
	parameters []Parameter
	declared   map[string]*Parameter // points into parameters
	resources  map[string]string     // logical name to type
	mappings   mappings
	thing      *thing
	cert       *certificate
	policies   []*policy
	config     []pair // DeviceConfiguration, of a fleet template only
}

// A Parameter is a declared parameter. Required says that a request has to
// carry it: it has no default, something refers to it, and it is not one that
// only the service can supply.
type Parameter struct {
	Name       string `json:"name"`
	Default    string `json:"default,omitempty"`
	HasDefault bool   `json:"hasDefault"`
	Required   bool   `json:"required"`
}

// Parameters lists the declared parameters in the order of the document.
func (t *Template) Parameters() []Parameter {
	return slices.Clone(t.parameters)
}

// Kind gives the kind that t was parsed as.
func (t *Template) Kind() Kind { return t.kind }

// Parse reads and checks a template (templates.md, section 9.1). Its errors
// are of kind InvalidRequest. It asks nobody whether the thing type, groups
// and policies that the template names exist: they may be made later.
func Parse(body []byte, kind Kind) (*Template, error) {
	if n := utf8.RuneCount(body); n > MaxBody {
		return nil, invalid("The template is %d characters long; at most %d are allowed.", n, MaxBody)
	}
	root, err := strict.Parse(body)
	if err != nil {
		return nil, invalid("The template is not well-formed: %s.", err)
	}
	return compile(root, kind)
}

// invalid begins as AWS's own messages about templates do.
func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidRequest, "Invalid registration template. "+format, args...)
}

// bad is an error at one place of the template.
func bad(v *strict.Value, format string, args ...any) *fault.Error {
	return invalid("%s: %s", place(v), fmt.Sprintf(format, args...))
}

// place names where v stands, such as "Resources.thing.Type (line 4)". Keys
// are foreign text: long ones are cut, odd ones are quoted.
func place(v *strict.Value) string {
	path := arn.Clip(v.Path, 200)
	switch {
	case path == "":
		path = "The template"
	case strings.ContainsFunc(path, unicode.IsControl):
		path = strconv.Quote(path)
	}
	return fmt.Sprintf("%s (line %d)", path, v.Line)
}
