package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counters count apart for each pair of label values. The second is empty
// where there is one label.
type counters struct {
	labels []string // one or two
	mu     sync.RWMutex
	values map[[2]string]*atomic.Uint64
}

func (c *counters) add(n int, first, second string) {
	key := [2]string{first, second}
	c.mu.RLock()
	v := c.values[key]
	c.mu.RUnlock()
	if v == nil {
		v = c.born(key)
	}
	v.Add(uint64(n))
}

func (c *counters) born(key [2]string) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values[key] == nil {
		key[0], key[1] = strings.Clone(key[0]), strings.Clone(key[1]) // of whatever they were a part
		c.values[key] = new(atomic.Uint64)
	}
	return c.values[key]
}

func (c *counters) write(p *page, name string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	keys := slices.SortedFunc(maps.Keys(c.values), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		labels := []string{c.labels[0], key[0]}
		if len(c.labels) == 2 {
			labels = append(labels, c.labels[1], key[1])
		}
		p.sample(name, float64(c.values[key].Load()), labels...)
	}
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

// histograms are apart for each value of the label.
type histograms struct {
	label  string
	mu     sync.RWMutex
	values map[string]*histogram
}

func (h *histograms) observe(value string, d time.Duration) {
	h.mu.RLock()
	v := h.values[value]
	h.mu.RUnlock()
	if v == nil {
		v = h.born(value)
	}
	at, _ := slices.BinarySearch(bounds[:], d)
	v.counts[at].Add(1)
	v.sum.Add(int64(d))
}

func (h *histograms) born(value string) *histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.values[value] == nil {
		h.values[strings.Clone(value)] = new(histogram)
	}
	return h.values[value]
}

// write reads each count once, so that the last bucket holds as many as are
// said to be there, whatever is observed meanwhile.
func (h *histograms) write(p *page, name string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, value := range slices.Sorted(maps.Keys(h.values)) {
		v, count := h.values[value], uint64(0)
		for i := range v.counts {
			count += v.counts[i].Load()
			le := "+Inf"
			if i < len(bounds) {
				le = number(bounds[i].Seconds())
			}
			p.sample(name+"_bucket", float64(count), h.label, value, "le", le)
		}
		p.sample(name+"_sum", time.Duration(v.sum.Load()).Seconds(), h.label, value)
		p.sample(name+"_count", float64(count), h.label, value)
	}
}
