package gateway

import (
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
