package gateway

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newAnteroom(1)
		crowd, device := netip.MustParsePrefix("198.18.0.1/32"), netip.MustParsePrefix("198.18.0.2/32")
		if !q.take(t.Context(), crowd) {
			t.Fatal("the first waits")
		}
		var order []string
		wait := func(name string, from netip.Prefix, ctx context.Context) {
			go func() {
				if q.take(ctx, from) {
					order = append(order, name)
					q.give()
				}
			}()
			synctest.Wait()
		}
		leaves, leave := context.WithCancel(t.Context())
		wait("crowd 1", crowd, t.Context())
		wait("crowd 2", crowd, t.Context())
		wait("crowd 3", crowd, leaves)
		wait("crowd 4", crowd, t.Context())
		wait("device", device, t.Context())
		leave()
		synctest.Wait()
		q.give()
		synctest.Wait()
		if want := []string{"crowd 1", "device", "crowd 2", "crowd 4"}; !slices.Equal(order, want) {
			t.Errorf("turns were %v, expected %v", order, want)
		}
		if q.free != 1 || len(q.waiting) != 0 || len(q.next) != 0 {
			t.Errorf("afterwards %d are free, %d addresses wait", q.free, len(q.waiting))
		}
	})
}

func TestSomebodyIsOnTheWayIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newAnteroom(1)
		want := func(when string, lately bool) {
			t.Helper()
			if q.lately() != lately {
				t.Errorf("%s: %t, expected %t", when, !lately, lately)
			}
		}
		want("at first", false)
		q.take(t.Context(), netip.MustParsePrefix("198.18.0.2/32"))
		want("during a handshake", true)
		q.give()
		time.Sleep(moment - 1)
		want("shortly after", true)
		time.Sleep(time.Nanosecond)
		want("later", false)
	})
}
