package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/wire/sigv4"
)

// attempts is how often a call is made in all, where it may yet succeed.
const attempts = 3

// signedFor is what a signature calls S3, whoever serves it.
const signedFor = "s3"

// longest bounds what is read of an answer that is no object: a thousand keys,
// each byte of them escaped.
const longest = 16 << 20

// transport is one for all buckets, which are opened for every use and would
// leave their connections behind. An object that was stored compressed is
// delivered as it was stored.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 30 * time.Second
	t.DisableCompression = true
	return t
}()

// newClient follows no redirect: a signature is good for one host only, and
// what a service says of another region is for whoever maps the bucket.
func newClient() *http.Client {
	return &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A call is one request of a bucket's, which may be sent more than once.
type call struct {
	method, key string
	query       url.Values
	body        *io.SectionReader // nil: none
}

// do makes the call, again after a failure that may pass, and gives an answer
// that says yes. Its body is the caller's to close. Every call here may be
// made twice: the second finds, or leaves, what the first left.
func (b *Bucket) do(ctx context.Context, c call) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		r, err := b.request(ctx, c)
		if err != nil {
			return nil, err
		}
		answer, err := b.send(r)
		if err == nil || attempt == attempts || !passes(ctx, err) {
			return answer, err
		}
		select {
		case <-time.After(rand.N(time.Second << attempt)):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// passes says whether the same call may succeed a little later.
func passes(ctx context.Context, err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return r.passes()
	}
	var name *net.DNSError
	return ctx.Err() == nil && !(errors.As(err, &name) && name.IsNotFound)
}

func (b *Bucket) send(r *http.Request) (*http.Response, error) {
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refused(answer)
}

// large is from where on a body waits for a word of the service, which may
// refuse it unread.
const large = 2 << 20

// request signs anew each time: a signature ages while calls wait.
func (b *Bucket) request(ctx context.Context, c call) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, c.method, b.url(c), nil)
	if err != nil {
		return nil, err
	}
	digest, err := b.digest(c.body)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	if c.body != nil && c.body.Size() > 0 {
		// A reader of its own: the one of the attempt before may still be read.
		r.Body, r.ContentLength = io.NopCloser(io.NewSectionReader(c.body, 0, c.body.Size())), c.body.Size()
	}
	if r.ContentLength > large {
		r.Header.Set("Expect", "100-continue")
	}
	r.Header.Set("X-Amz-Content-Sha256", digest)
	return r, b.key.Sign(r, b.region, signedFor, digest, time.Now())
}

// digest of a body is not taken where TLS guards it on its way: that would
// read it twice.
func (b *Bucket) digest(body *io.SectionReader) (string, error) {
	hash := sha256.New()
	if body != nil {
		if strings.HasPrefix(b.base, "https:") {
			return sigv4.Unsigned, nil
		}
		if _, err := io.Copy(hash, io.NewSectionReader(body, 0, body.Size())); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// url names the bucket in the path, as every service understands it.
func (b *Bucket) url(c call) string {
	at := b.base + "/" + sigv4.Escape(b.name, true)
	if c.key != "" {
		at += "/" + sigv4.Escape(c.key, true)
	}
	if len(c.query) > 0 {
		at += "?" + c.query.Encode()
	}
	return at
}

// A refusal is what the service answered instead of doing as it was asked.
type refusal struct {
	XMLName       xml.Name `xml:"Error"`
	status        int
	Code, Message string
	RequestID     string `xml:"RequestId"`
	HostID        string `xml:"HostId"`
}

// refused reads the answer. What is no error of S3's was written by something
// that stands before the service.
func refused(answer *http.Response) error {
	r := &refusal{status: answer.StatusCode}
	if err := xml.NewDecoder(io.LimitReader(answer.Body, longest)).Decode(r); err != nil {
		return &refusal{status: answer.StatusCode}
	}
	return r
}

func (r *refusal) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("the service answered %d without an error of S3's", r.status)
	}
	return fmt.Sprintf("the service answered %d %s: %s (request %q, host %q)", r.status, r.Code, r.Message, r.RequestID, r.HostID)
}

func (r *refusal) passes() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return r.Code == "RequestTimeout" // the service waited too long for the body
}
