package gateway

import (
	"context"
	"net"
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
		x := newScene(t, Limits{Burst: 1, Failures: 0.001, Tarpit: 50 * time.Millisecond})
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
	t.Run("the oldest of too many goes", func(t *testing.T) {
		p := &tarpit{patience: time.Hour, stuck: make(chan stuck, 2)}
		var theirs []net.Conn
		for range 3 {
			ours, c := net.Pipe()
			theirs = append(theirs, c)
			p.take(ours)
		}
		if _, err := theirs[0].Read(make([]byte, 1)); err == nil {
			t.Error("the oldest is still open")
		}
		if len(p.stuck) != 2 {
			t.Errorf("%d are held", len(p.stuck))
		}
		ended, end := context.WithCancel(t.Context())
		end()
		p.run(ended)
		for _, c := range theirs[1:] {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("one outlives the tarpit")
			}
		}
	})
}
