package ref

import (
	"maps"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/fault"
)

// MaxTags is how many tags one resource carries (rest-api.md, section 7.8).
const MaxTags = 50

// Retag gives the tags of a resource after a change: first the keys of remove
// go, then those of set are written. The map passed in stays as it is.
func Retag(tags, set map[string]string, remove []string) (map[string]string, error) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, fault.New(fault.InvalidRequest, "Tag key %q is reserved: keys may not begin with aws:.", key)
		}
	}
	out := make(map[string]string, len(tags)+len(set))
	maps.Copy(out, tags)
	for _, key := range remove {
		delete(out, key)
	}
	maps.Copy(out, set)
	if len(out) > MaxTags {
		return nil, fault.New(fault.LimitExceeded, "The resource would carry %d tags; the limit is %d.", len(out), MaxTags)
	}
	return out, nil
}
