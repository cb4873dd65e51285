package metrics

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// ofGo are what dashboards of Go programs show, by the names that Prometheus's
// own client gives them. A value is the sum of what Go's runtime calls so.
var ofGo = []struct {
	name, help, kind string
	from             []string
}{
	{"go_goroutines", "Goroutines that exist.", "gauge", []string{"/sched/goroutines:goroutines"}},
	{"go_threads", "Threads of the operating system.", "gauge", []string{"/sched/threads/total:threads"}},
	{"go_sched_gomaxprocs_threads", "Threads that may run Go code at once.", "gauge", []string{"/sched/gomaxprocs:threads"}},
	{"go_gc_gogc_percent", "How much the heap may grow before it is collected, in per cent.", "gauge", []string{"/gc/gogc:percent"}},
	{"go_gc_gomemlimit_bytes", "The limit of memory that the garbage collector keeps to.", "gauge", []string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "Bytes of the heap in use by objects.", "gauge", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_alloc_bytes_total", "Bytes allocated on the heap so far.", "counter", []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_heap_alloc_bytes", "Bytes of the heap in use by objects, as go_memstats_alloc_bytes.", "gauge", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_heap_inuse_bytes", "Bytes of the heap in spans in use.", "gauge", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_idle_bytes", "Bytes of the heap in spans that wait for use.", "gauge", []string{"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_released_bytes", "Bytes of the heap given back to the operating system.", "gauge", []string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_sys_bytes", "Bytes of the heap had of the operating system.", "gauge", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_objects", "Objects on the heap.", "gauge", []string{"/gc/heap/objects:objects"}},
	{"go_memstats_mallocs_total", "Objects allocated on the heap so far.", "counter", []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_frees_total", "Objects of the heap freed so far.", "counter", []string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_next_gc_bytes", "Bytes of the heap at which the next garbage collection ends.", "gauge", []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_stack_inuse_bytes", "Bytes of goroutines' stacks.", "gauge", []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_stack_sys_bytes", "Bytes of all stacks.", "gauge", []string{"/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes"}},
	{"go_memstats_mspan_inuse_bytes", "Bytes of span structures in use.", "gauge", []string{"/memory/classes/metadata/mspan/inuse:bytes"}},
	{"go_memstats_mspan_sys_bytes", "Bytes of span structures.", "gauge", []string{"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes"}},
	{"go_memstats_mcache_inuse_bytes", "Bytes of cache structures in use.", "gauge", []string{"/memory/classes/metadata/mcache/inuse:bytes"}},
	{"go_memstats_mcache_sys_bytes", "Bytes of cache structures.", "gauge", []string{"/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes"}},
	{"go_memstats_buck_hash_sys_bytes", "Bytes of profiles' tables.", "gauge", []string{"/memory/classes/profiling/buckets:bytes"}},
	{"go_memstats_gc_sys_bytes", "Bytes of the garbage collector's own.", "gauge", []string{"/memory/classes/metadata/other:bytes"}},
	{"go_memstats_other_sys_bytes", "Bytes of the runtime's that are nothing of the above.", "gauge", []string{"/memory/classes/other:bytes"}},
	{"go_memstats_sys_bytes", "Bytes had of the operating system.", "gauge", []string{"/memory/classes/total:bytes"}},
}

// process adds what Go's runtime and the operating system say of the process.
func (m *Metrics) process() {
	m.add(family{"go_info", "The version of Go.", "gauge", func(p *page, name string) {
		p.sample(name, 1, "version", runtime.Version())
	}})
	for _, g := range ofGo {
		m.add(family{g.name, g.help, g.kind, func(p *page, name string) {
			p.sample(name, sum(g.from))
		}})
	}
	m.add(family{"go_gc_duration_seconds", "How long garbage collections stopped the program, of the last ones.", "summary", collections})
	m.add(family{"go_memstats_last_gc_time_seconds", "When the last garbage collection ended, in seconds since 1970; 0 before the first.", "gauge", lastCollection})
	for _, o := range ofProcess {
		m.add(family{o.name, o.help, o.kind, func(p *page, name string) {
			if v, ok := o.read(); ok {
				p.sample(name, v)
			}
		}})
	}
}

// sum asks the runtime, which counts in whole numbers.
func sum(names []string) (total float64) {
	for _, name := range names {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		total += float64(sample[0].Value.Uint64())
	}
	return total
}

func collections(p *page, name string) {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	for i, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		p.sample(name, stats.PauseQuantiles[i].Seconds(), "quantile", q)
	}
	p.sample(name+"_sum", stats.PauseTotal.Seconds())
	p.sample(name+"_count", float64(stats.NumGC))
}

func lastCollection(p *page, name string) {
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	at := 0.0
	if stats.NumGC > 0 {
		at = float64(stats.LastGC.UnixNano()) / 1e9
	}
	p.sample(name, at)
}

// A reading of the process may not be had, or not here.
type reading struct {
	name, help, kind string
	read             func() (value float64, ok bool)
}
