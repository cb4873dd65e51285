package authorize

import (
	"net/url"
	"strings"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
)

// Names under which a device says which authorizer it wants and shows the
// signature of its token; the token's own name is the authorizer's tokenKeyName.
const (
	nameKey      = "x-amz-customauthorizer-name"
	signatureKey = "x-amz-customauthorizer-signature"
)

// A Request is what is known of a connection when its authorizer is asked. The
// parts that the connection does not have are nil.
type Request struct {
	Tenant     arn.Tenant
	Domain     *access.Domain // nil: an endpoint that every account has
	Connection string         // its id, for the function's log

	TLS  *TLS
	HTTP *HTTP
	MQTT *MQTT

	// Token and Signature are given by Try's caller; those of a device are
	// among its parameters.
	Token, Signature string
}

// TLS is what the handshake showed.
type TLS struct {
	ServerName string `json:"serverName,omitempty"`
	// CertificatePEM and Principal are those of an accepted client certificate,
	// on domains that ask for both (CUSTOM_AUTH_X509).
	CertificatePEM string `json:"x509CertificatePem,omitempty"`
	Principal      string `json:"principalId,omitempty"`
}

// HTTP is what an HTTPS request, or the upgrade to WebSocket, showed.
type HTTP struct {
	Headers map[string]string `json:"headers"`     // names in lower case
	Query   string            `json:"queryString"` // as sent, with its question mark; empty: none
}

// NewHTTP makes an HTTP of headers and a query with or without its question
// mark.
func NewHTTP(headers map[string]string, query string) *HTTP {
	h := &HTTP{Headers: make(map[string]string, len(headers)), Query: query}
	for name, value := range headers {
		h.Headers[strings.ToLower(name)] = value
	}
	if query != "" && !strings.HasPrefix(query, "?") {
		h.Query = "?" + query
	}
	return h
}

// MQTT is what CONNECT showed.
type MQTT struct {
	Username string `json:"username,omitempty"` // as sent, with its parameters
	Password []byte `json:"password,omitempty"` // base64 in JSON
	ClientID string `json:"clientId,omitempty"` // as sent
}

// Asks says whether a connection shows that it wants an authorizer, by a
// parameter that only authorizers have.
func (r *Request) Asks() bool {
	_, named := r.parameter(nameKey)
	_, signed := r.parameter(signatureKey)
	return named || signed
}

// parameter finds what the device says under a name: in a header, in the query
// of the URL, or in that which ends the MQTT user name.
func (r *Request) parameter(name string) (string, bool) {
	if r.HTTP != nil {
		if v, ok := r.HTTP.Headers[strings.ToLower(name)]; ok {
			return v, true
		}
		if v, ok := queried(strings.TrimPrefix(r.HTTP.Query, "?"), name); ok {
			return v, true
		}
	}
	if r.MQTT != nil {
		if _, query, ok := strings.Cut(r.MQTT.Username, "?"); ok {
			return queried(query, name)
		}
	}
	return "", false
}

// queried finds a parameter in a query. A plus sign stays one, unlike in forms:
// devices send base64 as it is, or percent-encoded. What is not percent-encoded
// as it should be is taken as it stands.
func queried(query, name string) (string, bool) {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(decoded(key), name) {
			return decoded(value), true
		}
	}
	return "", false
}

func decoded(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
