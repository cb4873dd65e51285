package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// series keeps a T for each pair of label values. The second is empty where there
// is one label.
type series[T any] struct {
	labels []string // one or two
	mu     sync.RWMutex
	values map[[2]string]*T
}

func newSeries[T any](labels []string) series[T] {
	return series[T]{labels: labels, values: map[[2]string]*T{}}
}

func (s *series[T]) at(first, second string) *T {
	key := [2]string{first, second}
	s.mu.RLock()
	v := s.values[key]
	s.mu.RUnlock()
	if v != nil {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key] == nil {
		key = [2]string{strings.Clone(first), strings.Clone(second)} // not all of what they are parts of
		s.values[key] = new(T)
	}
	return s.values[key]
}

// each gives all in order, each with its labels: names and values in turn.
func (s *series[T]) each(f func(labels []string, v *T)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range slices.SortedFunc(maps.Keys(s.values), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		var labels []string
		for i, name := range s.labels {
			labels = append(labels, name, key[i])
		}
		f(labels, s.values[key])
	}
}

type counters struct{ series[atomic.Uint64] }

func (c *counters) add(n int, first, second string) { c.at(first, second).Add(uint64(n)) }

func (c *counters) write(p *page, name string) {
	c.each(func(labels []string, v *atomic.Uint64) { p.sample(name, float64(v.Load()), labels...) })
}

// bounds are the upper ends of a histogram's buckets.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second,
}

// A histogram counts durations by how long they were.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64 // the last is of what is longer
	sum    atomic.Int64                   // nanoseconds
}

type histograms struct{ series[histogram] }

func (h *histograms) observe(value string, d time.Duration) {
	v := h.at(value, "")
	at, _ := slices.BinarySearch(bounds[:], d)
	v.counts[at].Add(1)
	v.sum.Add(int64(d))
}

// write reads each count once, so that the last bucket holds as many as are
// said to be there, whatever is observed meanwhile.
func (h *histograms) write(p *page, name string) {
	h.each(func(labels []string, v *histogram) {
		count := uint64(0)
		for i := range v.counts {
			count += v.counts[i].Load()
			le := "+Inf"
			if i < len(bounds) {
				le = number(bounds[i].Seconds())
			}
			p.sample(name+"_bucket", float64(count), slices.Concat(labels, []string{"le", le})...)
		}
		p.sample(name+"_sum", time.Duration(v.sum.Load()).Seconds(), labels...)
		p.sample(name+"_count", float64(count), labels...)
	})
}
