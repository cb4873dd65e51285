package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// Names of a presigned query, as Go's Values has them.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential"
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	queryHeaders    = "X-Amz-SignedHeaders"
	querySignature  = "X-Amz-Signature"
	queryToken      = "X-Amz-Security-Token"
)

// maxExpires is how long AWS lets a presigned URL live.
const maxExpires = 7 * 24 * time.Hour

// Presigned says whether the signature is in the query rather than in headers.
func Presigned(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, querySignature+"=")
}

// ParsePresigned reads a signature from the query, as in the URL with which a
// WebSocket is opened (device-gateway.md, section 7). It gives the security
// token too, empty if there is none: AWS IoT's signers append it after signing,
// others sign it, and Verify takes both. A token says itself whose it is.
func ParsePresigned(r *http.Request) (s *Signature, token string, err error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, "", bad("The query is not percent-encoded as it should be.")
	}
	for name, values := range q {
		if strings.HasPrefix(name, "X-Amz-") && len(values) != 1 {
			return nil, "", bad("The query has %s %d times; expected once.", arn.Clip(name, 40), len(values))
		}
	}
	if !q.Has(querySignature) {
		return nil, "", fault.New(fault.Unauthenticated, "Missing Authentication Token: the URL carries no signature; sign it with an access key (AWS Signature Version 4).")
	}
	if q.Get(queryAlgorithm) != algorithm {
		return nil, "", bad("%s is %q; expected %s.", queryAlgorithm, arn.Clip(q.Get(queryAlgorithm), 40), algorithm)
	}
	s = &Signature{life: MaxSkew, presigned: true}
	if err := s.readCredential(q.Get(queryCredential)); err != nil {
		return nil, "", err
	}
	if err := s.readHeaders(q.Get(queryHeaders)); err != nil {
		return nil, "", err
	}
	if s.sum, err = hex.DecodeString(q.Get(querySignature)); err != nil || len(s.sum) != 32 {
		return nil, "", bad("%s is not 64 hexadecimal digits.", querySignature)
	}
	return s, q.Get(queryToken), s.readLife(q)
}

// readLife takes the time of signing and how long the URL is good from then
// on. One that does not say so is good for as long as any other signature.
func (s *Signature) readLife(q url.Values) (err error) {
	if s.At, err = time.Parse(longDate, q.Get(queryDate)); err != nil {
		return bad("%s is %q; expected a time such as 20260102T150405Z.", queryDate, arn.Clip(q.Get(queryDate), 40))
	}
	if err := s.checkDay(); err != nil {
		return err
	}
	if !q.Has(queryExpires) {
		return nil
	}
	n, err := strconv.Atoi(q.Get(queryExpires))
	if err != nil || n < 1 || n > int(maxExpires/time.Second) {
		return bad("%s is %q; expected seconds from 1 to %d.", queryExpires, arn.Clip(q.Get(queryExpires), 40), maxExpires/time.Second)
	}
	s.life = time.Duration(n) * time.Second
	return nil
}

// queries gives the forms that a signer may have given to the query: of a
// presigned one, without the signature, and without or with the token.
func (s *Signature) queries(raw string) ([]string, error) {
	var without, with []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name) // canonicalQuery refuses what is not encoded well
		if s.presigned && name == querySignature {
			continue
		}
		with = append(with, pair)
		if !s.presigned || name != queryToken {
			without = append(without, pair)
		}
	}
	var forms []string
	for _, pairs := range [][]string{without, with} {
		form, err := canonicalQuery(strings.Join(pairs, "&"))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms, nil
}
