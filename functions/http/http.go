// Package httpfn calls functions that live at an HTTP endpoint of the Lambda
// invoke form: the payload is the body of a POST, and a 200 carries the answer.
// A header X-Amz-Function-Error marks the answer as the function's report of
// an error. Anything else refuses (hooks-and-events.md, section 1.5).
//
// With a secret each call is signed, so that the endpoint knows its caller:
//
//	X-Slipway-Timestamp: seconds since 1970
//	X-Slipway-Signature: sha256=HEX of HMAC-SHA256(secret, timestamp "." body)
//
// An endpoint compares in constant time and refuses timestamps older than a
// few minutes.
//
// The URL comes from an operator, and a name in it may lead anywhere, so the
// address is judged when it is dialled, after resolution; see guard.go.
// Proxies of the environment are not used and redirects not followed: both
// would reach what was not judged.
package httpfn

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
)

// A Driver opens http functions. The zero value works.
type Driver struct {
	// OwnPorts gives the ports that this server listens on; a function may
	// not lead to them, allowPrivate or not. Nil means none.
	OwnPorts func() []int
	// RootCAs verifies endpoints; nil means those of the system.
	RootCAs *x509.CertPool
	// Now is the clock of signatures; nil means time.Now.
	Now func() time.Time
}

// Endpoint is a live http function.
type Endpoint struct {
	spec   functions.Spec
	arn    string
	now    func() time.Time
	calls  *functions.Calls
	client http.Client
}

// Open is a [functions.Opener].
func (d Driver) Open(t arn.Tenant, s functions.Spec) (functions.Function, error) {
	s = s.WithDefaults()
	e := &Endpoint{spec: s, arn: functions.ARN(t, s.Name), now: d.Now, calls: functions.NewCalls(s)}
	if e.now == nil {
		e.now = time.Now
	}
	e.client = http.Client{
		Transport:     d.transport(s),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

func (d Driver) transport(s functions.Spec) *http.Transport {
	g := guard{allowPrivate: s.AllowPrivate, ownPorts: d.OwnPorts}
	return &http.Transport{
		DialContext:            (&net.Dialer{Control: g.control}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: d.RootCAs, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:    s.Concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // so that the limit of an answer holds before unpacking
	}
}

// Client gives a client under the guard, for calls of another form. It follows
// no redirects. Private lets it reach private addresses.
func (d Driver) Client(private bool) *http.Client {
	return &http.Client{
		Transport:     d.transport(functions.Spec{AllowPrivate: private}.WithDefaults()),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Invoke posts payload to the endpoint.
func (e *Endpoint) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, end, err := e.calls.Begin(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer end()
	out, err := e.post(ctx, payload)
	if ctx.Err() != nil { // also an answer that came with the end of its time
		return nil, e.calls.Ended(ctx, "answer")
	}
	return out, err
}

// Close ends the calls under way and the idle connections.
func (e *Endpoint) Close() error {
	e.calls.Close()
	e.client.CloseIdleConnections()
	return nil
}

func (e *Endpoint) post(ctx context.Context, payload []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.spec.URL, bytes.NewReader(payload))
	if err != nil {
		return nil, functions.Fail(functions.Unreachable, e.spec.Name, nil, "cannot be called: its URL is not valid.")
	}
	e.sign(req.Header, payload)
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, e.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, e.badStatus(resp.StatusCode)
	}
	out, err := e.read(resp)
	if err != nil {
		return nil, err
	}
	if resp.Header.Get("X-Amz-Function-Error") != "" {
		return nil, functions.Thrown(e.spec.Name, out)
	}
	return out, nil
}

// sign sets the headers of a call. The timestamp is under the signature, so
// that an overheard call cannot be told again later.
func (e *Endpoint) sign(h http.Header, payload []byte) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "slipway")
	h.Set("X-Amz-Invocation-Type", "RequestResponse")
	h.Set("X-Slipway-Function", e.arn)
	if e.spec.Secret == "" {
		return
	}
	stamp := strconv.FormatInt(e.now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(e.spec.Secret))
	io.WriteString(mac, stamp+".")
	mac.Write(payload)
	h.Set("X-Slipway-Timestamp", stamp)
	h.Set("X-Slipway-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// read takes the body and no more of it than the limit; the connection of a
// longer one is given up.
func (e *Endpoint) read(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > functions.MaxBytes {
		return nil, functions.Oversized(e.spec.Name, "answered", resp.ContentLength)
	}
	out, err := io.ReadAll(io.LimitReader(resp.Body, functions.MaxBytes+1))
	if err != nil {
		return nil, functions.Fail(functions.Unreachable, e.spec.Name, err, "broke off its answer after %d bytes.", len(out))
	}
	if len(out) > functions.MaxBytes {
		return nil, functions.Fail(functions.TooLarge, e.spec.Name, nil, "answered more than 6 MiB, which is the limit.")
	}
	return out, nil
}

func (e *Endpoint) badStatus(code int) error {
	why := "200 is expected"
	if code >= 300 && code < 400 {
		why = "redirects are not followed"
	}
	return functions.Fail(functions.BadStatus, e.spec.Name, nil, "answered with status %d; %s.", code, why)
}

// unreachable says in a sentence why no answer came. The cause is kept without
// the URL, which may hold a secret in its query.
func (e *Endpoint) unreachable(err error) error {
	why, err := whyUnreachable(err)
	return functions.Fail(functions.Unreachable, e.spec.Name, err, "%s", why)
}

// Unreachable says the same of a call by Client; who names the endpoint.
func Unreachable(who string, err error) error {
	why, err := whyUnreachable(err)
	return fault.Wrap(fault.Unavailable, err, "%s %s", who, why)
}

func whyUnreachable(err error) (string, error) {
	var (
		u       *url.Error
		refused *refusal
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		op      *net.OpError
	)
	if errors.As(err, &u) {
		err = u.Err
	}
	why := "broke off the call before it answered."
	switch {
	case errors.As(err, &refused):
		why = "may not be called: its URL leads to " + refused.what + "."
	case errors.As(err, &dns):
		why = "cannot be reached: its host name has no address."
	case errors.As(err, &cert):
		why = "cannot be reached: the certificate of its endpoint cannot be verified."
	case errors.As(err, &op) && op.Op == "dial":
		why = "cannot be reached: its endpoint does not accept connections."
	}
	return why, err
}
