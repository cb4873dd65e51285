package api_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/wire/sigv4"
)

const secret = "a secret that is long enough"

func serve(t *testing.T, h http.HandlerFunc) *api.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &api.Client{Endpoint: s.URL, Region: "us-east-1", AccessKeyID: "AKID", Secret: secret}
}

func TestTheServersVerifierAcceptsWhatTheClientSigns(t *testing.T) {
	cases := map[string]struct {
		path  string
		query url.Values
		body  any
	}{
		"a plain path":              {path: "/things/lock"},
		"a name with a slash":       {path: api.Path("things", "a/b")},
		"an ARN in the path":        {path: api.Path("attached-policies", "arn:aws:iot:us-east-1:000000000000:cert/ab")},
		"a name with every trouble": {path: api.Path("things", "a b+c%d~é*'()!,;=&@$")},
		"a query with spaces":       {path: "/things", query: url.Values{"attributeValue": {"a b+c/é"}, "a": {""}}},
		"a body":                    {path: "/things/x", body: map[string]string{"thingTypeName": "<é>"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				sig, err := sigv4.Parse(r)
				if err == nil {
					err = sig.Verify(r, sha256.Sum256(body), secret, time.Now())
				}
				if err != nil {
					t.Errorf("%s: %v", r.URL, err)
				}
				if r.URL.EscapedPath() != c.path {
					t.Errorf("the path arrived as %s, not %s", r.URL.EscapedPath(), c.path)
				}
			})
			if err := client.Do(context.Background(), http.MethodPost, c.path, c.query, nil, c.body, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPathEscapesWhatEndsASegment(t *testing.T) {
	if got, want := api.Path("things", "a/b c~é"), "/things/a%2Fb%20c~%C3%A9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestASessionTokenGoesAlong(t *testing.T) {
	var got string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Amz-Security-Token") })
	c.SessionToken = "temporary"
	if err := c.Do(context.Background(), http.MethodGet, "/things", nil, nil, nil, nil); err != nil || got != "temporary" {
		t.Errorf("the header is %q, the error %v", got, err)
	}
}

func TestARefusalHasTypeMessageAndRequest(t *testing.T) {
	cases := map[string]struct {
		status       int
		header, body string
		want         api.Error
	}{
		"Slipway's envelope":     {404, "ResourceNotFoundException", `{"message":"Thing a does not exist."}`, api.Error{Type: "ResourceNotFoundException", Message: "Thing a does not exist."}},
		"AWS's, with a URI":      {400, "InvalidRequestException:http://internal.amazon.com/x/", `{"message":"m"}`, api.Error{Type: "InvalidRequestException", Message: "m"}},
		"a capital Message":      {403, "AccessDeniedException", `{"Message":"m"}`, api.Error{Type: "AccessDeniedException", Message: "m"}},
		"the type in the body":   {400, "", `{"__type":"com.amazonaws.iot#LimitExceededException","message":"m"}`, api.Error{Type: "LimitExceededException", Message: "m"}},
		"a page of a proxy":      {502, "", `<html>bad gateway</html>`, api.Error{}},
		"nothing at all":         {503, "", ``, api.Error{}},
		"a redirect, unfollowed": {307, "", ``, api.Error{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Requestid", "r-1")
				w.Header().Set("Location", "/elsewhere")
				if c.header != "" {
					w.Header().Set("X-Amzn-Errortype", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			err := client.Do(context.Background(), http.MethodGet, "/x", nil, nil, nil, nil)
			var got *api.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			c.want.Status, c.want.RequestID = c.status, "r-1"
			if *got != c.want {
				t.Errorf("got %+v, want %+v", *got, c.want)
			}
			if got.Error() == "" || got.Class() == "" || got.ExitCode() != 3 {
				t.Errorf("it says %q, class %q, exit code %d", got.Error(), got.Class(), got.ExitCode())
			}
		})
	}
}

func TestAnUnknownPathIsTold(t *testing.T) {
	for _, name := range []string{"UnknownOperationException", "NotImplementedException", "MissingAuthenticationTokenException"} {
		if !(&api.Error{Status: 404, Type: name}).NoSuchOperation() {
			t.Errorf("%s is taken for an operation's own answer", name)
		}
	}
	for _, e := range []api.Error{{Status: 404}, {Status: 405}, {Status: 500}, {Status: 501}, {Status: 501, Type: "InternalFailure"}} {
		if !e.NoSuchOperation() {
			t.Errorf("%+v is taken for an operation's own answer", e)
		}
	}
	if (&api.Error{Status: 500, Type: "InternalFailureException"}).NoSuchOperation() || (&api.Error{Status: 502}).NoSuchOperation() {
		t.Error("a failure of the service, or of what stands before it, is taken for a path that is not there")
	}
	if (&api.Error{Status: 404, Type: api.Missing}).NoSuchOperation() {
		t.Error("a 404 without a type means the path, ResourceNotFoundException means the resource")
	}
}

func TestASilentServerIsUnreachable(t *testing.T) {
	cases := map[string]func(*testing.T) *api.Client{
		"nobody listens": func(t *testing.T) *api.Client {
			s := httptest.NewServer(http.NotFoundHandler())
			s.Close()
			return &api.Client{Endpoint: s.URL}
		},
		"the answer breaks off": func(t *testing.T) *api.Client {
			return serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "{")
				panic(http.ErrAbortHandler)
			})
		},
		"no answer comes in time": func(t *testing.T) *api.Client {
			c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			c.Timeout = 20 * time.Millisecond
			return c
		},
		"its certificate is a stranger's": func(t *testing.T) *api.Client {
			s := httptest.NewTLSServer(http.NotFoundHandler())
			s.Config.ErrorLog = nil
			t.Cleanup(s.Close)
			return &api.Client{Endpoint: s.URL, Roots: x509.NewCertPool()}
		},
	}
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			c := make(t)
			c.Region, c.AccessKeyID, c.Secret = "us-east-1", "AKID", secret
			err := c.Do(context.Background(), http.MethodGet, "/things", url.Values{"secret": {"hush"}}, nil, nil, nil)
			var got *api.Unreachable
			if !errors.As(err, &got) || got.ExitCode() != 4 {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), c.Endpoint) {
				t.Errorf("it says %q", err)
			}
		})
	}
}

func TestARootOfOnesOwnIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := &api.Client{Endpoint: s.URL, Region: "us-east-1", AccessKeyID: "AKID", Secret: secret, Roots: roots}
	if err := c.Do(context.Background(), http.MethodGet, "/", nil, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func TestACallerWhoStopsIsNotTheNetworksFault(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if err := c.Do(ctx, http.MethodGet, "/things", nil, nil, nil, nil); !errors.Is(err, context.Canceled) || errors.As(err, new(*api.Unreachable)) {
		t.Errorf("got %v", err)
	}
}

func TestACallWithoutAKeyIsNotSent(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	c.Secret = ""
	if err := c.Do(context.Background(), http.MethodGet, "/things", nil, nil, nil, nil); err == nil {
		t.Error("no error")
	}
}

func TestAnEndpointThatIsNoURLIsNamed(t *testing.T) {
	for _, endpoint := range []string{"", "127.0.0.1:8080", "ftp://host", "http://[::1"} {
		c := &api.Client{Endpoint: endpoint, Region: "us-east-1", AccessKeyID: "AKID", Secret: secret}
		if err := c.Do(context.Background(), http.MethodGet, "/things", nil, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "endpoint") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

// pages serves the numbers 0 to 4, two a page, in one of AWS's styles.
func pages(t *testing.T, style, next string) *api.Client {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("pageSize") != "2" {
			t.Errorf("the query is %s", r.URL.RawQuery)
		}
		switch r.URL.Query().Get(style) {
		case "":
			_, _ = io.WriteString(w, `{"items":[0,1],"`+next+`":"p 2"}`)
		case "p 2":
			_, _ = io.WriteString(w, `{"items":[2,3],"`+next+`":"p3"}`)
		case "p3":
			_, _ = io.WriteString(w, `{"items":[4],"`+next+`":null}`)
		}
	})
}

func TestListReadsEveryPageOfBothStyles(t *testing.T) {
	for style, next := range map[string]string{"nextToken": "nextToken", "marker": "nextMarker"} {
		t.Run(style, func(t *testing.T) {
			c := pages(t, style, next)
			query := url.Values{"pageSize": {"2"}}
			var got []int
			for n, err := range api.List[int](context.Background(), c, http.MethodGet, "/x", query, nil, "items") {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
				t.Errorf("got %v", got)
			}
			if len(query) != 1 {
				t.Errorf("the caller's query became %v", query)
			}
		})
	}
}

func TestListStops(t *testing.T) {
	t.Run("at the first error", func(t *testing.T) {
		calls := 0
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls == 2 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = io.WriteString(w, `{"items":[1],"nextToken":"a"}`)
		})
		var items, failures int
		for _, err := range api.List[int](context.Background(), c, http.MethodGet, "/x", nil, nil, "items") {
			if err != nil {
				failures++
				continue
			}
			items++
		}
		if items != 1 || failures != 1 || calls != 2 {
			t.Errorf("%d items, %d failures, %d calls", items, failures, calls)
		}
	})
	t.Run("when the caller has enough", func(t *testing.T) {
		calls := 0
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			_, _ = io.WriteString(w, `{"items":[1,2],"nextToken":"`+strconv.Itoa(calls)+`"}`)
		})
		for range api.List[int](context.Background(), c, http.MethodGet, "/x", nil, nil, "items") {
			break
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
	t.Run("when the server gives the same token for ever", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"items":[],"nextToken":"a"}`) })
		var last error
		for _, err := range api.List[int](context.Background(), c, http.MethodGet, "/x", nil, nil, "items") {
			last = err
		}
		if last == nil {
			t.Error("it ended without an error")
		}
	})
}

func TestTheAnswerCanBeTakenAsItCame(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a": 1}`) })
	var raw []byte
	if err := c.Do(context.Background(), http.MethodPost, "/x", nil, nil, []byte("as is"), &raw); err != nil || string(raw) != `{"a": 1}` {
		t.Errorf("got %s, %v", raw, err)
	}
	var typed struct{ A string }
	if err := c.Do(context.Background(), http.MethodPost, "/x", nil, nil, nil, &typed); err == nil {
		t.Error("a number was taken for a string")
	}
}

