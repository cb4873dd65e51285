package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/fault"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var testTime = time.Date(2026, 3, 1, 12, 36, 0, 0, time.UTC)

// sent is a request on its way: signed by AWS's signer, written to the wire.
type sent struct {
	wire []byte
	body []byte
}

func signed(t interface{ Fatal(...any) }, method, rawURL string, header http.Header, body []byte) sent {
	req, err := http.NewRequest(method, rawURL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), "iot", "eu-west-1", testTime); err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatal(err)
	}
	return sent{wire.Bytes(), body}
}

// arrive reads the request as a server does and verifies it.
func (s sent) arrive(t interface{ Fatal(...any) }, change func(*http.Request), secret string, now time.Time) error {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(s.wire)))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := Parse(r)
	if err != nil {
		return err
	}
	return sig.Verify(r, sha256.Sum256(body), secret, now)
}

func TestWhatAWSSignsIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "segments")
		target := "http://iot.eu-west-1.amazonaws.com:8080"
		for _, s := range segments {
			target += "/" + url.PathEscape(s)
		}
		query := url.Values{}
		for range rapid.IntRange(0, 3).Draw(t, "pairs") {
			query.Add(rapid.String().Draw(t, "key"), rapid.String().Draw(t, "value"))
		}
		if len(query) > 0 {
			target += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
		}
		header := http.Header{}
		if rapid.Bool().Draw(t, "principal") {
			header.Set("X-Amzn-Principal", rapid.StringMatching(`[ -~]{1,40}`).Draw(t, "value")+"x")
		}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}).Draw(t, "method")
		s := signed(t, method, target, header, body)
		if err := s.arrive(t, nil, testSecret, testTime.Add(4*time.Minute)); err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		if err := s.arrive(t, nil, testSecret+"x", testTime); !fault.Is(err, fault.BadSignature) {
			t.Fatalf("another secret gave %v", err)
		}
	})
}

