package control

import (
	"context"

	"github.com/slipway-iot/slipway/settings"
	"github.com/slipway-iot/slipway/store"
)

func (s *Server) getLogging(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	var l *settings.Logging
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		l, err = settings.GetLogging(ctx, tx, c.Tenant)
		return err
	})
	return l, err
}

func (s *Server) setLogging(ctx context.Context, c *Call, in *struct {
	Options settings.Logging `json:"loggingOptionsPayload"`
}) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.SetLogging(ctx, tx, c.Tenant, in.Options)
	})
}

// loggingOptions are the options with the default level.
type loggingOptions struct {
	settings.LoggingV2
	Level string `json:"defaultLogLevel,omitempty"`
}

// getLoggingV2 knows no event types but those that were set, so that verbose
// tells no more.
func (s *Server) getLoggingV2(ctx context.Context, c *Call, _ *struct{}) (any, error) {
	var out loggingOptions
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		l, level, err := settings.GetLoggingV2(ctx, tx, c.Tenant)
		if err == nil {
			out = loggingOptions{*l, level}
		}
		return err
	})
	return out, err
}

func (s *Server) setLoggingV2(ctx context.Context, c *Call, in *loggingOptions) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.SetLoggingV2(ctx, tx, c.Tenant, in.LoggingV2, in.Level)
	})
}

func (s *Server) setLogLevel(ctx context.Context, c *Call, in *settings.LogLevel) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.SetLogLevel(ctx, tx, c.Tenant, *in)
	})
}

func (s *Server) deleteLogLevel(ctx context.Context, c *Call, in *settings.LogTarget) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return settings.DeleteLogLevel(ctx, tx, c.Tenant, *in)
	})
}

func (s *Server) listLogLevels(ctx context.Context, c *Call, in *struct {
	byToken
	Type string `json:"targetType"`
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	var (
		list []settings.LogLevel
		next string
	)
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		list, next, err = settings.ListLogLevels(ctx, tx, c.Tenant, in.Type, p)
		return err
	})
	return struct {
		Levels    []settings.LogLevel `json:"logTargetConfigurations"`
		NextToken string              `json:"nextToken,omitempty"`
	}{list, s.seal(c, next)}, err
}
