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
		first := q.take(t.Context(), crowd)
		if first == nil {
			t.Fatal("the first waits")
		}
		var order []string
		wait := func(name string, from netip.Prefix, ctx context.Context) {
			go func() {
				if g := q.take(ctx, from); g != nil {
					order = append(order, name)
					q.give(g)
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
		q.give(first)
		synctest.Wait()
		if want := []string{"crowd 1", "device", "crowd 2", "crowd 4"}; !slices.Equal(order, want) {
			t.Errorf("turns were %v, expected %v", order, want)
		}
		if q.taken != 0 || len(q.waiting) != 0 || len(q.next) != 0 {
			t.Errorf("afterwards %d are taken, %d addresses wait", q.taken, len(q.waiting))
		}
	})
}

// Crowds, of however many addresses, leave half the turns to those who come
// alone, as long as somebody does. Here and below, time.Sleep moves the clock of
// synctest and waits for nothing.
func TestACrowdLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const turns = 4
		q := newAnteroom(turns)
		come := func(from string, n int, has chan *guest) {
			for range n {
				go func() { has <- q.take(t.Context(), netip.MustParsePrefix(from)) }()
			}
			synctest.Wait()
		}
		device := func(from string) {
			t.Helper()
			turn := make(chan *guest, 1)
			come(from, 1, turn)
			select {
			case g := <-turn:
				q.give(g)
			default:
				t.Errorf("%s waits for crowds", from)
			}
		}
		has := make(chan *guest, 60)
		const takes = time.Millisecond
		ended := 0
		end := func() {
			t.Helper()
			time.Sleep(takes)
			select {
			case g := <-has:
				q.give(g)
				ended++
				synctest.Wait()
			default:
				t.Fatal("nobody of the crowd has a turn")
			}
		}
		taken := func(when string, want int) {
			t.Helper()
			if synctest.Wait(); len(has) != want {
				t.Errorf("%s %d of the crowd have a turn, expected %d", when, len(has), want)
			}
		}
		come("198.18.0.1/32", 30, has)
		come("198.18.0.2/32", 30, has)
		taken("at first", turns)
		time.Sleep(beside)
		end()
		taken("with nobody beside them", turns)
		turn := make(chan *guest, 1)
		come("198.18.0.3/32", 1, turn)
		for range 3 { // addresses
			end()
		}
		select {
		case g := <-turn:
			q.give(g)
		default:
			t.Fatal("the device waits longer than its turn")
		}
		for len(has) > turns/2 {
			end()
		}
		device("198.18.0.3/32")
		device("198.18.0.4/32")
		taken("beside a device", turns/2)
		end()
		device("198.18.0.4/32")
		taken("just after a turn", turns/2-1)
		time.Sleep(beside / 2) // more than it has to rest
		device("198.18.0.4/32")
		taken("after a rest", turns/2)
		time.Sleep(beside)
		end()
		taken("with nobody beside them any more", turns)
		for ended < cap(has) {
			if len(has) == 0 {
				time.Sleep(beside) // what is left of one crowd may be a few beside the other
			}
			end()
		}
	})
}

// A crowd does not make room for those of its own address.
func TestACrowdIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newAnteroom(2)
		first := q.take(t.Context(), netip.MustParsePrefix("198.18.0.1/32"))
		has := make(chan *guest, 20)
		for range cap(has) {
			go func() { has <- q.take(t.Context(), first.from) }()
		}
		synctest.Wait()
		q.give(first)
		for range cap(has) {
			synctest.Wait()
			if len(has) != min(2, len(q.waiting[first.from])+len(has)) {
				t.Fatalf("%d have a turn", len(has))
			}
			q.give(<-has)
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
		g := q.take(t.Context(), netip.MustParsePrefix("198.18.0.2/32"))
		want("during a handshake", true)
		q.give(g)
		time.Sleep(moment - 1)
		want("shortly after", true)
		time.Sleep(time.Nanosecond)
		want("later", false)
	})
}
