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
	Version Version
	Code    byte   // an MQTT 5 reason code, whichever version was spoken
	Reason  string // the server's own words, if it has said any
	Err     error
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	switch e.Cause {
	case Refused:
		if e.Reason == "" {
			return fmt.Sprintf("the server answered %s with reason code 0x%02x (%s)", e.Op, e.Code, codeName(e.Code))
		}
		return fmt.Sprintf("the server answered %s with reason code 0x%02x (%s): %s", e.Op, e.Code, codeName(e.Code), e.Reason)
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

// Reason codes of MQTT 5.0, section 2.4, that the agent tells apart.
const (
	CodeUnspecified   = 0x80
	CodeProtocol      = 0x84
	CodeClientID      = 0x85
	CodeBadUser       = 0x86
	CodeNotAuthorized = 0x87
	CodeUnavailable   = 0x88
	CodeBusy          = 0x89
	CodeBanned        = 0x8a
	CodeShuttingDown  = 0x8b
	CodeTakenOver     = 0x8e
	CodeQuota         = 0x97
	CodeRate          = 0x9f
)

// codeName gives a reason code the words of the standard.
func codeName(code byte) string {
	names := map[byte]string{
		CodeUnspecified: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
		0x83: "implementation specific error", CodeProtocol: "unsupported protocol version",
		CodeClientID: "client identifier not valid", CodeBadUser: "bad user name or password",
		CodeNotAuthorized: "not authorized", CodeUnavailable: "server unavailable", CodeBusy: "server busy",
		CodeBanned: "banned", CodeShuttingDown: "server shutting down", 0x8d: "keep alive timeout",
		CodeTakenOver: "session taken over", 0x8f: "topic filter invalid", 0x90: "topic name invalid",
		0x95: "packet too large", CodeQuota: "quota exceeded", 0x98: "administrative action",
		0x99: "payload format invalid", 0x9c: "use another server", 0x9d: "server moved",
		CodeRate: "connection rate exceeded",
	}
	if name, ok := names[code]; ok {
		return name
	}
	return "unknown"
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
func fromTLS(ctx context.Context, op string, v Version, err error) *Error {
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
