package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/sigv4"
)

// A service answers in place of the network.
type service func(*http.Request) (*http.Response, error)

func (s service) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func says(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func at(t *testing.T, url string, s service) *Bucket {
	t.Helper()
	b := Open(buckets.Spec{URL: url, Bucket: "b", AccessKeyID: "AKIAEXAMPLE", Secret: "secret"}, t.TempDir())
	b.client.Transport = s
	return b
}

const slow = `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>R1</RequestId><HostId>H1</HostId></Error>`

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	type answer func() (*http.Response, error)
	status := func(status int, body string) answer {
		return func() (*http.Response, error) { return says(status, body), nil }
	}
	for what, test := range map[string]struct {
		answer answer
		calls  int
	}{
		"too many calls": {status(503, slow), attempts},
		"too many calls, as told by another service": {status(429, ""), attempts},
		"a failure of the service":                   {status(500, ""), attempts},
		"a body that came too late":                  {status(400, "<Error><Code>RequestTimeout</Code></Error>"), attempts},
		"a line that broke":                          {func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, attempts},
		"a host that is nowhere":                     {func() (*http.Response, error) { return nil, &net.DNSError{IsNotFound: true} }, 1},
		"a refusal":                                  {status(403, "<Error><Code>AccessDenied</Code></Error>"), 1},
		"another region":                             {status(301, "<Error><Code>PermanentRedirect</Code></Error>"), 1},
		"the page of a proxy":                        {status(403, "<html><body>no"), 1},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent []string
				b := at(t, "http://s3.example.com", func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					sent = append(sent, string(body))
					if err != nil {
						return nil, err
					}
					return test.answer()
				})
				started := time.Now()
				err := b.Create(t.Context(), "k", strings.NewReader("all of it"))
				if !fault.Is(err, fault.Unavailable) {
					t.Errorf("got %v", err)
				}
				if len(sent) != test.calls || strings.Join(sent, "") != strings.Repeat("all of it", test.calls) {
					t.Errorf("sent %q, want %d times all of it", sent, test.calls)
				}
				if waited := time.Since(started); (waited > 0) != (test.calls > 1) || waited > 6*time.Second {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestASecondAttemptMaySucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := at(t, "http://s3.example.com", func(*http.Request) (*http.Response, error) {
			if calls++; calls == 1 {
				return says(503, slow), nil
			}
			return says(200, "text"), nil
		})
		r, o, err := b.Open(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); string(text) != "text" || err != nil || o.Size != 4 {
			t.Errorf("%s, %v, %+v", text, err, o)
		}
	})
}

func TestNobodyWaitsForWhatIsNotWantedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		calls := 0
		b := at(t, "http://s3.example.com", func(*http.Request) (*http.Response, error) {
			calls++
			stop()
			return says(503, slow), nil
		})
		started := time.Now()
		if err := b.Delete(ctx, "k"); !fault.Is(err, fault.Unavailable) || calls != 1 || time.Since(started) != 0 {
			t.Errorf("%v after %d calls and %v", err, calls, time.Since(started))
		}
	})
}

