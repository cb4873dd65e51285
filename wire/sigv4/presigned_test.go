package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/slipway-iot/slipway/fault"
)

// presigned is a URL that AWS's signer made for a WebSocket. The token is
// signed along, or appended as AWS IoT's signers do.
func presigned(t *testing.T, extra, token string, appended bool) *http.Request {
	t.Helper()
	target := "https://localhost/mqtt"
	if extra != "" {
		target += "?" + extra
	}
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: token}
	if appended {
		creds.SessionToken = ""
	}
	empty := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), creds, req, hex.EncodeToString(empty[:]), "iotdevicegateway", "eu-west-1", testTime)
	if err != nil {
		t.Fatal(err)
	}
	if appended {
		signed += "&X-Amz-Security-Token=" + url.QueryEscape(token)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: http.MethodGet, Host: "localhost", URL: u, Header: http.Header{}}
}

func TestAPresignedURLIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		extra, token string
		appended     bool
		at           time.Duration
	}{
		"without a token":                {at: 4 * time.Minute},
		"with a token appended":          {token: "a+b/c==", appended: true},
		"with a token signed along":      {token: "a+b/c=="},
		"for as long as it says":         {extra: "X-Amz-Expires=86400", at: 23 * time.Hour},
		"by a clock that is a bit ahead": {at: -4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := presigned(t, c.extra, c.token, c.appended)
			s, token, err := ParsePresigned(r)
			if err != nil {
				t.Fatal(err)
			}
			if !Presigned(r) || token != c.token || s.KeyID != testKey || s.Region != "eu-west-1" {
				t.Errorf("got key %s, region %s, token %q", s.KeyID, s.Region, token)
			}
			if err := s.Verify(r, sha256.Sum256(nil), testSecret, testTime.Add(c.at)); err != nil {
				t.Error(err)
			}
			if err := s.Verify(r, sha256.Sum256(nil), testSecret+"x", testTime.Add(c.at)); !fault.Is(err, fault.BadSignature) {
				t.Errorf("another secret gave %v", err)
			}
		})
	}
}

func TestAPresignedURLIsRefused(t *testing.T) {
	set := func(key, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(key, value)
			r.URL.RawQuery = q.Encode()
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		at     time.Duration
		want   string
	}{
		"once its time is over":      {func(*http.Request) {}, 6 * time.Minute, "The URL expired: it was signed 6 minutes ago to be good for 5m0s."},
		"by a clock far ahead":       {func(*http.Request) {}, -6 * time.Minute, "not yet current"},
		"on another path":            {func(r *http.Request) { r.URL.Path = "/mqtt2" }, 0, "does not match"},
		"for another host":           {func(r *http.Request) { r.Host = "example.org" }, 0, "does not match"},
		"with a longer life":         {set("X-Amz-Expires", "86400"), 0, "does not match"},
		"with one pair more":         {set("x-amz-customauthorizer-name", "a"), 0, "does not match"},
		"with a life of a month":     {set("X-Amz-Expires", "2592000"), 0, "expected seconds from 1 to 604800"},
		"with a life of nothing":     {set("X-Amz-Expires", "0"), 0, "expected seconds from 1"},
		"with two signatures":        {func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=" + strings.Repeat("0", 64) }, 0, "X-Amz-Signature 2 times"},
		"without a signature":        {func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=" + algorithm }, 0, "carries no signature"},
		"with a signature of a word": {set("X-Amz-Signature", "none"), 0, "not 64 hexadecimal digits"},
		"by another algorithm":       {set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), 0, "expected AWS4-HMAC-SHA256"},
		"for another service":        {set("X-Amz-Credential", testKey+"/20260301/eu-west-1/s3/aws4_request"), 0, `signed for service "s3"`},
		"without the host signed":    {set("X-Amz-SignedHeaders", "range"), 0, "host is not among the signed ones"},
		"of another day":             {set("X-Amz-Date", "20260302T123600Z"), 0, "of the day 20260301"},
		"of no day":                  {set("X-Amz-Date", "today"), 0, "expected a time"},
		"that is not encoded well":   {func(r *http.Request) { r.URL.RawQuery += "&a=%zz" }, 0, "percent-encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			r := presigned(t, "", "", false)
			c.change(r)
			s, _, err := ParsePresigned(r)
			if err == nil {
				err = s.Verify(r, sha256.Sum256(nil), testSecret, testTime.Add(c.at))
			}
			if _, text := fault.Show(err); err == nil || !strings.Contains(text, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzParsePresigned(f *testing.F) {
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260301%2Feu-west-1%2Fiotdevicegateway%2Faws4_request&X-Amz-Date=20260301T123600Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("0", 64) + "&X-Amz-Security-Token=abc")
	f.Add("X-Amz-Signature=%zz&&=")
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: "/mqtt", RawQuery: query}, Header: http.Header{}}
		s, _, err := ParsePresigned(r)
		if err == nil && s.Verify(r, sha256.Sum256(nil), "a secret that nobody guesses", testTime) == nil {
			t.Error("a forged signature was accepted")
		}
	})
}
