package main

import (
	"fmt"
	"io"
	"time"
)

// A progress says how far long work is: on a terminal in one line that is
// written over, elsewhere in a plain line now and then.
type progress struct {
	w       io.Writer
	of      int
	live    bool
	started time.Time
	said    time.Time
	tenths  int
}

// fewest is the work that is long enough to be told of.
const fewest = 100

func newProgress(w io.Writer, of int) *progress {
	return &progress{w: w, of: of, live: terminal(w), started: time.Now()}
}

// step says that done of all are done. The caller sees to it that one call is
// over before the next.
func (p *progress) step(done int) {
	if p.of < fewest {
		return
	}
	now := time.Now()
	tenth := done * 10 / p.of
	switch {
	case p.live && (now.Sub(p.said) > 100*time.Millisecond || done == p.of):
		fmt.Fprintf(p.w, "\r%s\x1b[K", p.line(done, now))
	case !p.live && (tenth > p.tenths || now.Sub(p.said) > 10*time.Second && !p.said.IsZero()):
		fmt.Fprintln(p.w, p.line(done, now))
	default:
		return
	}
	p.said, p.tenths = now, tenth
}

func (p *progress) line(done int, now time.Time) string {
	rate := float64(done) / max(now.Sub(p.started).Seconds(), 0.001)
	text := fmt.Sprintf("%d of %d, %.0f a second", done, p.of, rate)
	if left := float64(p.of-done) / max(rate, 0.001); done < p.of && left < 1e6 {
		text += fmt.Sprintf(", %s left", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return text
}

// end leaves the line that was written over.
func (p *progress) end() {
	if p.live && !p.said.IsZero() {
		fmt.Fprintln(p.w)
	}
}
