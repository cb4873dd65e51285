package gateway

import (
	"crypto/tls"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// comings are the ways in which a connection begins and ends. Each leaves
// nothing open on the device's side.
func (x *scene) comings(revoked tls.Certificate, v mqtt.Version) {
	x.t.Helper()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", x.plain)
		must(x.t, err)
		return c
	}
	dial().Close() // before a word
	scanner := dial()
	_, _ = scanner.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	drain(scanner)
	scanner.Close()
	half := dial()
	_, _ = half.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01"))
	half.Close()
	if d, err := x.handshake(tls.Certificate{}); err == nil { // no certificate; TLS 1.3 says so afterwards
		drain(d.conn)
		d.tcp.Close()
	} else {
		d.tcp.Close()
	}
	x.raw(x.cert, v).tcp.Close() // before CONNECT
	refused := x.raw(revoked, v)
	refused.connect("no")
	refused.end()
	refused.tcp.Close()

	said := x.connected(x.cert, v)
	said.listen("a/+", "$share/g/b")
	said.says("a/b", nil)
	said.send(&mqtt.Disconnect{})
	said.end()
	said.tcp.Close()
	x.connected(x.cert, v).tcp.Close() // without DISCONNECT
	bad := x.connected(x.cert, v)
	bad.hex("00 00")
	bad.end()
	bad.tcp.Close()
	name := x.name()
	old := x.online(x.cert, name, v)
	x.online(x.cert, name, v).tcp.Close()
	old.end()
	old.tcp.Close()
	cert, id := x.device("", allowAll)
	cut := x.connected(cert, v)
	x.setStatus(id, certs.Revoked)
	cut.end()
	cut.tcp.Close()
	waited := x.name() // for its acknowledgement, in vain
	deaf := x.online(x.cert, waited, v)
	end := x.sent(x.t.Context(), direct(waited, 1, "a"))
	await[*mqtt.Publish](deaf)
	deaf.tcp.Close()
	wantFault(x.t, <-end, fault.Unconfirmed, waited)
	asks := x.connected(x.claim, v)
	asks.send(publish(csrJSON, csrFile(x.t, "p256.pem")))
	asks.tcp.Close()
}

// silence is one more, which takes its time.
func (x *scene) silence() {
	x.t.Helper()
	d := x.online(x.cert, x.name(), mqtt.V5, func(p *mqtt.Connect) { p.KeepAlive = 1 })
	d.end()
	d.tcp.Close()
}

// descriptors counts the open files of this process, where that can be seen.
func descriptors() int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(all)
}

// TestConnectionsLeaveNothing lets connections begin and end in every way, and
// compares goroutines and open files with those before.
func TestConnectionsLeaveNothing(t *testing.T) {
	x := newScene(t, Limits{KeepAlive: time.Second})
	revoked, id := x.device("", allowAll)
	x.setStatus(id, certs.Revoked)
	x.comings(revoked, mqtt.V5) // what is made once is made now
	x.silence()
	x.quiet()
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 3 {
		for _, v := range bothVersions {
			x.comings(revoked, v)
		}
	}
	x.silence()
	x.quiet()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || descriptors() > files; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines of %d, %d files of %d are there\n%s", runtime.NumGoroutine(), goroutines, descriptors(), files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// quiet waits until no connection is held.
func (x *scene) quiet() {
	x.t.Helper()
	for end := time.Now().Add(patience); x.gateway.door.held() != 0; runtime.Gosched() {
		if time.Now().After(end) {
			x.t.Fatalf("%d connections are held", x.gateway.door.held())
		}
	}
}
