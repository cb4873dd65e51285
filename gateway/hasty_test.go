//go:build unix

package gateway

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestWhoHungUp asserts that only a stream that ended counts as one that has, and
// that looking waits for nobody, also not for one that sends without end.
func TestWhoHungUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	pair := func() (device *net.TCPConn, ours net.Conn) {
		d, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if ours, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = d.Close(), ours.Close() })
		_ = ours.SetDeadline(time.Now().Add(time.Minute))
		return d.(*net.TCPConn), ours
	}
	_, ours := pair()
	if hungUp(ours) {
		t.Error("who says nothing has hung up")
	}
	device, ours := pair()
	if _, err := device.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if hungUp(ours) {
		t.Error("who still sends has hung up")
	}
	device, ours = pair()
	if _, err := device.Write([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	_ = device.CloseWrite()
	for !hungUp(ours) { // the end comes when it comes
		if _, err := ours.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
}
