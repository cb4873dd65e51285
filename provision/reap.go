package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

const (
	reapBatch = 200
	// intentKeep is how long an intent without a certificate is kept for the
	// one who asks what became of a signature.
	intentKeep = 24 * time.Hour
	// attemptKeep is how long timelines are kept.
	attemptKeep = 30 * 24 * time.Hour
	// claimKeep is how long a temporary claim stays after its end, so that a
	// device which comes late is told that it expired.
	claimKeep = time.Hour
)

// Reap removes what time has made useless: expired tokens with certificates
// that nobody registered, intents that a crash left behind, temporary claims,
// old attempts. It runs until ctx ends, once every interval.
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

// ReapOnce is one round of Reap: it goes on until nothing is left to remove.
// What one kind of record fails with does not keep the others.
func (s *Service) ReapOnce(ctx context.Context) error {
	var errs []error
	for _, some := range []func(context.Context) (int, error){s.reapTokens, s.reapIntents, s.reapAttempts, s.reapClaims} {
		errs = append(errs, all(ctx, some))
	}
	return errors.Join(errs...)
}

// all calls some, which removes up to reapBatch records, until fewer were left.
func all(ctx context.Context, some func(context.Context) (int, error)) error {
	for {
		n, err := some(ctx)
		if err != nil || n < reapBatch {
			return err
		}
	}
}

func (s *Service) reapTokens(ctx context.Context) (n int, err error) {
	var deleted int
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
	if err == nil && n > 0 {
		s.Log.InfoContext(ctx, "reap", slog.Int("tokens", n), slog.Int("certificates", deleted))
	}
	return n, err
}

func (s *Service) reapIntents(ctx context.Context) (int, error) {
	var stale []*certs.Intent
	err := s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if stale, err = tx.StaleIntents(ctx, s.Now().Add(-intentKeep), reapBatch); err != nil {
			return err
		}
		for _, i := range stale {
			if err := tx.DeleteIntent(ctx, i.Tenant, i.Serial); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, i := range stale {
		s.Log.WarnContext(ctx, "a certificate may have been signed that nobody received",
			slog.String("serial", i.Serial), slog.String("subject", i.Subject), slog.Time("at", i.Created))
	}
	return len(stale), nil
}

func (s *Service) reapAttempts(ctx context.Context) (n int, err error) {
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		n, err = tx.PruneAttempts(ctx, s.Now().Add(-attemptKeep), reapBatch)
		return err
	})
	return n, err
}

// reapClaims removes the temporary claims that ended. They are few: what looks
// through them reads all claims, which people make.
func (s *Service) reapClaims(ctx context.Context) (int, error) {
	ended, err := s.endedClaims(ctx)
	if err != nil || len(ended) == 0 {
		return 0, err
	}
	return len(ended), s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		for _, c := range ended {
			if err := certs.ExpireClaim(ctx, tx, c, s.Now()); err != nil {
				return err
			}
			if err := dropTerms(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// endedClaims gives up to reapBatch temporary claims of all tenants.
func (s *Service) endedClaims(ctx context.Context) (ended []*certs.ClaimRecord, err error) {
	before := s.Now().Add(-claimKeep)
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		ended = nil
		return eachTenant(ctx, tx, func(t arn.Tenant) error {
			for page := ref.All; len(ended) < reapBatch; {
				claims, next, err := tx.ListClaims(ctx, t, page)
				if err != nil {
					return err
				}
				for _, c := range claims {
					if c.Trusted && c.Expires.Before(before) && len(ended) < reapBatch {
						ended = append(ended, c)
					}
				}
				if page.After = next; next == "" {
					break
				}
			}
			return nil
		})
	})
	return ended, err
}

func eachTenant(ctx context.Context, tx store.Tx, do func(arn.Tenant) error) error {
	for page := ref.All; ; {
		tenants, next, err := tx.ListTenants(ctx, page)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			if err := do(t.Tenant); err != nil {
				return err
			}
		}
		if page.After = next; next == "" {
			return nil
		}
	}
}
