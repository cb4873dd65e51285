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

// TestACrowdThatFailedComesBackByAndBy holds that an address which has earned
// its failures back does not let in at once all whom it was refused.
func TestACrowdThatFailedComesBackByAndBy(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := newDoor(Limits{Strangers: 1000, Burst: 20, Failures: 2}.withDefaults(), func() time.Time { return now })
	from := netip.MustParseAddr("192.0.2.1")
	for range 40 {
		d.failed(from)
	}
	standing := 0
	for _, step := range []struct{ after, standing int }{
		{10, 0}, // seconds; it owed 20
		{1, few},
		{4, 10},
		{5, 20},
		{2, 40},
		{20, 240},
		{3600, 1000},
	} {
		now = now.Add(time.Duration(step.after) * time.Second)
		for standing < 1000 {
			ours, _ := net.Pipe()
			if d.enter(ours, from) != admitted {
				break
			}
			standing++
		}
		if standing != step.standing {
			t.Errorf("at %v %d stand in the door, expected %d", now.Format(time.TimeOnly), standing, step.standing)
		}
	}
	d.failed(from)
	if got := d.failures[placeOf(from)].left; got != 19 {
		t.Errorf("after a failure %g may fail, expected 19", got)
	}
}
