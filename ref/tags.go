package ref

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// Limits says what an account's limits are. Every store of records does.
type Limits interface {
	Limit(ctx context.Context, t arn.Tenant, name Limit) (int, error)
}

// Retag gives the tags of a tenant's resource after a change: first the keys of
// remove go, then those of set are written. The map passed in stays as it is.
func Retag(ctx context.Context, s Limits, t arn.Tenant, tags, set map[string]string, remove []string) (map[string]string, error) {
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
	if len(set) == 0 { // to take tags away is always allowed
		return out, nil
	}
	most, err := s.Limit(ctx, t, Tags)
	if err != nil {
		return nil, err
	}
	if len(out) > most {
		return nil, fault.New(fault.LimitExceeded, "The resource would carry %d tags; the limit is %d.", len(out), most)
	}
	return out, nil
}
