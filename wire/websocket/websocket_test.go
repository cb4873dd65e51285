package websocket_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/slipway-iot/slipway/fault"
	own "github.com/slipway-iot/slipway/wire/websocket"
)

// wire is a connection that holds what the peer sent, and keeps what we send.
type wire struct {
	io.Reader
	sent   bytes.Buffer
	closed bool
}

func (w *wire) Write(b []byte) (int, error) { return w.sent.Write(b) }
func (w *wire) CloseWrite() error           { w.closed = true; return nil }

func at(f func()) { f() } // pings are answered at once

func hear(t *testing.T, digits string) (w *wire, c *own.Conn) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	w = &wire{Reader: bytes.NewReader(b)}
	return w, own.New(w, nil, at)
}

func TestTheHandshake(t *testing.T) {
	asked := func(change ...string) *http.Request {
		r := httptest.NewRequest("GET", "/mqtt", nil)
		for name, value := range map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqttv3.1, mqtt"} {
			r.Header.Set(name, value)
		}
		for i := 0; i < len(change); i += 2 {
			r.Header.Set(change[i], change[i+1])
		}
		return r
	}
	t.Run("the first protocol of ours that is offered is picked", func(t *testing.T) {
		r := asked()
		protocol, err := own.Check(r, "mqtt", "mqttv3.1")
		if err != nil || protocol != "mqtt" {
			t.Fatalf("got %q, %v", protocol, err)
		}
		// The key and its answer are those of RFC 6455, section 1.3.
		want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
		if got := string(own.Switching(r, protocol)); got != want {
			t.Errorf("got %q", got)
		}
	})
	t.Run("who offers none gets none", func(t *testing.T) {
		r := asked()
		r.Header.Del("Sec-WebSocket-Protocol")
		protocol, err := own.Check(r, "mqtt")
		if err != nil || protocol != "" || strings.Contains(string(own.Switching(r, "")), "Protocol:") {
			t.Errorf("got %q, %v", protocol, err)
		}
	})
	for sentence, c := range map[string]struct {
		r    *http.Request
		want string
	}{
		"another protocol alone is refused": {asked("Sec-WebSocket-Protocol", "wamp"), `subprotocol is "wamp"; expected mqtt`},
		"an old version is refused":         {asked("Sec-WebSocket-Version", "8"), "expected 13"},
		"a short key is refused":            {asked("Sec-WebSocket-Key", "AAAA"), "16 bytes"},
		"a plain GET is refused":            {asked("Upgrade", "h2c"), "asks for no WebSocket"},
		"a POST is refused":                 {httptest.NewRequest("POST", "/mqtt", nil), "not with POST"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if _, err := own.Check(c.r, "mqtt"); !fault.Is(err, fault.InvalidRequest) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBytesComeOutOfFrames(t *testing.T) {
	for sentence, c := range map[string]struct{ frames, want string }{
		"one message":                          {"82 85 37fa213d 7f9f4d5158", "Hello"},
		"a message in fragments":               {"02 83 37fa213d 7f9f4d 80 82 00000000 6c6f", "Hello"},
		"a ping between fragments":             {"02 83 37fa213d 7f9f4d 89 80 00000000 80 82 00000000 6c6f", "Hello"},
		"an empty message is nothing":          {"82 80 00000000 82 81 00000000 41", "A"},
		"a length that is not in its shortest": {"82 fe 0001 00000000 41", "A"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, conn := hear(t, c.frames)
			got, err := io.ReadAll(conn)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestWhatNoClientMaySend(t *testing.T) {
	for sentence, c := range map[string]struct {
		frames string
		code   uint16
	}{
		"a frame without a mask":                {"82 01 41", 1002},
		"reserved bits":                         {"c2 81 00000000 41", 1002},
		"text":                                  {"81 81 00000000 41", 1003},
		"a continuation of nothing":             {"80 81 00000000 41", 1002},
		"a message inside of another":           {"02 80 00000000 82 81 00000000 41", 1002},
		"a ping in fragments":                   {"09 80 00000000", 1002},
		"a ping of 126 bytes":                   {"89 fe 007e 00000000", 1002},
		"an unknown kind":                       {"83 80 00000000", 1002},
		"an unknown kind of control":            {"8b 80 00000000", 1002},
		"a length of 64 bits":                   {"82 ff 8000000000000000 00000000", 1002},
		"a close with half a code":              {"88 81 00000000 03", 1002},
		"a close with a code that none may use": {"88 82 00000000 03ed", 1002},
	} {
		t.Run(sentence, func(t *testing.T) {
			w, conn := hear(t, c.frames)
			_, err := io.ReadAll(conn)
			var bad *own.Error
			if !errors.As(err, &bad) || bad.Code != c.code {
				t.Fatalf("got %v", err)
			}
			if err := conn.CloseWrite(); err != nil || !w.closed {
				t.Error(err)
			}
			want := []byte{0x88, 2, byte(c.code >> 8), byte(c.code)}
			if got := w.sent.Bytes(); !bytes.Equal(got, want) {
				t.Errorf("the peer was told %x", got)
			}
		})
	}
}

func TestACloseIsAnsweredWithItsCode(t *testing.T) {
	for frames, want := range map[string]string{"88 80 00000000": "880203e8", "88 84 00000000 03e9 6279": "880203e9"} {
		w, conn := hear(t, frames)
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, own.ErrClosed) {
			t.Errorf("got %v", err)
		}
		_ = conn.CloseWrite()
		if got := hex.EncodeToString(w.sent.Bytes()); got != want {
			t.Errorf("%s was answered with %s", frames, got)
		}
	}
}

// A client that is not ours says the same with bytes of every length.
func TestAForeignClientIsUnderstood(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol, err := own.Check(r, "mqtt")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write(own.Switching(r, protocol))
		c := own.New(conn.(*net.TCPConn), nil, at)
		for b := make([]byte, 1<<17); ; { // an echo
			n, err := c.Read(b)
			if err != nil {
				_ = c.CloseWrite()
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				t.Error(err)
			}
		}
	}))
	defer server.Close()
	conn, _, err := (&websocket.Dialer{Subprotocols: []string{"mqtt"}}).Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.Subprotocol() != "mqtt" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	ponged := ""
	conn.SetPongHandler(func(said string) error { ponged = said; return nil })
	for _, n := range []int{1, 125, 126, 127, 65535, 65536, 100_000} {
		sent := bytes.Repeat([]byte{byte(n), 0xA5, 0}, n/3+1)[:n]
		if err := conn.WriteMessage(websocket.BinaryMessage, sent); err != nil {
			t.Fatal(err)
		}
		if err := conn.WriteMessage(websocket.PingMessage, []byte("are you there")); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for len(got) < n {
			_, part, err := conn.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back as %d others", n, len(got))
		}
	}
	if err := conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "done")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, 4001) {
		t.Errorf("our close was answered with %v", err)
	}
	if ponged != "are you there" {
		t.Errorf("the pings were answered with %q", ponged)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"828537fa213d7f9f4d5158", "028337fa213d7f9f4d8980000000008082000000006c6f", "82ff7fffffffffffffff0000000041", "88820000000003e8"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b, 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, early int) {
		early = min(max(early, 0), len(b))
		w := &wire{Reader: bytes.NewReader(b[early:])}
		c := own.New(w, b[:early:early], at)
		got, err := io.ReadAll(c)
		if len(got) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(got))
		}
		var bad *own.Error
		if errors.As(err, &bad) && bad.Code != 1002 && bad.Code != 1003 {
			t.Errorf("code %d", bad.Code)
		}
		_ = c.CloseWrite()
	})
}
