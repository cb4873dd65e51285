package metrics

import (
	"runtime"
	"runtime/metrics"
)

// ofGo are what dashboards of Go programs show, by the names that Prometheus's
// own client gives them. A value is the sum of what Go's runtime calls so.
var ofGo = []struct {
	name, help, kind string
	from             []string
}{
	{"go_goroutines", "Goroutines that exist.", "gauge", []string{"/sched/goroutines:goroutines"}},
	{"go_threads", "Threads of the operating system.", "gauge", []string{"/sched/threads/total:threads"}},
	{"go_gc_cycles_total", "Garbage collections.", "counter", []string{"/gc/cycles/total:gc-cycles"}},
	{"go_gc_pause_cpu_seconds_total", "CPU time in which the garbage collector stopped the program, estimated.", "counter", []string{"/cpu/classes/gc/pause:cpu-seconds"}},
	{"go_memstats_alloc_bytes", "Bytes of the heap in use by objects.", "gauge", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_alloc_bytes_total", "Bytes allocated on the heap so far.", "counter", []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_heap_inuse_bytes", "Bytes of the heap in spans in use.", "gauge", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_idle_bytes", "Bytes of the heap in spans that wait for use.", "gauge", []string{"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_released_bytes", "Bytes of the heap given back to the operating system.", "gauge", []string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_objects", "Objects on the heap.", "gauge", []string{"/gc/heap/objects:objects"}},
	{"go_memstats_mallocs_total", "Objects allocated on the heap so far.", "counter", []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_next_gc_bytes", "Bytes of the heap at which the next garbage collection ends.", "gauge", []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_stack_inuse_bytes", "Bytes of goroutines' stacks.", "gauge", []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_sys_bytes", "Bytes had of the operating system.", "gauge", []string{"/memory/classes/total:bytes"}},
}

// process adds what Go's runtime and the operating system say of the process.
func (m *Metrics) process() {
	m.add(family{"go_info", "The version of Go.", "gauge", func(p *page, name string) {
		p.sample(name, 1, "version", runtime.Version())
	}})
	for _, g := range ofGo {
		samples := make([]metrics.Sample, len(g.from))
		for i, name := range g.from {
			samples[i].Name = name
		}
		m.add(family{g.name, g.help, g.kind, func(p *page, name string) {
			p.sample(name, sum(samples))
		}})
	}
	for _, o := range ofProcess {
		m.add(family{o.name, o.help, o.kind, func(p *page, name string) {
			if v, ok := o.read(); ok {
				p.sample(name, v)
			}
		}})
	}
}

// sum asks the runtime, on a copy: pages may be written at the same time.
func sum(samples []metrics.Sample) (total float64) {
	now := append([]metrics.Sample(nil), samples...)
	metrics.Read(now)
	for _, s := range now {
		switch s.Value.Kind() {
		case metrics.KindUint64:
			total += float64(s.Value.Uint64())
		case metrics.KindFloat64:
			total += s.Value.Float64()
		}
	}
	return total
}

// A reading of the process may not be had, or not here.
type reading struct {
	name, help, kind string
	read             func() (value float64, ok bool)
}