func TestAThrottledCallIsMadeAgain(t *testing.T) {
	throttle := func(w http.ResponseWriter) {
		w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"Rate exceeded"}`)
	}
	var pauses []time.Duration
	note := func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	t.Run("until it is served, with its body", func(t *testing.T) {
		var bodies []string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if bodies = append(bodies, string(body)); len(bodies) < 3 {
				throttle(w)
			}
		})
		pauses, c.Pause = nil, note
		if err := c.Do(context.Background(), http.MethodPost, "/things/a", nil, nil, map[string]string{"a": "b"}, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(bodies, []string{`{"a":"b"}`, `{"a":"b"}`, `{"a":"b"}`}) || len(pauses) != 2 || pauses[1] != 2*pauses[0] {
			t.Errorf("got %q with pauses of %v", bodies, pauses)
		}
	})
	t.Run("but not for ever", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { throttle(w) })
		pauses, c.Pause = nil, note
		if err := c.Do(context.Background(), http.MethodGet, "/things", nil, nil, nil, nil); !api.IsType(err, "ThrottlingException") || len(pauses) != 4 {
			t.Errorf("got %v after %v", err, pauses)
		}
	})
	t.Run("and not once the caller has left", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { throttle(w) })
		ctx, leave := context.WithCancel(context.Background())
		c.Pause = func(ctx context.Context, _ time.Duration) error { leave(); return ctx.Err() }
		if err := c.Do(ctx, http.MethodGet, "/things", nil, nil, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
