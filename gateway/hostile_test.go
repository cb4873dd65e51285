package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/mqtt"
)

// honest holds that a device gets in and talks.
func (x *scene) honest() {
	x.t.Helper()
	d := x.connected(x.cert, mqtt.V5)
	d.send(publish("dt/honest", nil))
	if await[*mqtt.Puback](d).Code != mqtt.Success || !d.alive() {
		x.t.Error("an honest device is not served")
	}
	d.tcp.Close()
}

func TestRandomBytesHarmNobody(t *testing.T) {
	x := newScene(t, Limits{})
	witness := x.connected(x.cert, mqtt.V311)
	seed := rand.New(rand.NewPCG(1, 2))
	noise := func() []byte {
		b := make([]byte, 1+seed.IntN(300))
		for i := range b {
			b[i] = byte(seed.Uint32())
		}
		return b
	}
	for i := range 150 {
		switch i % 3 {
		case 0: // instead of TLS
			c, err := net.Dial("tcp", x.plain)
			must(t, err)
			_, _ = c.Write(noise())
			_ = c.(*net.TCPConn).CloseWrite()
			drain(c)
			c.Close()
		case 1: // instead of CONNECT
			d := x.raw(x.cert, mqtt.V5)
			d.bytes(noise())
			_ = d.conn.CloseWrite()
			drain(d.conn)
		case 2: // instead of any later packet
			d := x.connected(x.cert, bothVersions[i%2])
			d.bytes(noise())
			_ = d.conn.CloseWrite()
			drain(d.conn)
		}
	}
	if !witness.alive() {
		t.Error("another connection was harmed")
	}
	x.honest()
}

// TestACrowdThatSaysNothingKeepsNobodyOut lets thousands stand in the door,
// which has room for a hundred.
func TestACrowdThatSaysNothingKeepsNobodyOut(t *testing.T) {
	x := newScene(t, Limits{Strangers: 100, Handshake: time.Minute})
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	for i := range 3000 {
		c, err := net.Dial("tcp", x.plain)
		must(t, err)
		crowd = append(crowd, c)
		if i%500 == 0 {
			x.honest()
		}
	}
	x.awaitStrangers(100)
	x.honest()
	t.Run("and the journal has one row for all of them", func(t *testing.T) {
		for _, c := range crowd[:2500] {
			drain(c) // shown out
		}
		rows := x.journal.rows()
		if rows["127.0.0.1/32 crowd"] < 2500 || len(rows) != 1 {
			t.Errorf("the folded rows are %v", rows)
		}
	})
}

// TestAHalfPacketForEverIsSilence trickles a packet that never becomes whole.
func TestAHalfPacketForEverIsSilence(t *testing.T) {
	x := newScene(t, Limits{KeepAlive: time.Second})
	d := x.online(x.cert, "trickle", mqtt.V5, func(p *mqtt.Connect) { p.KeepAlive = 1 })
	stop := make(chan struct{})
	var trickling sync.WaitGroup
	trickling.Go(func() {
		d.bytes([]byte{0x30, 0xff, 0xff, 0x03})
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				d.bytes([]byte{0})
			}
		}
	})
	if saw := d.end(); !strings.HasPrefix(saw, "DISCONNECT 0x8D") {
		t.Errorf("the device saw %s", saw)
	}
	close(stop)
	trickling.Wait()
}

func TestASlowReaderHarmsNobody(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprintf("at QoS %d", qos), func(t *testing.T) {
			x := newScene(t, Limits{Queue: 300 << 10})
			slow, quick := x.connected(x.cert, mqtt.V5), x.connected(x.cert, mqtt.V5)
			shrink(slow)
			for _, d := range []*raw{slow, quick} {
				d.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "flood", QoS: qos}}})
				await[*mqtt.Suback](d)
			}
			from := x.connected(x.cert, mqtt.V5)
			load := bytes.Repeat([]byte("x"), 60_000)
			for x.session(slow.local()) != nil {
				from.send(publish("flood", load))
				await[*mqtt.Puback](from)
				m := await[*mqtt.Publish](quick) // each arrives, whatever the slow one does
				if m.QoS != qos || len(m.Payload) != len(load) {
					t.Fatalf("the quick reader got %d bytes at QoS %d", len(m.Payload), m.QoS)
				}
				if qos == 1 {
					quick.send(&mqtt.Puback{PacketID: m.PacketID})
				}
			}
		})
	}
}

// TestTheLastWordToAFullQueue ends a session whose queue has no room for the
// DISCONNECT, on the goroutine of a publisher that must come back from it.
func TestTheLastWordToAFullQueue(t *testing.T) {
	x := newScene(t, Limits{Queue: 100 << 10})
	cert, id := x.device("", allowAll)
	d := x.online(cert, "full", mqtt.V5)
	s := x.sessionOf(id)
	if idle := s.written(); idle != nil {
		<-idle // CONNACK is there, but its writer may not have ended
	}
	s.out.mu.Lock()
	s.out.flying = s.g.Limits.Queue - 10 // as if the writer were stuck with it
	s.out.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.deliver(&mqtt.Publish{Topic: "t", Payload: []byte("one too many")})
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the publisher never came back")
	}
	d.end()
}

