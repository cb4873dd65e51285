package websocket

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// Kinds of frames (RFC 6455, section 5.2).
const (
	continuation = 0x0
	text         = 0x1
	binaryData   = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xA

	final  = 0x80 // in the first byte
	unused = 0x70
	masked = 0x80 // in the second
)

// Codes of a close frame (RFC 6455, section 7.4.1).
const (
	normal        = 1000
	protocolError = 1002
	notSupported  = 1003
)

// maxControl bounds the payload of a control frame.
const maxControl = 125

// ErrClosed is the end of a stream whose peer said so with a close frame.
var ErrClosed = errors.New("websocket: the peer closed")

// A Stream is the connection below. Write is safe beside another Write.
type Stream interface {
	io.ReadWriter
	CloseWrite() error
}

// A Conn carries bytes in binary messages, over a connection whose handshake is
// done. Read is for one goroutine; Write and CloseWrite may be called beside it.
type Conn struct {
	s     Stream
	start func(func()) // runs what may wait for the peer
	early []byte       // arrived together with the handshake

	left   uint64 // bytes of the frame that is being read
	mask   [4]byte
	at     int  // in mask
	inside bool // a message has begun and is not over

	mu      sync.Mutex
	answer  []byte // the last ping's payload, to be sent back
	ponging bool
	code    uint16 // of our close frame
}

// New carries bytes over s. What arrived together with the handshake comes
// first; the Conn keeps it. Pings are answered by a function that is given to
// start, which runs it on a goroutine: there is one at a time.
func New(s Stream, early []byte, start func(func())) *Conn {
	return &Conn{s: s, early: early, start: start, code: normal}
}

// Read gives bytes of binary messages. Its error is an *Error when the peer
// broke a rule, ErrClosed when it closed, and else that of the stream, which
// passes unchanged. After an error the Conn has lost its place.
func (c *Conn) Read(b []byte) (int, error) {
	for c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if uint64(len(b)) > c.left {
		b = b[:c.left]
	}
	n, err := c.read(b)
	c.unmask(b[:n])
	c.left -= uint64(n)
	return n, err
}

// read takes from what came early, then from the stream.
func (c *Conn) read(b []byte) (int, error) {
	if len(c.early) == 0 {
		return c.s.Read(b)
	}
	n := copy(b, c.early)
	if c.early = c.early[n:]; len(c.early) == 0 {
		c.early = nil
	}
	return n, nil
}

func (c *Conn) full(b []byte) error {
	for n := 0; n < len(b); {
		got, err := c.read(b[n:])
		if n += got; err != nil && n < len(b) {
			return err
		}
	}
	return nil
}

func (c *Conn) unmask(b []byte) {
	for i := range b {
		b[i] ^= c.mask[c.at&3]
		c.at++
	}
	c.at &= 3
}

// next takes a frame's header. The frame of a message may be empty; a control
// frame is dealt with here.
func (c *Conn) next() error {
	var h [2]byte
	if err := c.full(h[:]); err != nil {
		return err
	}
	kind := h[0] & 0x0F
	if err := c.check(h, kind); err != nil {
		return c.violated(err)
	}
	size, err := c.size(h[1] &^ masked)
	if err != nil {
		return err
	}
	if err := c.full(c.mask[:]); err != nil {
		return err
	}
	c.at = 0
	if kind >= closing {
		return c.control(kind, int(size))
	}
	c.left, c.inside = size, h[0]&final == 0
	return nil
}

