package gateway

// stackRoom is what a handshake, CONNECT, and a request that is signed for, need
// of their goroutine's stack, about.
const stackRoom = 28 << 10

// stretch makes room on the goroutine's stack at once, while there is nothing
// on it to copy. Left to itself it doubles when it is full, four times a
// connection, and is copied each time from the depth of a TLS handshake. The
// garbage collector takes back what stays unused.
//
// The room is made on entry, whatever happens then. What comes with declaring it,
// writing zeros all over it, costs more than the rest: nobody gets there.
//
//go:noinline
func stretch(at int) byte {
	if at == 0 {
		return 0
	}
	var room [stackRoom]byte
	room[at%stackRoom] = 1 // at a place that the compiler does not know, so that it makes the room
	return room[0]
}
