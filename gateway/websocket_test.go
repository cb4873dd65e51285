package gateway

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"

	"github.com/slipway-iot/slipway/mqtt"
)

// webSocket opens a WebSocket for the caller, up to the upgrade.
func (r *rig) webSocket(address string, v mqtt.Version, c Caller) *raw {
	r.t.Helper()
	r.signers.add(c)
	d, err := r.handshakeAt(address, tls.Certificate{})
	must(r.t, err)
	d.version = v
	in := bufio.NewReader(d.conn)
	d.bytes([]byte("GET /mqtt?X-Amz-Credential=" + c.KeyID + "&X-Amz-Signature=0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"))
	if p := readReply(r.t, in, d); p.status != http.StatusSwitchingProtocols || p.header.Get("Sec-WebSocket-Protocol") != "mqtt" {
		r.t.Fatalf("the upgrade was answered with %s", p)
	}
	d.frame = func(b []byte) []byte { return clientFrame(0x82, b) }
	d.r = mqtt.NewReader(&unframed{in: in, d: d}, 1<<20)
	return d
}

// clientFrame is a whole frame, masked with a mask that changes nothing.
func clientFrame(first byte, payload []byte) []byte {
	f := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		f = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(len(payload)))
	}
	return append(append(f, 0, 0, 0, 0), payload...)
}

func closeCode(payload []byte) string {
	if len(payload) < 2 {
		return "without a code"
	}
	return strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
}

// unframed reads the payloads of a server's binary frames. Others it notes.
type unframed struct {
	in   *bufio.Reader
	d    *raw
	left uint64
}

func (u *unframed) Read(b []byte) (int, error) {
	for u.left == 0 {
		kind, size, err := u.header()
		if err != nil {
			return 0, err
		}
		if kind == 0x82 {
			u.left = size
			continue
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(u.in, payload); err != nil {
			return 0, err
		}
		switch kind {
		case 0x88:
			u.d.sees = append(u.d.sees, "close frame "+closeCode(payload))
		case 0x8A:
			u.d.sees = append(u.d.sees, "pong "+string(payload))
		}
	}
	n, err := u.in.Read(b[:min(uint64(len(b)), u.left)])
	u.left -= uint64(n)
	return n, err
}

func (u *unframed) header() (kind byte, size uint64, err error) {
	var h [10]byte
	if _, err := io.ReadFull(u.in, h[:2]); err != nil {
		return 0, 0, err
	}
	switch h[1] {
	case 126:
		_, err = io.ReadFull(u.in, h[2:4])
		return h[0], uint64(binary.BigEndian.Uint16(h[2:])), err
	case 127:
		_, err = io.ReadFull(u.in, h[2:10])
		return h[0], binary.BigEndian.Uint64(h[2:]), err
	}
	return h[0], uint64(h[1]), nil
}