func TestAMessageTooLargeForTheDeviceIsLeftOut(t *testing.T) {
	x := newScene(t, Limits{})
	d := x.online(x.cert, "small", mqtt.V5, maxPacket(512), func(p *mqtt.Connect) { p.Properties.ReceiveMaximum = mqtt.Some(uint16(2)) })
	d.send(subscribe("m"))
	await[*mqtt.Suback](d)
	from := x.connected(x.cert, mqtt.V311)
	for range 5 {
		from.send(publish("m", make([]byte, 600)))
	}
	from.send(publish("m", []byte("small")))
	if m := await[*mqtt.Publish](d); string(m.Payload) != "small" {
		t.Errorf("got %d bytes", len(m.Payload))
	}
	t.Run("an answer too, and the trace says so", func(t *testing.T) {
		x.within(t)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		if saw := d.saw(); saw != "the connection stays" {
			t.Errorf("the device saw %s", saw)
		}
		a := x.journal.of(d.local())
		if last := a.Steps[len(a.Steps)-1]; !strings.Contains(last.Text, "at most 512 bytes") {
			t.Errorf("the last step is %q", last.Text)
		}
	})
}

// TestARefusedLoopIsBounded publishes to a forbidden topic again and again on
// a connection that stays.
func TestARefusedLoopIsBounded(t *testing.T) {
	x := newScene(t, Limits{})
	cert, _ := x.device("", onlyOwn)
	d := x.online(cert, "loop", mqtt.V5)
	for i := range 300 {
		d.send(&mqtt.Publish{Topic: fmt.Sprintf("forbidden/%d", i), QoS: 1, PacketID: 1})
		await[*mqtt.Puback](d)
	}
	d.tcp.Close()
	a := x.journal.await(t, "of the loop", func(a *attempts.Attempt) bool {
		return a.Remote == d.local() && a.Steps[len(a.Steps)-1].Name == "end"
	})
	if n := x.journal.count(d.local()); n > 70 || len(a.Steps) > 64 {
		t.Errorf("the attempt was written %d times and has %d steps", n, len(a.Steps))
	}
}

func TestCloseEndsEverythingAndLeavesNothing(t *testing.T) {
	x := newScene(t, Limits{})
	v5, v311 := x.connected(x.cert, mqtt.V5), x.connected(x.cert, mqtt.V311)
	asking := x.connected(x.claim, mqtt.V5)
	asking.send(publish(keysJSON, nil))
	half := x.raw(x.cert, mqtt.V5)
	silent, err := net.Dial("tcp", x.plain)
	must(t, err)
	defer silent.Close()
	x.awaitStrangers(2)
	x.gateway.Close()
	if saw := v5.end(); !strings.HasPrefix(saw, "DISCONNECT 0x8B") {
		t.Errorf("a device of MQTT 5 saw %s", saw)
	}
	if saw := v311.end(); saw != "socket closed" {
		t.Errorf("a device of MQTT 3.1.1 saw %s", saw)
	}
	drain(asking.conn)
	drain(half.conn)
	drain(silent)
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(patience); time.Now().Before(end); { // Serve itself ends when its listener does
		stacks = stacks[:runtime.Stack(stacks[:cap(stacks)], true)]
		if !bytes.Contains(stacks, []byte("gateway.(*session)")) && !bytes.Contains(stacks, []byte("gateway.(*Gateway)")) {
			break
		}
		runtime.Gosched()
	}
	for _, g := range strings.Split(string(stacks), "\n\n") {
		if strings.Contains(g, "gateway.(*session)") || strings.Contains(g, "gateway.(*Gateway)") {
			t.Errorf("a goroutine stayed:\n%s", g)
		}
	}
	for row := range x.journal.rows() {
		if row != "127.0.0.1/32 shutdown" {
			t.Errorf("the journal blames a device: %s", row)
		}
	}
	if x.gateway.Connections() != 0 || x.gateway.door.total != 0 || len(x.gateway.hub.credentials) != 0 || len(x.gateway.hub.entering) != 0 || len(x.gateway.door.shown) != 0 {
		t.Error("tables are not empty")
	}
	if found := x.gateway.topics.match(arn.Default, "a", nil); len(found) != 0 {
		t.Errorf("subscriptions stayed: %v", found)
	}
}

// tired is a listener that runs out of file descriptors twice.
type tired struct {
	net.Listener
	fails int
}

func (l *tired) Accept() (net.Conn, error) {
	if l.fails++; l.fails <= 2 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptOutlivesAShortageOfDescriptors(t *testing.T) {
	x := newScene(t, Limits{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error)
	go func() { served <- x.gateway.Serve(&tired{Listener: ln}, Plain) }()
	x.plain = ln.Addr().String()
	x.honest()
	ln.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	t.Run("but ends with what is final", func(t *testing.T) {
		final := errors.New("the network is gone")
		if err := x.gateway.Serve(broken{final}, Plain); !errors.Is(err, final) {
			t.Errorf("got %v", err)
		}
	})
}

type broken struct{ err error }

func (b broken) Accept() (net.Conn, error) { return nil, b.err }
func (broken) Close() error                { return nil }
func (broken) Addr() net.Addr              { return nil }
