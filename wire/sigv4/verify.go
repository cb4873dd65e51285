package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
)

// Verify says whether the request was signed with the secret, no longer than
// MaxSkew from now or than a presigned URL says, with the body whose SHA-256 is
// given. The comparison takes the same time for every wrong signature.
//
// Every header that begins with x-amzn-iot- or is x-amzn-principal must be
// signed: such headers name what an operation is about.
func (s *Signature) Verify(r *http.Request, body [sha256.Size]byte, secret string, now time.Time) error {
	if err := s.checkTime(now); err != nil {
		return err
	}
	sum := hex.EncodeToString(body[:])
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != sum {
		return bad("The header x-amz-content-sha256 is not the SHA-256 of the body that arrived.")
	}
	if err := s.checkHeaders(r); err != nil {
		return err
	}
	queries, err := s.queries(r.URL.RawQuery)
	if err != nil {
		return err
	}
	headers, err := s.canonicalHeaders(r)
	if err != nil {
		return err
	}
	key := s.signingKey(secret)
	for _, path := range canonicalPaths(r.URL.EscapedPath()) {
		for _, query := range queries {
			if hmac.Equal(s.sum, s.sign(key, s.request(r.Method, path, query, headers, sum))) {
				return nil
			}
		}
	}
	return bad("The signature does not match: the secret of key %s differs, or the request changed on its way (it arrived as %s %s for host %s).",
		arn.Clip(s.KeyID, 40), r.Method, arn.Clip(r.URL.EscapedPath(), 200), arn.Clip(r.Host, 100))
}

func (s *Signature) checkTime(now time.Time) error {
	skew := now.Sub(s.At)
	switch {
	case s.presigned && skew > s.life:
		return bad("The URL expired: it was signed %s ago to be good for %v. Sign a new one for each connection, and check the clock of the machine that signs.", about(skew), s.life)
	case skew > s.life:
		return bad("Signature expired: the request was signed %s ago; at most 5 minutes are allowed. Check the clock of the machine that signed.", about(skew))
	case skew < -MaxSkew:
		return bad("Signature not yet current: the request was signed %s in the future; at most 5 minutes are allowed. Check the clock of the machine that signed.", about(-skew))
	}
	return nil
}

// about gives a duration as people say it.
func about(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}} {
		if d >= 2*u.unit {
			return strconv.FormatInt(int64(d/u.unit), 10) + " " + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Minute), 10) + " minutes"
}

func (s *Signature) checkHeaders(r *http.Request) error {
	for name := range r.Header {
		name = strings.ToLower(name)
		meaning := name == "x-amzn-principal" || strings.HasPrefix(name, "x-amzn-iot-")
		if meaning && !slices.Contains(s.headers, name) {
			return bad("The header %s is not among the signed ones.", name)
		}
	}
	return nil
}

// signingKey derives the key of the scope, as the specification has it.
func (s *Signature) signingKey(secret string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.Region, s.Service, terminator} {
		key = mac(key, part)
	}
	return key
}

// request is the canonical request.
func (s *Signature) request(method, path, query, headers, sum string) string {
	return strings.Join([]string{method, path, query, headers, strings.Join(s.headers, ";"), sum}, "\n")
}

func (s *Signature) sign(key []byte, canonical string) []byte {
	sum := sha256.Sum256([]byte(canonical))
	return mac(key, strings.Join([]string{algorithm, s.At.Format(longDate), s.scope, hex.EncodeToString(sum[:])}, "\n"))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
