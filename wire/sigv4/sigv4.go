// Package sigv4 makes and verifies AWS Signature Version 4, in the headers of a
// request or in its query.
//
// Key's Sign and Presign make one. To verify one, Parse reads what the
// Authorization header claims, ParsePresigned what the query does, without
// believing it; the caller finds the secret of the key that it names; Verify
// compares. What is verified is what a handler reads: the path as it came,
// still encoded; the query as decoded; the signed headers; the SHA-256 of the
// body.
//
// Every refusal says what differs, since "signature does not match" alone
// costs people hours.
package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	longDate   = "20060102T150405Z"

	// MaxSkew is how far the time of signing may be from ours.
	MaxSkew = 5 * time.Minute
)

// services are the names of the credential scope that AWS's tools use for the
// endpoints that Slipway serves (rest-api.md, section 2).
var services = []string{"iot", "iotdata", "iotdevicegateway", "iot-jobs-data", "sts"}

// A Signature is what a request claims. Nothing in it is verified before
// Verify says so.
type Signature struct {
	KeyID   string
	Region  string
	Service string
	At      time.Time // of signing

	scope   string   // DATE/REGION/SERVICE/aws4_request
	date    string   // the first part of scope
	headers []string // signed, lower case, sorted
	sum     []byte

	life      time.Duration // from At on
	presigned bool          // the signature is in the query
}

// Parse reads the Authorization header. Its errors are of kind
// fault.Unauthenticated when there is none and fault.BadSignature when it
// cannot be what it should.
func Parse(r *http.Request) (*Signature, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, fault.New(fault.Unauthenticated, "Missing Authentication Token: the request has no Authorization header; sign it with an access key (AWS Signature Version 4).")
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return nil, bad("The Authorization header begins with %q; expected %s.", arn.Clip(strings.Fields(header + " ?")[0], 40), algorithm)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[key] = value
	}
	s := &Signature{life: MaxSkew}
	if err := s.readCredential(parts["Credential"]); err != nil {
		return nil, err
	}
	if err := s.readHeaders(parts["SignedHeaders"]); err != nil {
		return nil, err
	}
	sum, err := hex.DecodeString(parts["Signature"])
	if err != nil || len(sum) != 32 {
		return nil, bad("The Authorization header has no Signature of 64 hexadecimal digits.")
	}
	s.sum = sum
	return s, s.readTime(r)
}

func (s *Signature) readCredential(credential string) error {
	// A key id may hold slashes, the four parts after it may not.
	p := strings.Split(credential, "/")
	n := len(p)
	if n < 5 || p[0] == "" {
		return bad("Credential=%q: expected KEY/DATE/REGION/SERVICE/%s.", arn.Clip(credential, 80), terminator)
	}
	s.KeyID = strings.Join(p[:n-4], "/")
	s.date, s.Region, s.Service = p[n-4], p[n-3], p[n-2]
	s.scope = strings.Join(p[n-4:], "/")
	if p[n-1] != terminator {
		return bad("The credential scope %s does not end in %s.", arn.Clip(s.scope, 80), terminator)
	}
	if !slices.Contains(services, s.Service) {
		return bad("The request was signed for service %q; expected one of %s.", arn.Clip(s.Service, 40), strings.Join(services, ", "))
	}
	return nil
}

func (s *Signature) readHeaders(list string) error {
	s.headers = strings.Split(list, ";")
	if !slices.IsSorted(s.headers) || list != strings.ToLower(list) {
		return bad("SignedHeaders=%s: expected lower-case names in order.", arn.Clip(list, 200))
	}
	if !slices.Contains(s.headers, "host") {
		return bad("The header host is not among the signed ones.")
	}
	return nil
}

// readTime takes the time of signing from x-amz-date, else from Date, as the
// specification has it.
func (s *Signature) readTime(r *http.Request) (err error) {
	name, text, form := "x-amz-date", r.Header.Get("X-Amz-Date"), longDate
	if text == "" {
		name, text, form = "date", r.Header.Get("Date"), http.TimeFormat
	}
	if s.At, err = time.Parse(form, text); err != nil {
		return bad("The header x-amz-date is %q; expected a time such as 20260102T150405Z.", arn.Clip(text, 40))
	}
	if !slices.Contains(s.headers, name) {
		return bad("The header %s is not among the signed ones.", name)
	}
	return s.checkDay()
}

func (s *Signature) checkDay() error {
	if day := s.At.Format("20060102"); day != s.date {
		return bad("The credential scope is of the day %s, but the request was signed on %s.", arn.Clip(s.date, 20), day)
	}
	return nil
}

func bad(format string, args ...any) error {
	return fault.New(fault.BadSignature, format, args...)
}
