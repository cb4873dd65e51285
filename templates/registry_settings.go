package templates

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Slipway's own settings of a template are tags (DESIGN.md, decision 12).
const (
	settingPrefix      = "slipway:"
	validitySetting    = settingPrefix + "validity"
	reprovisionSetting = settingPrefix + "reprovision"
)

// What becomes of a thing's earlier certificates when it provisions again.
const (
	Keep = "keep" // they stay, as on AWS
	Deny = "deny" // a thing that exists is refused
)

// maxValidity keeps the end of a certificate within four-digit years.
const maxValidity = 100 * 365 * 24 * time.Hour

// Validity gives how long certificates of the template last, if it says so.
func Validity(r *Record) (time.Duration, bool) {
	d, err := parseValidity(r.Tags[validitySetting])
	return d, err == nil
}

// Reprovision gives what the template says about things that exist already:
// Keep or Deny.
func Reprovision(r *Record) string {
	if r.Tags[reprovisionSetting] == Deny {
		return Deny
	}
	return Keep
}

// Tag writes the tags of set and removes the keys of remove. Settings are
// checked, so that a typing error is answered at once and not by a device.
func Tag(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string, now time.Time) error {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return err
	}
	if err := checkSettings(set); err != nil {
		return err
	}
	if r.Tags, err = ref.Retag(ctx, s, t, r.Tags, set, remove); err != nil {
		return err
	}
	return put(ctx, s, r, now)
}

func checkSettings(tags map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if !strings.HasPrefix(key, settingPrefix) {
			continue
		}
		if err := checkSetting(key, tags[key]); err != nil {
			return err
		}
	}
	return nil
}

func checkSetting(key, value string) error {
	switch key {
	case validitySetting:
		if _, err := parseValidity(value); err != nil {
			return err
		}
		return nil
	case reprovisionSetting:
		switch value {
		case Keep, Deny:
			return nil
		case "retire", "approve":
			return fault.New(fault.InvalidRequest, "Tag %s=%s is not available yet: expected keep or deny.", key, value)
		}
		return fault.New(fault.InvalidRequest, "Tag %s=%q: expected keep or deny.", key, arn.Clip(value, 40))
	}
	return fault.New(fault.InvalidRequest, "Tag %s is no setting of Slipway: expected %s or %s.", arn.Clip(key, 80), validitySetting, reprovisionSetting)
}

// parseValidity reads a Go duration such as 8760h, or one in whole days such
// as 365d or P365D.
func parseValidity(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := inDays(s); ok {
		d, err = days, nil
	}
	if err != nil || d < time.Minute || d > maxValidity {
		return 0, fault.New(fault.InvalidRequest, "Tag %s=%q: expected a duration from one minute to 36500 days, such as 8760h, 365d or P365D.", validitySetting, arn.Clip(s, 40))
	}
	return d, nil
}

func inDays(s string) (time.Duration, bool) {
	if iso, ok := strings.CutPrefix(s, "P"); ok {
		s = strings.ToLower(iso)
	}
	n, ok := strings.CutSuffix(s, "d")
	days, err := strconv.ParseUint(n, 10, 16)
	return time.Duration(days) * 24 * time.Hour, ok && err == nil
}
