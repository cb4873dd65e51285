package sigv4

import (
	"cmp"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Unsigned stands for the SHA-256 of a body that is not read before it is sent.
// Only S3 takes it.
const Unsigned = "UNSIGNED-PAYLOAD"

// A Key is an access key. A temporary one has a token.
type Key struct{ ID, Secret, Token string }

// unsigned headers may change on the way, or are written after signing.
var unsigned = []string{"authorization", "content-length", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}

// Sign signs the host and all headers of a request that is about to be sent,
// whose body has the SHA-256 in lower-case hexadecimal digits. It sets the
// headers X-Amz-Date, X-Amz-Security-Token where the key has a token, and
// Authorization. The query is sent as it is signed, since some services verify
// it as it came: a space is %20, never +.
func (k Key) Sign(r *http.Request, region, service, sum string, at time.Time) error {
	s := begin(r, region, service, at)
	r.Header.Set("X-Amz-Date", s.At.Format(longDate))
	if k.Token != "" {
		r.Header.Set("X-Amz-Security-Token", k.Token)
	}
	for name := range r.Header {
		if name = strings.ToLower(name); !slices.Contains(unsigned, name) {
			s.headers = append(s.headers, name)
		}
	}
	if r.ContentLength > 0 {
		s.headers = append(s.headers, "content-length")
	}
	slices.Sort(s.headers)
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	signature, err := s.write(r, query, sum, k.Secret)
	if err != nil {
		return err
	}
	r.URL.RawQuery = query
	r.Header.Set("Authorization", algorithm+" Credential="+k.ID+"/"+s.scope+", SignedHeaders="+strings.Join(s.headers, ";")+", Signature="+signature)
	return nil
}

// Presign gives a URL that says in its query what Sign says in headers. Of the
// request's own headers it signs none but the host. How long the URL is good
// stands in X-Amz-Expires of the request's query, in seconds.
func (k Key) Presign(r *http.Request, region, service, sum string, at time.Time) (string, error) {
	s := begin(r, region, service, at)
	query := r.URL.Query()
	query.Set(queryAlgorithm, algorithm)
	query.Set(queryCredential, k.ID+"/"+s.scope)
	query.Set(queryDate, s.At.Format(longDate))
	query.Set(queryHeaders, strings.Join(s.headers, ";"))
	if k.Token != "" {
		query.Set(queryToken, k.Token)
	}
	text, err := canonicalQuery(query.Encode())
	if err != nil {
		return "", err
	}
	signature, err := s.write(r, text, sum, k.Secret)
	if err != nil {
		return "", err
	}
	signed := *r.URL
	signed.RawQuery = text + "&" + querySignature + "=" + signature
	return signed.String(), nil
}

// begin makes what both kinds of signature have in common. The host is signed as it is sent: without the port
// that its scheme implies, which a proxy would leave away.
func begin(r *http.Request, region, service string, at time.Time) *Signature {
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	if implied := map[string]string{"http": ":80", "https": ":443"}[r.URL.Scheme]; implied != "" {
		r.Host = strings.TrimSuffix(r.Host, implied)
	}
	s := &Signature{Region: region, Service: service, At: at.UTC(), headers: []string{"host"}}
	s.date = s.At.Format("20060102")
	s.scope = strings.Join([]string{s.date, region, service, terminator}, "/")
	return s
}

// write makes the signature. S3 alone of AWS's services does not encode the
// path a second time.
func (s *Signature) write(r *http.Request, query, sum, secret string) (string, error) {
	headers, err := s.canonicalHeaders(r)
	if err != nil {
		return "", err
	}
	path := canonicalPaths(r.URL.EscapedPath())[0]
	if s.Service == "s3" {
		path = cmp.Or(r.URL.EscapedPath(), "/")
	}
	return hex.EncodeToString(s.sign(s.signingKey(secret), s.request(r.Method, path, query, headers, sum))), nil
}
