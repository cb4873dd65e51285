package things

import (
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// deepest bounds a walk up a hierarchy, whatever depth an account allows.
const deepest = 64

var (
	nameForm      = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	attributeForm = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`)
	valueForm     = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}$`)
)

// checkName says what is wrong with a name; what is the member's own name.
func checkName(what, name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return fault.New(fault.InvalidRequest, "%s %q: expected 1 to 128 of letters, digits, colon, underscore and hyphen.", what, arn.Clip(name, 140))
}

// checkOwn says what is wrong with the attributes of a thing.
func checkOwn(ctx context.Context, s Store, th *Thing) error {
	if th.Type != "" {
		return checkAttributes(ctx, s, th.Tenant, th.Attributes, ref.TypedAttributes, "")
	}
	return checkAttributes(ctx, s, th.Tenant, th.Attributes, ref.Attributes, "; a thing with a type may have more")
}

// checkAttributes says what is wrong with attributes, or with how many there
// are.
func checkAttributes(ctx context.Context, s Store, t arn.Tenant, attributes map[string]string, limit ref.Limit, hint string) error {
	if len(attributes) == 0 {
		return nil
	}
	most, err := s.Limit(ctx, t, limit)
	if err != nil {
		return err
	}
	if len(attributes) > most {
		return fault.New(fault.InvalidRequest, "There are %d attributes; the limit is %d%s.", len(attributes), most, hint)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !attributeForm.MatchString(name) {
			return fault.New(fault.InvalidRequest, "Attribute name %q: expected 1 to 128 of letters, digits and _.,@/:#-", arn.Clip(name, 140))
		}
		if !valueForm.MatchString(attributes[name]) {
			return fault.New(fault.InvalidRequest, "The value of attribute %q: expected up to 800 of letters, digits and _.,@/:#=[]-", name)
		}
	}
	return nil
}

// nextAttributes gives the attributes after a change: replaced, or merged,
// where an empty value removes its name (rest-api.md, section 7.1).
func nextAttributes(old, change map[string]string, merge bool) map[string]string {
	out := map[string]string{}
	if merge {
		maps.Copy(out, old)
	}
	for name, value := range change {
		if value == "" {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

// checkVersion compares expectedVersion, where zero expects nothing.
func checkVersion(what, name string, expected, stored int64) error {
	if expected == 0 || expected == stored {
		return nil
	}
	return fault.New(fault.VersionConflict, "The version for %s %s does not match the expected version.", what, name)
}
