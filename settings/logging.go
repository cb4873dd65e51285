package settings

import (
	"cmp"
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
)

// disabled is the level at which nothing is logged.
const disabled = "DISABLED"

// Logging is the older form of the logging options, which stands for itself.
type Logging struct {
	RoleARN string `json:"roleArn,omitempty"`
	Level   string `json:"logLevel"`
}

// GetLogging reads the older logging options; without them nothing is logged.
func GetLogging(ctx context.Context, s Store, t arn.Tenant) (*Logging, error) {
	l := &Logging{Level: disabled}
	_, err := load(ctx, s, t, logging, theOne, l)
	return l, err
}

// SetLogging replaces the older logging options.
func SetLogging(ctx context.Context, s Store, t arn.Tenant, l Logging) error {
	l.Level = cmp.Or(l.Level, disabled)
	return documents.Put(ctx, s, t, logging, theOne, l)
}

// LoggingV2 are the logging options. The default level is not among them: it is
// the level of the target DEFAULT.
type LoggingV2 struct {
	RoleARN    string            `json:"roleArn,omitempty"`
	DisableAll bool              `json:"disableAllLogs"`
	Events     []LogEventSetting `json:"eventConfigurations,omitempty"`
}

// A LogEventSetting overrides the level for one type of event.
type LogEventSetting struct {
	Type        string `json:"eventType"`
	Level       string `json:"logLevel,omitempty"`
	Destination string `json:"logDestination,omitempty"`
}

// GetLoggingV2 reads the options and the default level. It answers
// fault.NotConfigured until they were set.
func GetLoggingV2(ctx context.Context, s Store, t arn.Tenant) (*LoggingV2, string, error) {
	l := new(LoggingV2)
	found, err := load(ctx, s, t, loggingV2, theOne, l)
	if err != nil {
		return nil, "", err
	}
	if !found {
		return nil, "", fault.New(fault.NotConfigured, "Logging is not configured in this account and region: set the V2 logging options first.")
	}
	level := disabled
	_, err = load(ctx, s, t, loggingLevels, LogTarget{Type: byDefault}.key(), &level)
	return l, level, err
}

// SetLoggingV2 sets the options. Empty members keep what was set before, but
// DisableAll does not: clients leave false out. The first time a role is
// needed, unless all it says is that nothing is logged.
func SetLoggingV2(ctx context.Context, s Store, t arn.Tenant, l LoggingV2, level string) error {
	old, oldLevel, err := GetLoggingV2(ctx, s, t)
	if fault.Is(err, fault.NotConfigured) {
		old, oldLevel, err = new(LoggingV2), disabled, nil
	}
	if err != nil {
		return err
	}
	l.RoleARN = cmp.Or(l.RoleARN, old.RoleARN)
	if l.RoleARN == "" && !l.DisableAll {
		return fault.New(fault.InvalidRequest, "roleArn must be given when logs are not disabled.")
	}
	if l.Events == nil {
		l.Events = old.Events
	}
	if err := documents.Put(ctx, s, t, loggingV2, theOne, l); err != nil {
		return err
	}
	return saveLevel(ctx, s, t, LogTarget{Type: byDefault}, cmp.Or(level, oldLevel))
}
