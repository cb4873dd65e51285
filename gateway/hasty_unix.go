//go:build unix

package gateway

import (
	"errors"
	"net"
	"syscall"
)

// mayHurry says whether writeNow works here.
const mayHurry = true

// writeNow writes what the socket takes without waiting.
func writeNow(c net.Conn, b []byte) (n int, err error) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return c.Write(b)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = syscall.Write(int(fd), b)
		return true
	})
	n = max(n, 0)
	if err == nil && failed != nil && !errors.Is(failed, syscall.EAGAIN) && !errors.Is(failed, syscall.EINTR) {
		err = failed
	}
	return n, err
}

// hungUp says whether the stream of the other side has ended. It drops some of
// what came before that, and waits for nothing.
func hungUp(c net.Conn) (over bool) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var b [512]byte
	_ = raw.Read(func(fd uintptr) bool {
		for range 4 { // who goes on sending has not hung up
			n, err := syscall.Read(int(fd), b[:])
			if n <= 0 {
				over = n == 0 && err == nil
				break
			}
		}
		return true
	})
	return over
}
