// Package websocket is the server's side of WebSocket as far as MQTT needs it
// (RFC 6455; MQTT 5.0, section 6): a handshake, and a stream of bytes in binary
// messages whose boundaries mean nothing.
//
// It is ours because a session owns its connection: deadlines are set below, by
// others, and a read that was woken by one must not spoil the write that says
// why the connection ends. An idle connection costs the Conn and no buffer. No
// extension is spoken.
package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// salt is what a server adds to the client's key (RFC 6455, section 1.3).
const salt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Check says what is wrong with a request that should open a WebSocket and
// speak one of the protocols, and picks the first of those that it offers. A
// client that offers none gets none.
func Check(r *http.Request, protocols ...string) (protocol string, err error) {
	switch {
	case r.Method != http.MethodGet:
		return "", bad("A WebSocket is opened with GET, not with %s.", arn.Clip(r.Method, 20))
	case !has(r.Header, "Connection", "upgrade") || !has(r.Header, "Upgrade", "websocket"):
		return "", bad("The request asks for no WebSocket: the headers Connection: Upgrade and Upgrade: websocket are missing.")
	case !r.ProtoAtLeast(1, 1):
		return "", bad("A WebSocket needs HTTP/1.1; the request is %s.", arn.Clip(r.Proto, 20))
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return "", bad("The header Sec-WebSocket-Version is %q; expected 13.", arn.Clip(r.Header.Get("Sec-Websocket-Version"), 20))
	}
	if key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key")); err != nil || len(key) != 16 {
		return "", bad("The header Sec-WebSocket-Key is not the base64 of 16 bytes.")
	}
	if len(r.Header.Values("Sec-Websocket-Protocol")) == 0 {
		return "", nil
	}
	for _, p := range protocols {
		if has(r.Header, "Sec-Websocket-Protocol", p) {
			return p, nil
		}
	}
	return "", bad("The WebSocket's subprotocol is %q; expected %s.", arn.Clip(r.Header.Get("Sec-Websocket-Protocol"), 60), strings.Join(protocols, " or "))
}

func bad(format string, args ...any) error { return fault.New(fault.InvalidRequest, format, args...) }

// has says whether a header lists a word; case does not matter.
func has(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), word) {
				return true
			}
		}
	}
	return false
}

// Switching is the answer to a request that Check found good.
func Switching(r *http.Request, protocol string) []byte {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + salt)) // as the RFC has it: no secret, a proof that we speak WebSocket
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		answer += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	return []byte(answer + "\r\n")
}

// An Error is what the peer did wrong. The connection is over; CloseWrite tells
// the peer the code.
type Error struct {
	Code uint16 // RFC 6455, section 7.4.1
	Text string
}

func (e *Error) Error() string { return e.Text }

func violation(code uint16, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}