// A secret is replaced under the name it had.
func TestABucketSignsWithItsOwnSecret(t *testing.T) {
	spec := buckets.Spec{URL: "https://s3.example.com", Bucket: "b", AccessKeyID: "AKIAEXAMPLE", Secret: "old"}
	var signatures []string
	for _, spec.Secret = range []string{"old", "new"} {
		link, err := Open(spec, "").Link(t.Context(), http.MethodGet, "k", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, signature, _ := strings.Cut(link, "X-Amz-Signature=")
		signatures = append(signatures, signature)
	}
	if len(signatures[0]) != 64 || signatures[0] == signatures[1] {
		t.Errorf("got %q", signatures)
	}
}

// The log has what the service's operator asks for, the caller one sentence.
func TestARefusalIsNamed(t *testing.T) {
	for body, want := range map[string]string{
		strings.Replace(slow, "SlowDown", "AccessDenied", 1): `the service answered 403 AccessDenied: Please reduce your request rate. (request "R1", host "H1")`,
		"<html></html>": "the service answered 403 without an error of S3's",
		"":              "the service answered 403 without an error of S3's",
	} {
		b := at(t, "http://s3.example.com", func(*http.Request) (*http.Response, error) { return says(403, body), nil })
		_, err := b.List(t.Context(), "", "", 1)
		_, said := fault.Show(err)
		if cause := errors.Unwrap(err); cause == nil || cause.Error() != want || strings.Contains(said, "403") {
			t.Errorf("got %v, and the caller is told %s", cause, said)
		}
	}
}

func TestAURLThatIsNoneIsNotTriedAgain(t *testing.T) {
	b := at(t, "http://[s3", func(*http.Request) (*http.Response, error) { t.Error("it was called"); return says(200, ""), nil })
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		if err := b.Delete(t.Context(), "k"); !fault.Is(err, fault.Unavailable) || time.Since(started) > 0 {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

func TestAListIsAListOnly(t *testing.T) {
	b := at(t, "http://s3.example.com", func(*http.Request) (*http.Response, error) { return says(200, "<html></html>"), nil })
	if found, err := b.List(t.Context(), "", "", 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestABodyIsReadOnceWhereTLSGuardsIt(t *testing.T) {
	sum := sha256.Sum256([]byte("text"))
	for base, want := range map[string]string{"https://s3.example.com": sigv4.Unsigned, "http://s3.example.com": hex.EncodeToString(sum[:])} {
		b := at(t, base, func(r *http.Request) (*http.Response, error) {
			if got := r.Header.Get("X-Amz-Content-Sha256"); got != want {
				t.Errorf("%s: got %s", base, got)
			}
			return says(200, ""), nil
		})
		body := bytes.NewReader([]byte("the head of a text"))
		if _, err := body.Seek(-4, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if err := b.Create(t.Context(), "k", body); err != nil {
			t.Error(err)
		}
	}
}

// A service that refuses a large body does not get it.
func TestALargeBodyWaitsForAWord(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") == "" { // headers come ahead of the body, and could be answered before it is read
			_, _ = r.Body.Read(make([]byte, 1))
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer srv.Close()
	b := Open(buckets.Spec{URL: srv.URL, Bucket: "b", AccessKeyID: "AKIAEXAMPLE", Secret: "secret"}, t.TempDir())
	ours := transport.Clone()
	ours.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	b.client.Transport = ours
	defer ours.CloseIdleConnections()
	for size, want := range map[int64]bool{large: true, large + 1: false} {
		body := &watched{}
		if err := b.Create(t.Context(), "k", io.NewSectionReader(body, 0, size)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		if body.read.Load() != want {
			t.Errorf("of %d bytes: read %v", size, body.read.Load())
		}
	}
}

// A watched body is endless, and knows whether anybody read of it.
type watched struct{ read atomic.Bool }

func (w *watched) ReadAt(p []byte, _ int64) (int, error) {
	w.read.Store(true)
	return len(p), nil
}

func TestAPlaceIsWrittenAsASignatureWantsIt(t *testing.T) {
	b := Open(buckets.Spec{URL: "https://h:9000/below/", Bucket: "b"}, "")
	const key = "a b/ü+%$&,:;=?@!'()*-._~"
	got := b.url(call{key: key})
	if want := "https://h:9000/below/b/a%20b/%C3%BC%2B%25%24%26%2C%3A%3B%3D%3F%40%21%27%28%29%2A-._~"; got != want {
		t.Errorf("got %s", got)
	}
	if u, err := url.Parse(got); err != nil || u.Path != "/below/b/"+key || u.EscapedPath() != strings.TrimPrefix(got, "https://h:9000") {
		t.Errorf("got %v, %v", u, err)
	}
}
