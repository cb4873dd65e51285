package races

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
)

// An entry of a history is one call, what it answered, and when on one clock
// it was asked and answered.
type entry struct {
	call
	answer         string
	asked, replied int64
}

// A clock counts; every reading is later than the one before.
type clock struct{ atomic.Int64 }

func (c *clock) now() int64 { return c.Add(1) }

// A search looks for an order of calls, one after the other, in which the
// model gives every answer that was given, and in which no call comes before
// one that had been answered before it was asked (Wing and Gong, "Testing and
// Verifying Concurrent Objects", 1993).
type search struct {
	history []entry
	dead    map[string]bool // what was done and the registry that it led to, from where no way leads on
	longest int
	stuck   string
}

// explain says why no such order exists, or nothing if there is one.
func explain(from *registry, history []entry) string {
	s := &search{history: history, dead: map[string]bool{}}
	if len(history) > 64 {
		panic("a history has 64 entries at most")
	}
	if s.run(from, 0, 0) {
		return ""
	}
	var b strings.Builder
	for _, e := range history {
		fmt.Fprintf(&b, "%3d to %3d  %v  gave %s\n", e.asked, e.replied, e.call, e.answer)
	}
	return fmt.Sprintf("no order of the calls explains the answers\nfrom %v\n%sthe longest way explains %d of %d: %s",
		from, b.String(), s.longest, len(history), s.stuck)
}

// run goes on from a registry after the calls in done, of which there are n.
func (s *search) run(r *registry, done uint64, n int) bool {
	if n == len(s.history) {
		return true
	}
	at := fmt.Sprint(done, r)
	if s.dead[at] {
		return false
	}
	first := int64(math.MaxInt64) // the first reply among the calls that are left
	for i, e := range s.history {
		if done&(1<<i) == 0 {
			first = min(first, e.replied)
		}
	}
	for i, e := range s.history {
		if done&(1<<i) != 0 || e.asked > first {
			continue
		}
		next := r.clone()
		if got := next.step(e.call); got != e.answer {
			s.note(n, r, e, got)
		} else if s.run(next, done|1<<i, n+1) {
			return true
		}
	}
	s.dead[at] = true
	return false
}

func (s *search) note(n int, r *registry, e entry, got string) {
	if n >= s.longest {
		s.longest, s.stuck = n, fmt.Sprintf("then %v should give %s, not %s, in\n%v", e.call, got, e.answer, r)
	}
}
