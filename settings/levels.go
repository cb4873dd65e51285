package settings

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// byDefault is the type of the one target without a name, which stands for all
// that has no level of its own.
const byDefault = "DEFAULT"

// A LogTarget is what a level of logging is set for.
type LogTarget struct {
	Type string `json:"targetType"`
	Name string `json:"targetName,omitempty"`
}

// A LogLevel is a target with its level.
type LogLevel struct {
	Target LogTarget `json:"logTarget"`
	Level  string    `json:"logLevel"`
}

// key names the document of a target; types hold no slash.
func (lt LogTarget) key() string { return lt.Type + "/" + lt.Name }

func (lt LogTarget) check() error {
	if lt.Type == byDefault && lt.Name != "" {
		return fault.New(fault.InvalidRequest, "targetName does not go with targetType DEFAULT.")
	}
	if lt.Type != byDefault && lt.Name == "" {
		return fault.New(fault.InvalidRequest, "targetName must be given with targetType %s.", lt.Type)
	}
	return nil
}

func saveLevel(ctx context.Context, s Store, t arn.Tenant, lt LogTarget, level string) error {
	return documents.Put(ctx, s, t, loggingLevels, lt.key(), level)
}

// SetLogLevel sets the level of a target; that of DEFAULT is the default level
// of the options.
func SetLogLevel(ctx context.Context, s Store, t arn.Tenant, l LogLevel) error {
	if err := l.Target.check(); err != nil {
		return err
	}
	if _, _, err := GetLoggingV2(ctx, s, t); err != nil {
		return err
	}
	return saveLevel(ctx, s, t, l.Target, l.Level)
}

// DeleteLogLevel lets a target follow the default again. One that has no level
// of its own does so already.
func DeleteLogLevel(ctx context.Context, s Store, t arn.Tenant, lt LogTarget) error {
	if lt.Type == byDefault {
		return fault.New(fault.InvalidRequest, "The level of targetType DEFAULT can be set, not deleted.")
	}
	err := s.DeleteDocument(ctx, t, loggingLevels, lt.key())
	if fault.Is(err, fault.Missing) {
		return nil
	}
	return err
}

// ListLogLevels orders by type and name. With a type a page holds only its
// targets, and may be short.
func ListLogLevels(ctx context.Context, s Store, t arn.Tenant, kind string, p ref.Page) ([]LogLevel, string, error) {
	if _, _, err := GetLoggingV2(ctx, s, t); err != nil {
		return nil, "", err
	}
	names, bodies, next, err := s.ListDocuments(ctx, t, loggingLevels, p)
	if err != nil {
		return nil, "", err
	}
	levels := []LogLevel{}
	for i, name := range names {
		var l LogLevel
		l.Target.Type, l.Target.Name, _ = strings.Cut(name, "/")
		if err := json.Unmarshal(bodies[i], &l.Level); err != nil {
			return nil, "", fault.Wrap(fault.Internal, err, "The %s %s cannot be read.", loggingLevels, name)
		}
		if kind == "" || kind == l.Target.Type {
			levels = append(levels, l)
		}
	}
	return levels, next, nil
}
