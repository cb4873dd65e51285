package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// garbage is how many bytes may pile up between two collections, at least. A
// small server has a small heap; with the runtime's own rule it would collect
// several times a second under load, and each time take back the stacks that
// the next handshake needs.
const garbage = 32 << 20

// tight is what may pile up where more than garbage lives, in percent of what
// lives: half of the runtime's rule. What lives then is connections that stay, and
// the more garbage lies between two of them, the more of it cannot be used again.
const tight = 50

// While a crowd stands before the gateway that is not known yet, more may pile up.
// A collection then takes ten times as long as in the quiet, a tenth of a second on
// one core, in which those who are known wait; and what the crowd occupies is soon
// free, so that nothing stays strewn.
const (
	throng  = 256 // strangers
	rubbish = 128 << 20
)

// A pacer sets the collector's percentage anew after each collection, by what
// was left.
type pacer struct {
	live      []metrics.Sample
	percent   int
	strangers atomic.Pointer[func() int] // counts them, once there is a server
}

// spread has the program run two goroutines at once at least, where it has but
// one core too. With one, the runtime looks at the network only when nothing else
// can run, or every 10 ms: whoever keeps it busy would have all others wait so long
// at each of their steps. With two, the system divides the core.
func spread() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}

// pace keeps the collector at garbage until the program ends. Who sets GOGC
// decides himself.
func pace() *pacer {
	p := &pacer{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: 100}
	if os.Getenv("GOGC") == "" {
		p.set()
		p.watch(new([16]byte))
	}
	return p
}

// A calm moment is one in which no more than stillness was allocated. When there
// is more than slack then that nobody needs, it goes back to the system: a server
// that was busy once does not stay large for it.
const (
	calmMoment = 2 * time.Second
	stillness  = 2 << 20
	slack      = 8 << 20
)

// rest gives memory back in calm moments, until the context ends.
func rest(ctx context.Context) {
	sizes := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	tick := time.NewTicker(calmMoment)
	defer tick.Stop()
	for last := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sizes)
		allocated, held, live, free := sizes[0].Value.Uint64(), sizes[1].Value.Uint64(), sizes[2].Value.Uint64(), sizes[3].Value.Uint64()
		if allocated-last < stillness && held+free > live+slack {
			debug.FreeOSMemory() // which collects first
		}
		last = allocated
	}
}

// watch has the collector find an object that nothing holds, once each time.
func (p *pacer) watch(sentinel *[16]byte) {
	runtime.SetFinalizer(sentinel, func(s *[16]byte) {
		p.set()
		p.watch(s)
	})
}

func (p *pacer) set() {
	metrics.Read(p.live)
	live := max(p.live[0].Value.Uint64(), 4<<20)
	most := uint64(garbage)
	if f := p.strangers.Load(); f != nil && (*f)() >= throng {
		most = rubbish
	}
	percent := int(min(max(most*100/live, tight), 1600))
	if off := percent - p.percent; off*off*100 > p.percent*p.percent { // by a tenth: setting it stops the world
		debug.SetGCPercent(percent)
		p.percent = percent
	}
}
