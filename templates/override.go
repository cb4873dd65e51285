package templates

import (
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// An Override says what becomes of a property of a resource that exists
// already. The empty one stands for a setting the template does not make.
type Override string

const (
	DoNothing Override = "DO_NOTHING" // keep what there is
	Replace   Override = "REPLACE"    // what the template says, and nothing else
	Merge     Override = "MERGE"      // what there is and what the template says
	Fail      Override = "FAIL"       // refuse to touch a resource that exists
)

// ThingOverride holds the OverrideSettings of a thing.
type ThingOverride struct {
	Attributes Override `json:"attributes,omitempty"`
	Type       Override `json:"type,omitempty"`
	Groups     Override `json:"groups,omitempty"`
}

// A setting is a key of OverrideSettings.
type setting struct {
	key   string
	to    *Override
	merge bool // MERGE makes sense for it
}

// thingOverrideName accepts both spellings of AWS's documents.
func thingOverrideName(key string) string {
	switch key {
	case "ATTRIBUTE_PAYLOAD":
		return "AttributePayload"
	case "THING_TYPE_NAME":
		return "ThingTypeName"
	case "THING_GROUPS":
		return "ThingGroups"
	}
	return properName(key)
}

func (c *compiler) compileOverrides(v *strict.Value, proper func(string) string, settings []setting) error {
	if v == nil {
		return nil
	}
	var keys []string
	for _, s := range settings {
		keys = append(keys, s.key)
	}
	got, err := spelled(v, "override setting", proper, keys)
	if err != nil {
		return err
	}
	for _, s := range settings {
		if err := s.set(got[s.key]); err != nil {
			return err
		}
	}
	return nil
}

func (s setting) set(v *strict.Value) error {
	if v == nil {
		return nil
	}
	words := []string{string(DoNothing), string(Replace), string(Fail)}
	if s.merge {
		words = append(words, string(Merge))
	}
	if v.Kind != strict.String || !slices.Contains(words, v.Text) {
		return bad(v, "expected one of %s.", strings.Join(words, ", "))
	}
	*s.to = Override(v.Text)
	return nil
}

// Against says which status a certificate with the given one gets. One that
// waits for its activation always gets the template's, whatever the setting
// says (templates.md, section 2.4). The other errors are Conflict.
func (p *CertificatePlan) Against(status string) (string, error) {
	switch {
	case status == "PENDING_ACTIVATION" || p.Override == Replace:
		return p.Status, nil
	case p.Override == DoNothing:
		return status, nil
	case p.Override == Fail:
		return "", fault.New(fault.Conflict, "Status conflicts with Status in Template: the certificate exists already, and its OverrideSettings say FAIL.")
	case status != p.Status:
		return "", fault.New(fault.Conflict, "Status conflicts with Status in Template: the certificate is %s, the template says %s, and its OverrideSettings do not say what to do.", status, p.Status)
	}
	return status, nil
}