func TestNamesInPathsStayEncoded(t *testing.T) {
	for _, path := range []string{
		"/attached-policies/arn%3Aaws%3Aiot%3Aus-east-1%3A111122223333%3Acert%2F0123",
		"/destinations/arn%3Aaws%3Aiot%3Aus-east-1%3A1%3Aruledestination/vpc/UUID",
		"/policies/a+b=c,d.e@f-g",
		"/things/a%2Fb%252F",
		"/authorizers/",
		"/things//principals",
		"/things/../policies",
		"",
	} {
		t.Run(path, func(t *testing.T) {
			s := signed(t, "GET", "http://localhost"+path, nil, nil)
			if err := s.arrive(t, nil, testSecret, testTime); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatChangedOnTheWayIsRefused(t *testing.T) {
	header := http.Header{"X-Amzn-Principal": {"arn:aws:iot:eu-west-1:111122223333:cert/1"}}
	s := signed(t, "PUT", "http://localhost/things/lamp/principals?thingPrincipalType=EXCLUSIVE_THING&a=1", header, []byte(`{"a":1}`))
	for name, change := range map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "DELETE" },
		"path":   func(r *http.Request) { r.URL.Path = "/things/lamp2/principals" },
		"slash decoded in path": func(r *http.Request) {
			r.URL.Path, r.URL.RawPath = "/things/lamp/principals", "/things/lamp%2Fprincipals"
		},
		"query":                  func(r *http.Request) { r.URL.RawQuery += "0" },
		"one more query pair":    func(r *http.Request) { r.URL.RawQuery += "&b=" },
		"signed header":          func(r *http.Request) { r.Header.Set("X-Amzn-Principal", "arn:aws:iot:eu-west-1:111122223333:cert/2") },
		"second value of header": func(r *http.Request) { r.Header.Add("X-Amzn-Principal", "x") },
		"header gone":            func(r *http.Request) { r.Header.Del("X-Amzn-Principal") },
		"unsigned header":        func(r *http.Request) { r.Header.Set("X-Amzn-Iot-Policy", "all") },
		"host":                   func(r *http.Request) { r.Host = "example.org" },
		"body":                   func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":2}`)) },
		"region": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "eu-west-1", "eu-west-2", 1))
		},
		"service": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/iot/", "/sts/", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.arrive(t, change, testSecret, testTime); !fault.Is(err, fault.BadSignature) {
				t.Errorf("gave %v", err)
			}
		})
	}
	t.Run("a header that nothing reads may be added", func(t *testing.T) {
		add := func(r *http.Request) { r.Header.Set("X-Amzn-Trace-Id", "Root=1") }
		if err := s.arrive(t, add, testSecret, testTime); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusalsSayWhatDiffers(t *testing.T) {
	s := signed(t, "GET", "http://localhost/things", nil, nil)
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		late   time.Duration
		kind   fault.Kind
		say    string
	}{
		{"no header", header(""), 0, fault.Unauthenticated, "no Authorization header"},
		{"bearer token", header("Bearer x"), 0, fault.BadSignature, `begins with "Bearer"`},
		{"no parts", header("AWS4-HMAC-SHA256 "), 0, fault.BadSignature, "KEY/DATE/REGION/SERVICE"},
		{"short scope", replace("/aws4_request", ""), 0, fault.BadSignature, "expected"},
		{"wrong end of scope", replace("aws4_request", "aws5_request"), 0, fault.BadSignature, "does not end in aws4_request"},
		{"gateway API", replace("/iot/", "/execute-api/"), 0, fault.BadSignature, `"execute-api"`},
		{"host not signed", replace("host;", ""), 0, fault.BadSignature, "host is not among"},
		{"date not signed", replace(";x-amz-date", ""), 0, fault.BadSignature, "x-amz-date is not among"},
		{"headers out of order", replace("host;x-amz-date", "x-amz-date;host"), 0, fault.BadSignature, "in order"},
		{"signed header absent", replace("host;x-amz-date", "host;x-amz-date;x-amzn-principal"), 0, fault.BadSignature, "did not arrive"},
		{"signature of words", replace("Signature=", "Signature=zz"), 0, fault.BadSignature, "64 hexadecimal"},
		{"another day", replace("20260301", "20260302"), 0, fault.BadSignature, "of the day 20260302"},
		{"no time", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 0, fault.BadSignature, "expected a time"},
		{"old", nil, 14 * time.Minute, fault.BadSignature, "signed 14 minutes ago"},
		{"very old", nil, 50 * time.Hour, fault.BadSignature, "signed 2 days ago"},
		{"early", nil, -3 * time.Hour, fault.BadSignature, "signed 3 hours in the future"},
		{"stated hash of another body", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, 0, fault.BadSignature, "not the SHA-256"},
		{"query that does not decode", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, 0, fault.BadSignature, "percent-encoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.arrive(t, c.change, testSecret, testTime.Add(c.late))
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("gave %v; expected %q", err, c.say)
			}
		})
	}
}

// The published vectors of AWS's Signature Version 4 test suite (service
// "service"), whose paths are signed as the non-S3 services do.
func TestPublishedVectors(t *testing.T) {
	for _, c := range []struct{ name, method, target, headers, body, signature string }{
		{"get-vanilla", "GET", "/", "", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-empty-query-key", "GET", "/?Param1=value1", "", "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-vanilla", "POST", "/", "", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST", "/", "Content-Type: application/x-www-form-urlencoded\r\n", "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := "host;x-amz-date"
			if c.headers != "" {
				names = "content-type;" + names
			}
			wire := c.method + " " + c.target + " HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n" + c.headers + "\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
			if err != nil {
				t.Fatal(err)
			}
			s := &Signature{
				KeyID: testKey, Region: "us-east-1", Service: "service", date: "20150830",
				scope: "20150830/us-east-1/service/aws4_request", headers: strings.Split(names, ";"),
				At: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			}
			if s.sum, err = hex.DecodeString(c.signature); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(r, sha256.Sum256([]byte(c.body)), testSecret, s.At); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20260301/eu-west-1/iot/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64), "20260301T123600Z", "a=b&c")
	f.Add("AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;, Signature=", "", "%")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := &http.Request{Method: "GET", Host: "localhost", URL: &url.URL{Path: "/things", RawQuery: query}, Header: http.Header{}}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		s, err := Parse(r)
		if err != nil {
			return
		}
		if s.Verify(r, sha256.Sum256(nil), "a secret that nobody guesses", testTime) == nil {
			t.Error("a forged signature was accepted")
		}
	})
}
