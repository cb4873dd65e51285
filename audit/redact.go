package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Hidden stands where a secret was.
const Hidden = "(hidden)"

// maxView bounds what is kept of one resource. What is longer is known by its
// hash.
const maxView = 64 << 10

// View makes the before or after of a change: v as JSON, without what may be a
// secret.
//
// The packages that own a resource show no secret to begin with. View is the
// second lock: it hides members that are called secrets, tokens, passwords or
// the like, values of headers and of environments, and every text that holds a
// private key, whatever it is called.
func View(v any) (json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(hide("", tree)); err != nil {
		return nil, err
	}
	view := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(view) > maxView {
		return digest(view), nil
	}
	return view, nil
}

func digest(b []byte) json.RawMessage {
	sum := sha256.Sum256(b)
	out, _ := json.Marshal(struct { // it cannot fail
		SHA256 string `json:"sha256"`
		Bytes  int    `json:"bytes"`
	}{hex.EncodeToString(sum[:]), len(b)})
	return out
}

// hide gives a tree of JSON without the secrets that stand under parent.
func hide(parent string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if secret(parent, name, value) {
				v[name] = Hidden
				continue
			}
			v[name] = hide(name, value)
		}
	case []any:
		for i := range v {
			v[i] = hide(parent, v[i])
		}
	case string:
		if strings.Contains(v, "PRIVATE KEY") || !utf8.ValidString(v) {
			return Hidden
		}
		return document(address(v))
	}
	return v
}

// address hides the password and the query of a URL.
func address(text string) string {
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return text
	}
	if u.User != nil {
		u.User = url.User("hidden")
	}
	if u.RawQuery != "" {
		u.RawQuery = "hidden"
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// document looks into a text that is itself a JSON document, as those of
// policies and templates are; one without secrets stays as it is.
func document(text string) string {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return text
	}
	var before any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&before); err != nil {
		return text
	}
	plain, _ := json.Marshal(before) // it was JSON a moment ago
	after, _ := json.Marshal(hide("", before))
	if bytes.Equal(plain, after) {
		return text
	}
	return string(after)
}

// secretWords are parts of the names of secrets, in lower case.
var secretWords = []string{"secret", "password", "passphrase", "token", "privatekey", "private_key", "private-key", "credential", "registrationcode", "challenge"}

// secret says whether the member may hold a secret. Only texts and lists of
// them are one; the name of a token, or a public key, is none.
func secret(parent, name string, value any) bool {
	switch value.(type) {
	case map[string]any, bool, nil, json.Number:
		return false
	}
	switch under := strings.ToLower(parent); under {
	case "env", "environment", "clientproperties":
		return true
	case "headers":
		return strings.EqualFold(name, "value")
	}
	lower := strings.ToLower(name)
	if lower == "tokenkey" || strings.Contains(lower, "public") || strings.HasSuffix(lower, "name") || strings.HasSuffix(lower, "arn") || strings.HasSuffix(lower, "id") {
		return false
	}
	for _, word := range secretWords {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
