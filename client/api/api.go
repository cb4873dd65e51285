// Package api calls a control plane that speaks AWS IoT's REST API: Slipway's
// own, AWS's, or another emulator's. It signs with Signature Version 4, reads
// AWS's error envelope, and follows both of AWS's styles of pages.
//
// It knows no operation by name. A caller gives the path, as its operation has
// it, and the types of its members.
package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/wire/sigv4"
)

// A Client calls one control plane with one access key. Its fields are set
// before the first call and never after; calls may run at the same time.
type Client struct {
	Endpoint     string // such as http://127.0.0.1:8080; a path in it is kept
	Region       string // of the signature, and so of the tenant
	AccessKeyID  string
	Secret       string
	SessionToken string // of temporary credentials, else empty

	Roots   *x509.CertPool   // who vouches for an https endpoint; nil: the system's
	Timeout time.Duration    // of one call; default a minute
	Now     func() time.Time // default time.Now; a signature carries the moment
	// Pause waits before a call that was throttled is made again; default: as
	// long as it is told, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration) error

	once sync.Once
	http *http.Client
}

// service is what AWS's credential scope calls the control plane.
const service = "iot"

// maxAnswer bounds what is read of an answer; a page of the longest resources
// is far smaller.
const maxAnswer = 16 << 20

// The pauses double from the first to the last: AWS's quotas count by the
// second.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
	throttled  = "ThrottlingException"
)

// Do makes one call. The path is escaped already, see Path. A body that is a
// []byte goes out as it is and any other as JSON, nil as none; the answer is
// decoded into out unless that is nil, and a *[]byte takes it as it came.
//
// What the server refuses is an *Error, a server that gives no answer an
// *Unreachable; whether the call had its effect is then not known. A call that
// was throttled had none, and is made again, up to four times.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, header http.Header, body, out any) error {
	payload, err := encode(body)
	if err != nil {
		return err
	}
	for wait := firstPause; ; wait *= 2 {
		err := c.try(ctx, method, path, query, header, payload, out)
		if !IsType(err, throttled) || wait > lastPause {
			return err
		}
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.Pause != nil {
		return c.Pause(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// try makes the call once.
func (c *Client) try(ctx context.Context, method, path string, query url.Values, header http.Header, payload []byte, out any) error {
	r, err := c.request(ctx, method, path, query, header, payload)
	if err != nil {
		return err
	}
	answer, err := c.client().Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if answer.StatusCode/100 != 2 {
		return refusal(answer, got)
	}
	return decode(got, out)
}

func encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return b, nil
	}
	return json.Marshal(body)
}

func decode(answer []byte, out any) error {
	if raw, ok := out.(*[]byte); ok {
		*raw = answer
		return nil
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the server's answer is not what was expected: %w", err)
	}
	return nil
}

// request builds and signs one request.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, header http.Header, payload []byte) (*http.Request, error) {
	u, err := url.Parse(strings.TrimSuffix(c.Endpoint, "/") + path)
	if err != nil {
		return nil, fmt.Errorf("the endpoint is not a URL: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q: expected http://HOST:PORT or https://HOST", c.Endpoint)
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if len(payload) > 0 && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, c.sign(r, payload)
}

func (c *Client) sign(r *http.Request, payload []byte) error {
	if c.AccessKeyID == "" || c.Secret == "" || c.Region == "" {
		return errors.New("a request is signed with an access key, its secret and a region; one of them is empty")
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	sum := sha256.Sum256(payload)
	key := sigv4.Key{ID: c.AccessKeyID, Secret: c.Secret, Token: c.SessionToken}
	return key.Sign(r, c.Region, service, hex.EncodeToString(sum[:]), now())
}

// client makes the HTTP client at the first call. It follows no redirect: the
// signature is good for one host and path only.
func (c *Client) client() *http.Client {
	c.once.Do(func() {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
		timeout := c.Timeout
		if timeout == 0 {
			timeout = time.Minute
		}
		c.http = &http.Client{Transport: transport, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	})
	return c.http
}

// Path joins segments of a path and escapes each, slashes included:
// Path("things", "a/b") is /things/a%2Fb. The escapes are AWS's: everything
// but letters, digits, -, ., _ and ~.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(sigv4.Escape(s, false))
	}
	return b.String()
}
