package mqtt

import (
	"fmt"
	"io"
)

const (
	// heldBytes is what a Reader keeps between packets, so that a small packet costs
	// one read and no buffer. An idle connection has no more than this.
	heldBytes = 472

	// firstGrant is the memory that a packet gets on its word alone. From then
	// on it gets as much again as has arrived.
	firstGrant = 1024
)

// A Reader takes packets from a stream. It is for one goroutine; SetLimit too.
//
// After an error the Reader has lost its place in the stream and is of no use.
type Reader struct {
	src    io.Reader
	limit  int
	lo, hi uint16 // held[lo:hi] has arrived and is not used yet
	held   [heldBytes]byte
}

// NewReader reads packets of at most limit bytes from src. The whole packet
// counts, as for the property Maximum Packet Size (MQTT 5.0, 3.1.2.11.4). A
// limit of zero or less leaves only what MQTT itself allows, 256 MiB.
func NewReader(src io.Reader, limit int) *Reader { return &Reader{src: src, limit: limit} }

// SetLimit changes the limit for the packets that follow.
func (r *Reader) SetLimit(limit int) { r.limit = limit }

// Buffered is how many bytes behind the last packet have arrived already.
func (r *Reader) Buffered() int { return int(r.hi - r.lo) }

// Next reads one packet of version v. With v zero it accepts only a CONNECT, and
// the packet names the version.
//
// A packet above the limit is refused by its announced length, with
// PacketTooLarge, and the memory of one below the limit grows only as its bytes
// arrive. The packet owns its memory. A failure of the source passes unchanged;
// it is io.EOF only between packets, and io.ErrUnexpectedEOF inside of one.
// Every other failure is an *Error.
func (r *Reader) Next(v Version) (Packet, error) {
	first, size, err := r.header(v)
	if err != nil {
		return nil, err
	}
	if size > len(r.held) {
		body, err := r.large(size)
		if err != nil {
			return nil, inside(err)
		}
		return decode(first, cursor{rest: body, alias: true}, v)
	}
	if err := r.fill(size); err != nil {
		return nil, inside(err)
	}
	body := r.held[r.lo:][:size]
	r.lo += uint16(size)
	return decode(first, cursor{rest: body}, v)
}

// header takes the first byte and the remaining length (MQTT 5.0, 2.1), each
// judged as soon as it is there.
func (r *Reader) header(v Version) (first byte, size int, err error) {
	if err := r.fill(1); err != nil {
		return 0, 0, err
	}
	first = r.held[r.lo]
	r.lo++
	if err := checkFirst(first, v); err != nil {
		return 0, 0, err
	}
	size, width, err := r.length(Type(first>>4), v)
	if err != nil {
		return 0, 0, err
	}
	if whole := 1 + width + size; r.limit > 0 && whole > r.limit {
		return 0, 0, &Error{Code: PacketTooLarge, Version: v,
			Text: fmt.Sprintf("%s: the packet is %d bytes long; at most %d are accepted.",
				Type(first>>4), whole, r.limit)}
	}
	return first, size, nil
}

// length takes the remaining length and gives its own width too. Only MQTT 5
// demands the shortest form (MQTT 5.0, 1.5.5); where the version is not known
// yet, any is taken.
func (r *Reader) length(t Type, v Version) (size, width int, err error) {
	for width < 4 {
		if err := r.fill(1); err != nil {
			return 0, 0, inside(err)
		}
		b := r.held[r.lo]
		r.lo++
		size |= int(b&0x7f) << (7 * width)
		width++
		if b&0x80 != 0 {
			continue
		}
		if b == 0 && width > 1 && v == V5 {
			return 0, 0, &Error{Code: MalformedPacket, Version: v,
				Text: t.String() + ": the remaining length is not in its shortest form."}
		}
		return size, width, nil
	}
	return 0, 0, &Error{Code: MalformedPacket, Version: v,
		Text: t.String() + ": the remaining length is longer than 4 bytes."}
}

// fill waits until n bytes are in held[lo:hi]; n is at most len(held).
func (r *Reader) fill(n int) error {
	if int(r.lo)+n > len(r.held) || r.lo == r.hi {
		r.hi = uint16(copy(r.held[:], r.held[r.lo:r.hi]))
		r.lo = 0
	}
	for int(r.hi-r.lo) < n {
		got, err := r.read(r.held[r.hi:])
		if err != nil {
			return err
		}
		r.hi += uint16(got)
	}
	return nil
}

// large takes a body that is longer than held.
func (r *Reader) large(size int) ([]byte, error) {
	body := make([]byte, 0, min(size, firstGrant))
	body = append(body, r.held[r.lo:r.hi]...)
	r.lo, r.hi = 0, 0
	for len(body) < size {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(size, 2*cap(body))), body...)
		}
		got, err := r.read(body[len(body):cap(body)])
		if err != nil {
			return nil, err
		}
		body = body[:len(body)+got]
	}
	return body, nil
}

// read reads at least one byte. A source that gives nothing and no error, time
// after time, is broken.
func (r *Reader) read(into []byte) (int, error) {
	for range 100 {
		if n, err := r.src.Read(into); n > 0 {
			return n, nil
		} else if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// inside is err as it is called when a packet has begun.
func inside(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
