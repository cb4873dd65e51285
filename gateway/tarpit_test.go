package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/attempts"
)

// TestWhoFailsTooOftenWaitsForTheAnswer holds that a connection which the door
// refuses stays unanswered for as long as the tarpit says, and that neither the
// end of the gateway nor a full tarpit waits for that.
func TestWhoFailsTooOftenWaitsForTheAnswer(t *testing.T) {
	knocks := func(x *scene) net.Conn {
		c, err := net.Dial("tcp", x.plain)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	refused := func(x *scene) net.Conn {
		x.gateway.door.failed(addressOf(knocks(x)))
		return knocks(x)
	}
	t.Run("for its time", func(t *testing.T) {
		x := newScene(t, Limits{Burst: 1, Failures: 0.001, Tarpit: 100 * time.Millisecond})
		began := time.Now()
		if n, err := refused(x).Read(make([]byte, 1)); err == nil {
			t.Errorf("the door answers %d bytes", n)
		}
		if waited := time.Since(began); waited < 50*time.Millisecond {
			t.Errorf("it was told after %s", waited)
		}
	})
	t.Run("not after the gateway's end", func(t *testing.T) {
		x := newScene(t, Limits{Burst: 1, Failures: 0.001, Tarpit: time.Hour})
		c := refused(x)
		x.journal.await(t, "refused at the door", func(a *attempts.Attempt) bool { return strings.Contains(a.Reason, "Too many connections") })
		x.gateway.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("it is still open")
		}
	})
	t.Run("those whose time is nearest make room", func(t *testing.T) {
		p := newTarpit(time.Second)
		p.most = 3
		open := map[net.Conn]bool{}
		for range 5 {
			ours, theirs := net.Pipe()
			must(t, theirs.SetReadDeadline(time.Now().Add(time.Millisecond)))
			p.take(ours)
			open[theirs] = true
		}
		count := func() (n int) {
			for c := range open {
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					n++
				}
			}
			return n
		}
		if n := count(); n == 0 || n > 3 || n != p.held {
			t.Errorf("%d are open, %d held", n, p.held)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		p.run(ended)
		if n := count(); n != 0 || p.held != 0 {
			t.Errorf("%d outlive the tarpit", n)
		}
		ours, theirs := net.Pipe()
		p.take(ours)
		if _, err := theirs.Read(make([]byte, 1)); err == nil || p.held != 0 {
			t.Error("one that comes after its end is held")
		}
	})
}
