package provision

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// arrivalsPerSecond is how many certificates AWS registers by themselves, per
// account (quota L-3E927DFC; certificates-lifecycle.md). It holds for accounts
// of profile aws.
const arrivalsPerSecond = 15.0

// arrivals counts, for each account that is held to it, what is left of the
// quota. An account has one bucket, and accounts are made by operators, so the
// table is bounded.
type arrivals struct {
	mu   sync.Mutex
	left map[arn.Tenant]arrivalBucket
}

type arrivalBucket struct {
	tokens float64
	at     time.Time
}

// spend takes one registration from what the account has left.
func (q *arrivals) spend(ctx context.Context, s *Service, t arn.Tenant) error {
	var profile tenants.Profile
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.Tenant(ctx, t)
		if err == nil {
			profile = rec.Settings.Profile.Or(s.Profile)
		}
		return err
	})
	if err != nil || profile != tenants.AWS {
		return err
	}
	if !q.take(t, s.Now()) {
		return fault.New(fault.Throttled, "the account registers at most %g certificates a second by connecting (profile aws); the device should wait a moment and connect again", arrivalsPerSecond)
	}
	return nil
}

func (q *arrivals) take(t arn.Tenant, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left == nil {
		q.left = map[arn.Tenant]arrivalBucket{}
	}
	b, known := q.left[t]
	if !known {
		b = arrivalBucket{arrivalsPerSecond, now}
	}
	// A clock that was set back takes nothing away.
	b.tokens = min(arrivalsPerSecond, b.tokens+arrivalsPerSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	ok := b.tokens >= 1
	if ok {
		b.tokens--
	}
	q.left[t] = b
	return ok
}
