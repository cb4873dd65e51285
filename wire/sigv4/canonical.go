package sigv4

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// canonicalPaths gives the forms that a signer may have given to the path:
// encoded as it came, then encoded once more, since AWS's services but S3 sign
// it so. Python's signer removes empty and dot segments first, Go's does not;
// the second form is there only if it differs.
func canonicalPaths(escaped string) []string {
	if escaped == "" {
		escaped = "/"
	}
	forms := []string{Escape(escaped, true)}
	clean := path.Clean(escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	if clean != escaped {
		forms = append(forms, Escape(clean, true))
	}
	return forms
}

// canonicalQuery decodes the pairs as a handler will read them, encodes them
// one way, and sorts them.
func canonicalQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(key)
		if err != nil {
			return "", bad("The query is not percent-encoded as it should be.")
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return "", bad("The query is not percent-encoded as it should be.")
		}
		// U+0000 sorts before all that Escape lets through, so that the key
		// decides before the value does.
		pairs = append(pairs, Escape(k, false)+"\x00"+Escape(v, false))
	}
	slices.Sort(pairs)
	return strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "="), nil
}

// canonicalHeaders gives each signed header as name:value and a line end. Host
// and Content-Length stand elsewhere in Go's request.
func (s *Signature) canonicalHeaders(r *http.Request) (string, error) {
	var b strings.Builder
	for _, name := range s.headers {
		values := r.Header.Values(name)
		switch {
		case name == "host":
			values = []string{r.Host}
		case name == "content-length" && len(values) == 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		case len(values) == 0:
			return "", bad("The header %s is among the signed ones and did not arrive.", name)
		}
		b.WriteString(name)
		b.WriteByte(':')
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(squeeze(v))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// squeeze trims a value and leaves one space of several.
func squeeze(v string) string {
	v = strings.Trim(v, " \t")
	for strings.Contains(v, "  ") {
		v = strings.ReplaceAll(v, "  ", " ")
	}
	return v
}

const hexDigits = "0123456789ABCDEF"

// Escape is AWS's percent-encoding: of all but the unreserved characters of RFC
// 3986, section 2.3, and the slash if it may stay.
func Escape(s string, slash bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', slash && c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}
