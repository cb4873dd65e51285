package gateway

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestAClockSetBackLocksNobodyOut(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) // no monotonic part
	d := newDoor(Limits{}.withDefaults(), func() time.Time { return now })
	from := netip.MustParseAddr("192.0.2.1")
	d.failed(from)
	now = now.Add(-24 * time.Hour)
	if v := d.enter(nil, from); v != admitted {
		t.Error(d.why(v))
	}
}

// TestAnAddressThatFailedHasNoMoreStandingThanMayFail holds that connections
// which are still in the door count before they fail, and that an address cannot
// have another one pay for what it does.
func TestAnAddressThatFailedHasNoMoreStandingThanMayFail(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := newDoor(Limits{Strangers: 100, Burst: 20, Failures: 1}.withDefaults(), func() time.Time { return now })
	mallory, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	in := map[netip.Addr]int{}
	comes := func(from netip.Addr) (admittedTo bool) {
		ours, _ := net.Pipe()
		admittedTo = d.enter(ours, from) == admitted
		if admittedTo {
			in[from]++
		}
		return admittedTo
	}
	d.failed(mallory)
	for comes(mallory) {
	}
	if in[mallory] != 19 {
		t.Errorf("%d stand there, and 19 may fail", in[mallory])
	}
	for range 1000 { // those of both are shown out in turns
		comes(mallory)
		comes(other)
	}
	if all := in[mallory] + in[other]; all > 100+2*20+2 {
		t.Errorf("%d came in, where 100 have room and 40 may fail", all)
	}
	now = now.Add(time.Hour)
	if !comes(mallory) {
		t.Error("it is locked out for ever")
	}
}
