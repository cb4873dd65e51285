package provision

import (
	"context"
	"log/slog"
	"time"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/store"
)

const (
	reapBatch = 200
	// intentKeep is how long an intent without a certificate is kept for the
	// one who asks what became of a signature.
	intentKeep = 24 * time.Hour
	// attemptKeep is how long timelines are kept.
	attemptKeep = 30 * 24 * time.Hour
)

// Reap removes what time has made useless: expired tokens with certificates
// that nobody registered, intents that a crash left behind, old attempts. It
// runs until ctx ends, once every interval.
func (s *Service) Reap(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := s.ReapOnce(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "reap", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ReapOnce is one round of Reap.
func (s *Service) ReapOnce(ctx context.Context) error {
	for {
		n, deleted, err := s.reapTokens(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Log.InfoContext(ctx, "reap", slog.Int("tokens", n), slog.Int("certificates", deleted))
		}
		if n < reapBatch {
			break
		}
	}
	if err := s.reapIntents(ctx); err != nil {
		return err
	}
	return s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PruneAttempts(ctx, s.Now().Add(-attemptKeep), reapBatch)
		return err
	})
}

func (s *Service) reapTokens(ctx context.Context) (n, deleted int, err error) {
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		n, deleted = 0, 0
		expired, err := tx.ExpiredTokens(ctx, s.Now(), reapBatch)
		if err != nil {
			return err
		}
		for _, tok := range expired {
			gone, err := certs.Expire(ctx, tx, tok)
			if err != nil {
				return err
			}
			if gone {
				deleted++
			}
		}
		n = len(expired)
		return nil
	})
	return n, deleted, err
}

func (s *Service) reapIntents(ctx context.Context) error {
	return s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		stale, err := tx.StaleIntents(ctx, s.Now().Add(-intentKeep), reapBatch)
		if err != nil {
			return err
		}
		for _, i := range stale {
			s.Log.WarnContext(ctx, "a certificate may have been signed that nobody received",
				slog.String("serial", i.Serial), slog.String("subject", i.Subject), slog.Time("at", i.Created))
			if err := tx.DeleteIntent(ctx, i.Tenant, i.Serial); err != nil {
				return err
			}
		}
		return nil
	})
}
