package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"
)

// AWS's signer remembers keys by their names, so each test has one of its own.
func theirs(service string) *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
}

// elsewhere is testTime on the clock of a machine far from Greenwich.
var elsewhere = testTime.In(time.FixedZone("", 13*60*60))

// A drawn request is one that a client may send.
func drawn(t *rapid.T) (request func() *http.Request, body []byte) {
	part := rapid.StringMatching(`[-a-zA-Z0-9._~:/ %+&=*'()!,$#?äß☃]{0,12}`)
	host := rapid.SampledFrom([]string{"http://127.0.0.1:8080", "https://iot.eu-west-1.amazonaws.com", "https://example.org:443", "http://example.org:80", "http://example.org:443", "https://[::1]:9443"}).Draw(t, "host")
	var path strings.Builder
	for _, p := range rapid.SliceOfN(part, 0, 4).Draw(t, "path") {
		path.WriteString("/" + Escape(p, rapid.Bool().Draw(t, "slash")))
	}
	query := url.Values{}
	for _, name := range rapid.SliceOfN(part, 0, 3).Draw(t, "names") {
		query[name] = rapid.SliceOfN(part, 1, 3).Draw(t, "values")
	}
	header := rapid.MapOfN(rapid.SampledFrom([]string{"Content-Type", "X-Amzn-Iot-Principal", "X-Amz-Content-Sha256", "User-Agent", "Expect", "X-Amzn-Trace-Id", "X-Own"}),
		rapid.StringMatching(`[a-z0-9]( {0,3}[-a-z0-9/:]){0,8}`), 0, 4).Draw(t, "header")
	method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}).Draw(t, "method")
	body = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "body")
	return func() *http.Request {
		r, err := http.NewRequest(method, host+path.String(), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query.Encode()
		for name, value := range header {
			r.Header.Set(name, value)
		}
		return r
	}, body
}

func TestRequestsAreSignedAsAWSsSignerDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request, body := drawn(t)
		service := rapid.SampledFrom([]string{"iot", "s3"}).Draw(t, "service")
		token := rapid.SampledFrom([]string{"", "a+b/c=="}).Draw(t, "token")
		digest := sha256.Sum256(body)
		sum := hex.EncodeToString(digest[:])
		one, other := request(), request()
		if err := (Key{testKey, testSecret, token}).Sign(one, "eu-west-1", service, sum, elsewhere); err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: token}
		if err := theirs(service).SignHTTP(t.Context(), creds, other, sum, service, "eu-west-1", testTime); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
			if got, want := one.Header.Values(name), other.Header.Values(name); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Fatalf("%s of %s %s:\ngot  %q\nwant %q", name, one.Method, one.URL, got, want)
			}
		}
		if one.Host != other.Host || one.URL.String() != other.URL.String() {
			t.Fatalf("sent to %s at %s, theirs to %s at %s", one.URL, one.Host, other.URL, other.Host)
		}
	})
}

func TestURLsArePresignedAsAWSsSignerDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request, _ := drawn(t)
		service := rapid.SampledFrom([]string{"iotdevicegateway", "s3"}).Draw(t, "service")
		token := rapid.SampledFrom([]string{"", "a+b/c=="}).Draw(t, "token")
		bare := func() *http.Request {
			r := request()
			r.Header, r.Body, r.ContentLength = http.Header{}, nil, 0
			return r
		}
		got, err := (Key{testKey, testSecret, token}).Presign(bare(), "eu-west-1", service, Unsigned, elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: token}
		want, _, err := theirs(service).PresignHTTP(t.Context(), creds, bare(), Unsigned, service, "eu-west-1", testTime)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// What we sign we take, too, and nobody else does with another secret.
func TestWhatWeSignedIsVerified(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request, body := drawn(t)
		r, sum := request(), sha256.Sum256(body)
		r.Header.Del("X-Amz-Content-Sha256") // says something else
		if err := (Key{ID: testKey, Secret: testSecret}).Sign(r, "eu-west-1", "iot", hex.EncodeToString(sum[:]), testTime); err != nil {
			t.Fatal(err)
		}
		s, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(r, sum, testSecret, testTime); err != nil {
			t.Error(err)
		}
		if s.Verify(r, sum, testSecret+"x", testTime) == nil {
			t.Error("another secret is as good")
		}
	})
}

func TestAQueryThatIsNotEncodedIsNotSigned(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "https://example.org/things", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = "a=%zz"
	if err := (Key{ID: testKey, Secret: testSecret}).Sign(r, "eu-west-1", "iot", Unsigned, testTime); err == nil {
		t.Error("signed")
	}
	if got := r.Header.Get("Authorization"); got != "" {
		t.Errorf("it says %s", got)
	}
}
