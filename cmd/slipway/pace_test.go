package main

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestMoreGarbageMayPileUpWhileACrowdOfStrangersStandsThere(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)
	strangers := 0
	count := func() int { return strangers }
	p := &pacer{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: 1}
	p.strangers.Store(&count)
	p.set()
	quiet := p.percent
	strangers = throng
	p.set()
	crowded := p.percent
	if crowded < quiet*3/2 {
		t.Errorf("the collector runs at %d %% with a crowd, and at %d %% without", crowded, quiet)
	}
	strangers = 0
	p.set()
	if p.percent >= crowded {
		t.Errorf("it runs at %d %% once the crowd has gone, and at %d %% with it", p.percent, crowded)
	}
}
