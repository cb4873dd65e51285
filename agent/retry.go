package agent

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The waits of the field notes: exponential from one second with full jitter,
// and half a minute after silence, which is usually the network's.
const (
	firstWait    = time.Second
	silenceWait  = 30 * time.Second
	maxRestarts  = 2
	longestShift = 6 // a minute or so, whatever --attempts says
)

// pause is how long to wait after the given failed try, counted from 1. With
// full jitter, a fleet that was cut off at once does not come back at once.
func (a *Agent) pause(try int, f *Failure) time.Duration {
	if f.silent {
		return silenceWait
	}
	most := firstWait << min(try-1, longestShift)
	return time.Duration(a.random() % uint64(most))
}

// random draws a number. A source that fails gives zero, which makes the wait
// short and the client id plain, and neither matters.
func (a *Agent) random() uint64 {
	var b [8]byte
	_, _ = io.ReadFull(a.Random, b[:])
	return binary.BigEndian.Uint64(b[:])
}

// persist runs one stage until it succeeds, is refused for good, or has been
// tried often enough.
func (r *run) persist(ctx context.Context, s step) (state, error) {
	for try := 1; ; try++ {
		next, err := s.run(r, ctx)
		if err == nil {
			return next, nil
		}
		r.hangUp()
		f := r.judge(ctx, err, s.asThing)
		if f.restart && r.restarts < maxRestarts {
			r.restarts++
			r.notice("The ownership token is not taken any more; asking for a new certificate.")
			return r.state.withoutCertificate(), nil
		}
		if !f.retry || try >= r.Config.Attempts {
			return state{}, f
		}
		wait := r.pause(try, f)
		r.notice(fmt.Sprintf("%s Try %d of %d in %s.", f.Text, try+1, r.Config.Attempts, wait.Round(10*time.Millisecond)))
		if err := sleep(ctx, wait); err != nil {
			return state{}, interrupted(ctx)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
