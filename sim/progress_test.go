package sim

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

func rejected(status int, code string) error {
	return &client.Rejected{Rejection: wire.Rejection{StatusCode: status, ErrorCode: code}}
}

func TestHopelessIsOnlyTheServersNo(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		hopeless bool
	}{
		{"the function refused", rejected(403, "AccessDenied"), true},
		{"the template is gone", rejected(404, "ResourceNotFound"), true},
		{"the token buys nothing: a new certificate may", rejected(400, "InvalidCertificateOwnershipToken"), false},
		{"too many requests", rejected(429, "TooManyRequests"), false},
		{"the server failed", rejected(500, "InternalFailure"), false},
		{"the certificate may not connect", &client.Refused{Packet: mqtt.CONNACK, Code: mqtt.NotAuthorized}, true},
		{"the server is shutting down", &client.Refused{Packet: mqtt.DISCONNECT, Code: mqtt.ServerShuttingDown}, false},
		{"the connection was lost", client.ErrClosed, false},
		{"no answer came", context.DeadlineExceeded, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Hopeless(c.err); got != c.hopeless {
				t.Errorf("Hopeless(%v) = %v", c.err, got)
			}
		})
	}
}

func TestPersistTriesUntilItsTimeIsOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // nobody listens there
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := Device{Connect: client.Options{Address: ln.Addr().String(), ClientID: "boot"}, Template: "fleet"}
	var tries int
	_, conn, err := d.Persist(ctx, Backoff{time.Millisecond, 2 * time.Millisecond}, func(error) {
		if tries++; tries == 3 {
			cancel()
		}
	})
	if conn != nil || err == nil || tries != 3 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	if d.Key == nil || d.Progress.stage() != 0 {
		t.Error("the device keeps its key, and nothing else")
	}
}