// check judges what the first two bytes say (RFC 6455, sections 5.1 to 5.5).
func (c *Conn) check(h [2]byte, kind byte) *Error {
	switch {
	case h[0]&unused != 0:
		return violation(protocolError, "A WebSocket frame has reserved bits set; no extension was agreed on.")
	case h[1]&masked == 0:
		return violation(protocolError, "A WebSocket frame is not masked; a client's frames must be.")
	case kind == text:
		return violation(notSupported, "A WebSocket frame is of text; MQTT travels in binary frames.")
	case kind == binaryData && c.inside:
		return violation(protocolError, "A WebSocket message began before the one before it was over.")
	case kind == continuation && !c.inside:
		return violation(protocolError, "A WebSocket frame continues a message that never began.")
	case kind >= closing && h[0]&final == 0:
		return violation(protocolError, "A WebSocket control frame is fragmented.")
	case kind >= closing && h[1]&^masked > maxControl:
		return violation(protocolError, "A WebSocket control frame is longer than %d bytes.", maxControl)
	case kind > binaryData && kind < closing || kind > pong:
		return violation(protocolError, "A WebSocket frame has the unknown kind %#x.", kind)
	}
	return nil
}

// size takes a length that is written in 0, 2 or 8 bytes more. Any length is
// taken: nothing is reserved for it.
func (c *Conn) size(short byte) (uint64, error) {
	var b [8]byte
	switch short {
	case 126:
		err := c.full(b[6:])
		return binary.BigEndian.Uint64(b[:]), err
	case 127:
		if err := c.full(b[:]); err != nil {
			return 0, err
		}
		if b[0]&0x80 != 0 {
			return 0, c.violated(violation(protocolError, "A WebSocket frame has a length of 64 bits."))
		}
		return binary.BigEndian.Uint64(b[:]), nil
	}
	return uint64(short), nil
}

func (c *Conn) violated(e *Error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code = e.Code
	return e
}

func (c *Conn) control(kind byte, size int) error {
	payload := make([]byte, size)
	if err := c.full(payload); err != nil {
		return err
	}
	c.unmask(payload)
	switch kind {
	case closing:
		return c.closed(payload)
	case ping:
		c.pong(payload)
	}
	return nil
}

// closed judges a close frame. Ours will echo its code.
func (c *Conn) closed(payload []byte) error {
	if len(payload) == 1 {
		return c.violated(violation(protocolError, "A WebSocket close frame has half a code."))
	}
	if len(payload) >= 2 {
		code := binary.BigEndian.Uint16(payload)
		if !sendable(code) {
			return c.violated(violation(protocolError, "A WebSocket close frame has the code %d, which none may have.", code))
		}
		c.mu.Lock()
		c.code = code
		c.mu.Unlock()
	}
	return ErrClosed
}

// sendable says whether a peer may send the code (RFC 6455, section 7.4).
func sendable(code uint16) bool {
	switch {
	case code >= 3000 && code < 5000:
		return true
	case code == 1004, code == 1005, code == 1006:
		return false
	}
	return code >= 1000 && code <= 1014
}

// pong answers a ping without waiting for a peer that does not read. Of several
// pings that wait the last one is answered (RFC 6455, section 5.5.3).
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	begins := !c.ponging
	c.answer, c.ponging = payload, true
	c.mu.Unlock()
	if begins {
		c.start(c.sendPongs)
	}
}

func (c *Conn) sendPongs() {
	for {
		c.mu.Lock()
		payload := c.answer
		c.answer, c.ponging = nil, payload != nil
		c.mu.Unlock()
		if payload == nil {
			return
		}
		_, _ = c.s.Write(frame(pong, payload)) // the reader meets what is wrong
	}
}

// Write sends one binary message.
func (c *Conn) Write(b []byte) (int, error) {
	f := frame(binaryData, b)
	n, err := c.s.Write(f)
	return max(0, n-(len(f)-len(b))), err
}

// CloseWrite sends the close frame, then ends the stream below.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	code := c.code
	c.mu.Unlock()
	if _, err := c.s.Write(frame(closing, binary.BigEndian.AppendUint16(nil, code))); err != nil {
		return err
	}
	return c.s.CloseWrite()
}

// frame is a whole unmasked frame, as servers send them.
func frame(kind byte, payload []byte) []byte {
	f := make([]byte, 0, len(payload)+10)
	f = append(f, final|kind)
	switch n := len(payload); {
	case n <= maxControl:
		f = append(f, byte(n))
	case n <= 0xFFFF:
		f = binary.BigEndian.AppendUint16(append(f, 126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 127), uint64(n))
	}
	return append(f, payload...)
}
