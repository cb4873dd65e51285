package mqttlink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/slipway-iot/slipway/mqtt"
)

// A Cause is what kind of failure a link met.
type Cause uint8

const (
	Unreachable Cause = iota // there is no connection: no name, no route, nobody listening
	TimedOut                 // nothing came back in time
	Untrusted                // the server did not prove its name to us
	Alert                    // the server ended TLS with an alert; Reason is the alert
	Closed                   // the server closed without a word
	Refused                  // the server said no; Code and Reason say how
)

// An Error is a failure of a link.
type Error struct {
	Cause   Cause
	Op      string // what was being done: "the TLS handshake", "SUBSCRIBE"
	Version mqtt.Version
	Code    mqtt.ReasonCode // of MQTT 5, whichever version was spoken
	Reason  string          // the server's own words, if it has said any
	Err     error
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	switch e.Cause {
	case Refused:
		said := fmt.Sprintf("the server answered %s with reason code 0x%02x (%s)", e.Op, byte(e.Code), e.Code)
		if e.Reason != "" {
			said += ": " + e.Reason
		}
		return said
	case Alert:
		return fmt.Sprintf("the server ended %s with the TLS alert %q", e.Op, e.Reason)
	case Closed:
		return fmt.Sprintf("the server closed the connection without a word during %s", e.Op)
	case TimedOut:
		return fmt.Sprintf("no answer in time to %s", e.Op)
	case Untrusted:
		return fmt.Sprintf("the server's certificate is not accepted: %v", e.Err)
	}
	return fmt.Sprintf("%s failed: %v", e.Op, e.Err)
}

func unreachable(ctx context.Context, err error) *Error {
	e := &Error{Cause: Unreachable, Op: "the TCP connection", Err: err}
	if timedOut(ctx, err) {
		e.Cause = TimedOut
	}
	return e
}

func timedOut(ctx context.Context, err error) bool {
	var network net.Error
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &network) && network.Timeout()
}

// fromTLS classifies an error of the connection itself. An alert from the
// other side arrives as an error of no exported type, whose text crypto/tls
// keeps stable; in TLS 1.3 the verdict on a client certificate arrives this
// way only after the handshake (RFC 8446, section 4.4.2.4).
func fromTLS(ctx context.Context, op string, v mqtt.Version, err error) *Error {
	e := &Error{Cause: Unreachable, Op: op, Version: v, Err: err}
	var remote *net.OpError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verification):
		e.Cause = Untrusted
	case errors.As(err, &remote) && remote.Op == "remote error":
		e.Cause, e.Reason = Alert, strings.TrimPrefix(remote.Err.Error(), "tls: ")
	case timedOut(ctx, err):
		e.Cause = TimedOut
	case closed(err):
		e.Cause = Closed
	}
	return e
}

// closed says whether err is the other side's end of a connection.
func closed(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
