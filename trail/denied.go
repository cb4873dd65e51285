package trail

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/store"
)

// How much of what was denied is recorded: each key's attempts at an action
// once a minute, with a count of those in between, and so many in all. A key
// that asks without end thus fills no disk.
const (
	denialWindow = time.Minute
	denialLimit  = 200
)

// refusals are the denials of the last window.
type refusals struct {
	mu    sync.Mutex
	began time.Time
	seen  map[refused]int // how often, within the window
	left  map[refused]int // how many of the window before were not recorded
}

type refused struct{ key, action string }

// admit says whether a denial is recorded, and how many like it were not
// since the last one that was.
func (r *refusals) admit(what refused, now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || now.Sub(r.began) >= denialWindow || now.Before(r.began) {
		r.began, r.left, r.seen = now, r.seen, make(map[refused]int)
	}
	if n, known := r.seen[what]; known {
		r.seen[what] = n + 1
		return 0, false
	}
	if len(r.seen) >= denialLimit {
		return 0, false
	}
	r.seen[what] = 0
	return r.left[what], true
}

// Denied records that a caller was denied an action. It changes nothing else.
func (db *DB) Denied(ctx context.Context, c Cause, reason string) error {
	skipped, ok := db.noes.admit(refused{c.Who.Key, c.Action}, db.now())
	if !ok {
		return nil
	}
	if skipped > 0 {
		reason = fmt.Sprintf("%s (and %d times more within the minute of the record before)", reason, skipped)
	}
	r := db.record(&c)
	r.Outcome, r.Reason = audit.Denied, reason
	err := db.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.AppendAudit(ctx, r) })
	if err == nil {
		db.tell()
	}
	return err
}
