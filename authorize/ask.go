package authorize

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
)

// deadline is how long a function may take; a function may have less of its own.
const deadline = functions.MaxTimeout

// ask takes a connection through the authorizer: signature, function, answer.
// What the caller did wrong is fault.InvalidRequest or, for a signature,
// fault.Unauthorized; what the function did wrong is fault.InvalidResponse.
func (s *Service) ask(ctx context.Context, a *access.Authorizer, r *Request) (*Verdict, error) {
	token, verified, err := credentials(a, r)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(r.event(token, verified))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The request for authorizer %s cannot be written.", a.Name)
	}
	start := s.Now()
	out, err := s.invoke(ctx, a, r, payload)
	var v *Verdict
	if err == nil {
		v, err = read(a.Name, out)
	}
	s.Metrics.Function(word(v), s.Now().Sub(start))
	if err != nil {
		return nil, err
	}
	v.Caching = a.Caching
	return v, nil
}

// word is how metrics call the outcome of a call.
func word(v *Verdict) string {
	if v != nil && v.Authenticated {
		return "allowed"
	}
	return "refused"
}

// credentials gives the token and whether its signature was verified.
func credentials(a *access.Authorizer, r *Request) (token string, verified bool, err error) {
	token, signature := r.Token, r.Signature
	if token == "" && a.TokenKeyName != "" {
		token, _ = r.parameter(a.TokenKeyName)
	}
	if a.SigningDisabled {
		return token, false, nil
	}
	if signature == "" {
		signature, _ = r.parameter(signatureKey)
	}
	switch {
	case token == "":
		return "", false, fault.New(fault.InvalidRequest, "Authorizer %s wants a signed token, and none came under its token key name %s.", a.Name, a.TokenKeyName)
	case signature == "":
		return "", false, fault.New(fault.InvalidRequest, "Authorizer %s wants a signed token, and the token came without its signature (%s).", a.Name, signatureKey)
	}
	return token, true, verify(a, token, signature)
}

// verify says whether one of the authorizer's keys made the signature: RSA
// with SHA-256, in base64.
func verify(a *access.Authorizer, token, signature string) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil { // the error would tell of the signature
		return fault.New(fault.Unauthorized, "The signature of the token for authorizer %s is not base64.", a.Name)
	}
	digest := sha256.Sum256([]byte(token))
	for _, text := range a.Keys {
		key, err := access.ParseSigningKey(text)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "A key of authorizer %s is damaged.", a.Name)
		}
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw) == nil {
			return nil
		}
	}
	return fault.New(fault.Unauthorized, "The signature of the token does not fit any of the public keys of authorizer %s: the token was changed, or signed with another key.", a.Name)
}

// An event is what the function receives (device-gateway.md, section 7).
type event struct {
	Token     string   `json:"token,omitempty"`
	Verified  bool     `json:"signatureVerified"`
	Protocols []string `json:"protocols"`
	Data      struct {
		TLS  *TLS  `json:"tls,omitempty"`
		HTTP *HTTP `json:"http,omitempty"`
		MQTT *MQTT `json:"mqtt,omitempty"`
	} `json:"protocolData"`
	Connection struct {
		ID string `json:"id"`
	} `json:"connectionMetadata"`
}

func (r *Request) event(token string, verified bool) *event {
	e := &event{Token: token, Verified: verified, Protocols: []string{}}
	for _, part := range []struct {
		there bool
		name  string
	}{{r.TLS != nil, "tls"}, {r.HTTP != nil, "http"}, {r.MQTT != nil, "mqtt"}} {
		if part.there {
			e.Protocols = append(e.Protocols, part.name)
		}
	}
	e.Data.TLS, e.Data.HTTP, e.Data.MQTT = r.TLS, r.HTTP, r.MQTT
	e.Connection.ID = r.Connection
	return e
}

// invoke calls the function. Error, silence and crash are its own failures. The
// cause is dropped: it holds what the program printed, often the whole event.
func (s *Service) invoke(ctx context.Context, a *access.Authorizer, r *Request, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	f, err := s.Functions.Resolve(ctx, r.Tenant, a.FunctionARN)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.InvalidResponse, err, "Authorizer %s asks function %s, which does not exist here; `slipway function add` makes it.", a.Name, functions.Quote(a.FunctionARN))
	}
	if err != nil {
		return nil, err
	}
	out, err := f.Invoke(ctx, payload)
	if err == nil {
		return out, nil
	}
	if functions.ReasonOf(err) == functions.Closed {
		return nil, err
	}
	_, text := fault.Show(err)
	return nil, fault.New(fault.InvalidResponse, "Authorizer %s has no answer of its function. %s", a.Name, r.hide(a, text))
}

// hide blanks what the device showed in confidence out of a sentence that may
// quote the function.
func (r *Request) hide(a *access.Authorizer, text string) string {
	secrets := []string{r.Token, r.Signature}
	for _, key := range []string{a.TokenKeyName, signatureKey} {
		if shown, ok := r.parameter(key); ok && key != "" {
			secrets = append(secrets, shown)
		}
	}
	if r.MQTT != nil {
		secrets = append(secrets, r.MQTT.Username, string(r.MQTT.Password), base64.StdEncoding.EncodeToString(r.MQTT.Password))
	}
	if r.HTTP != nil {
		secrets = append(secrets, r.HTTP.Query)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[hidden]")
		}
	}
	return text
}
