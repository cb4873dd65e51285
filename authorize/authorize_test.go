package authorize

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
)

// A bench has one function, which answers what the test says and keeps what it
// was asked.
type bench struct {
	*Service
	answer string
	fails  error
	asked  []string
}

func (b *bench) Resolve(_ context.Context, _ arn.Tenant, name string) (functions.Function, error) {
	if strings.HasSuffix(name, "absent") {
		return nil, fault.New(fault.Missing, "Function %s does not exist.", name)
	}
	return b, nil
}

func (b *bench) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	b.asked = append(b.asked, string(payload))
	return []byte(b.answer), b.fails
}

func (b *bench) Close() error { return nil }

const yes = `{"isAuthenticated":true,"principalId":"bearer1","policyDocuments":[]}`

func newBench(t *testing.T, authorizers ...*access.Authorizer) *bench {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{answer: yes}
	b.Service = &Service{DB: db, Functions: b, Now: time.Now}
	b.update(t, func(ctx context.Context, tx store.Tx) error {
		if _, err := tenants.Ensure(ctx, tx, arn.Default, time.Now()); err != nil {
			return err
		}
		for _, a := range authorizers {
			if a.FunctionARN == "" {
				a.FunctionARN = "judge"
			}
			if err := access.CreateAuthorizer(ctx, tx, arn.Default, a); err != nil {
				return err
			}
		}
		return nil
	})
	return b
}

func (b *bench) update(t *testing.T, f func(context.Context, store.Tx) error) {
	t.Helper()
	if err := b.DB.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func unsigned(name string) *access.Authorizer {
	return &access.Authorizer{Name: name, Status: access.Active, SigningDisabled: true, TokenKeyName: "Token"}
}

// signed makes an authorizer that wants signatures, and what makes them.
func signed(t *testing.T, name string) (*access.Authorizer, func(token string) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	a := &access.Authorizer{Name: name, Status: access.Active, TokenKeyName: "Token", Keys: map[string]string{"one": text}}
	return a, func(token string) string {
		digest := sha256.Sum256([]byte(token))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(sig)
	}
}

func connect(username string) *Request {
	return &Request{Tenant: arn.Default, Connection: "c1", TLS: &TLS{ServerName: "things.example"}, MQTT: &MQTT{Username: username, Password: []byte("pw"), ClientID: "lamp"}}
}

func refused(t *testing.T, err error, text string) {
	t.Helper()
	if _, said := fault.Show(err); !fault.Is(err, fault.Refused) || !strings.Contains(said, text) {
		t.Errorf("got %v, not refused with %q", err, text)
	}
}

func TestWhichAuthorizerJudges(t *testing.T) {
	sleeping := unsigned("sleeping")
	sleeping.Status = access.Inactive
	b := newBench(t, unsigned("a"), unsigned("b"), sleeping)
	decide := func(t *testing.T, username string, d *access.Domain) (*Verdict, error) {
		t.Helper()
		r := connect(username)
		r.Domain = d
		return b.Decide(t.Context(), r)
	}
	domain := func(override bool) *access.Domain {
		return &access.Domain{Name: "site", Authorizer: &access.AuthorizerConfig{Name: "b", Override: override}}
	}
	is := func(t *testing.T, v *Verdict, err error, name string) {
		t.Helper()
		if err != nil || v.Authorizer != name {
			t.Errorf("got %+v, %v; want %s", v, err, name)
		}
	}
	t.Run("without a name and a default, none", func(t *testing.T) {
		_, err := decide(t, "lamp", nil)
		refused(t, err, "names no authorizer")
	})
	t.Run("the one the device names", func(t *testing.T) {
		v, err := decide(t, "lamp?x-amz-customauthorizer-name=a", nil)
		is(t, v, err, "a")
	})
	t.Run("else that of the domain configuration", func(t *testing.T) {
		v, err := decide(t, "lamp", domain(false))
		is(t, v, err, "b")
	})
	t.Run("another than the configuration's only where it may be overridden", func(t *testing.T) {
		_, err := decide(t, "?x-amz-customauthorizer-name=a", domain(false))
		refused(t, err, "domain configuration site allows only its own, b")
		v, err := decide(t, "?x-amz-customauthorizer-name=a", domain(true))
		is(t, v, err, "a")
	})
	b.update(t, func(ctx context.Context, tx store.Tx) error {
		return access.SetDefaultAuthorizer(ctx, tx, arn.Default, "a")
	})
	t.Run("else the account's default", func(t *testing.T) {
		v, err := decide(t, "lamp", nil)
		is(t, v, err, "a")
	})
	t.Run("one that is not there, or not ACTIVE, refuses, and nothing is asked", func(t *testing.T) {
		before := len(b.asked)
		_, err := decide(t, "?x-amz-customauthorizer-name=nobody", nil)
		refused(t, err, "Authorizer nobody does not exist")
		_, err = decide(t, "?x-amz-customauthorizer-name=sleeping", nil)
		refused(t, err, "Authorizer sleeping is INACTIVE")
		if len(b.asked) != before {
			t.Error("a function was asked")
		}
	})
}

func TestSignaturesAreVerifiedBeforeTheFunctionRuns(t *testing.T) {
	a, sign := signed(t, "a")
	b := newBench(t, a)
	const token = "a+b/c=="
	sig := sign(token)
	for name, c := range map[string]struct{ username, refusal string }{
		"as it is":             {"u?x-amz-customauthorizer-name=a&x-amz-customauthorizer-signature=" + sig + "&Token=" + token, ""},
		"percent-encoded":      {"u?x-amz-customauthorizer-name=a&x-amz-customauthorizer-signature=" + url.QueryEscape(sig) + "&Token=" + url.QueryEscape(token), ""},
		"of another token":     {"u?x-amz-customauthorizer-name=a&Token=other&x-amz-customauthorizer-signature=" + sig, "does not fit any of the public keys"},
		"that is no base64":    {"u?x-amz-customauthorizer-name=a&Token=other&x-amz-customauthorizer-signature=%%%", "is not base64"},
		"that is missing":      {"u?x-amz-customauthorizer-name=a&Token=" + token, "came without its signature"},
		"of a token not given": {"u?x-amz-customauthorizer-name=a&x-amz-customauthorizer-signature=" + sig, "under its token key name Token"},
	} {
		t.Run("a signature "+name, func(t *testing.T) {
			b.asked = nil
			_, err := b.Decide(t.Context(), connect(c.username))
			if c.refusal != "" {
				refused(t, err, c.refusal)
				if len(b.asked) > 0 {
					t.Error("the function was asked")
				}
				return
			}
			if err != nil || len(b.asked) != 1 || !strings.Contains(b.asked[0], `"token":"`+token+`","signatureVerified":true`) {
				t.Errorf("got %v, asked %q", err, b.asked)
			}
		})
	}
}

func TestWhatTheFunctionIsAsked(t *testing.T) {
	b := newBench(t, unsigned("a"))
	ask := func(t *testing.T, r *Request) (got map[string]any) {
		t.Helper()
		b.asked = nil
		if _, err := b.Decide(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(b.asked[0]), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := func(t *testing.T, got map[string]any, want string) {
		t.Helper()
		text, _ := json.Marshal(got)
		var v any
		if err := json.Unmarshal([]byte(want), &v); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(v); string(again) != string(text) {
			t.Errorf("got\n%s\nwant\n%s", text, again)
		}
	}
	t.Run("over MQTT", func(t *testing.T) {
		same(t, ask(t, connect("u?x-amz-customauthorizer-name=a&Token=t")), `{"token":"t","signatureVerified":false,"protocols":["tls","mqtt"],
			"protocolData":{"tls":{"serverName":"things.example"},"mqtt":{"username":"u?x-amz-customauthorizer-name=a&Token=t","password":"cHc=","clientId":"lamp"}},
			"connectionMetadata":{"id":"c1"}}`)
	})
	t.Run("over WebSocket, by a header", func(t *testing.T) {
		r := connect("u")
		r.HTTP = NewHTTP(map[string]string{"X-Amz-CustomAuthorizer-Name": "a", "tOKEN": "t"}, "")
		same(t, ask(t, r), `{"token":"t","signatureVerified":false,"protocols":["tls","http","mqtt"],
			"protocolData":{"tls":{"serverName":"things.example"},"http":{"headers":{"x-amz-customauthorizer-name":"a","token":"t"},"queryString":""},
			"mqtt":{"username":"u","password":"cHc=","clientId":"lamp"}},"connectionMetadata":{"id":"c1"}}`)
	})
	t.Run("over HTTPS, by the query", func(t *testing.T) {
		r := &Request{Tenant: arn.Default, Connection: "c2", TLS: &TLS{ServerName: "s"}, HTTP: NewHTTP(nil, "qos=1&x-amz-customauthorizer-name=a&Token=t%20t")}
		same(t, ask(t, r), `{"token":"t t","signatureVerified":false,"protocols":["tls","http"],
			"protocolData":{"tls":{"serverName":"s"},"http":{"headers":{},"queryString":"?qos=1&x-amz-customauthorizer-name=a&Token=t%20t"}},"connectionMetadata":{"id":"c2"}}`)
	})
}

func TestAnswersThatGrant(t *testing.T) {
	b := newBench(t, unsigned("a"))
	const allow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
	quoted, _ := json.Marshal(allow)
	b.answer = `{"isAuthenticated":true,"principalId":"bearer1","disconnectAfterInSeconds":300,"refreshAfterInSeconds":86400,"context":{},"policyDocuments":[` + allow + `,` + string(quoted) + `]}`
	v, err := b.Decide(t.Context(), connect("?x-amz-customauthorizer-name=a"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Principal != "bearer1" || v.Disconnect != 5*time.Minute || v.Refresh != 24*time.Hour || len(v.Policies) != 2 || v.Documents[0] != allow || v.Documents[1] != allow {
		t.Errorf("got %+v", v)
	}
	b.answer = yes
	if v, err = b.Decide(t.Context(), connect("?x-amz-customauthorizer-name=a")); err != nil || v.Disconnect != 24*time.Hour || v.Refresh != 24*time.Hour || len(v.Policies) != 0 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAnswersThatRefuse(t *testing.T) {
	absent := unsigned("lost")
	absent.FunctionARN = "absent"
	b := newBench(t, unsigned("a"), absent)
	answer := func(members string) string {
		return `{"isAuthenticated":true,"principalId":"p","policyDocuments":[],` + members + `}`
	}
	for _, c := range []struct{ answer, refusal string }{
		{`{"isAuthenticated":false,"principalId":"no good","disconnectAfterInSeconds":0}`, "did not authenticate the device"},
		{`nothing`, "not JSON"},
		{`[]`, "it is a list"},
		{`{}`, "isAuthenticated is missing"},
		{`{"isAuthenticated":"true"}`, "isAuthenticated is a string"},
		{`{"isAuthenticated":false,"isAuthenticated":true}`, "not JSON that can be read"},
		{`{"IsAuthenticated":true}`, "isAuthenticated is missing"},
		{`{"isAuthenticated":true,"policyDocuments":[]}`, "principalId is missing"},
		{`{"isAuthenticated":true,"principalId":"a-b","policyDocuments":[]}`, "principalId must be"},
		{`{"isAuthenticated":true,"principalId":"` + strings.Repeat("a", 129) + `","policyDocuments":[]}`, "principalId must be"},
		{`{"isAuthenticated":true,"principalId":"p"}`, "policyDocuments must be a list"},
		{answer(`"refreshAfterInSeconds":299`), "refreshAfterInSeconds must be a whole number from 300 to 86400"},
		{answer(`"disconnectAfterInSeconds":86401`), "disconnectAfterInSeconds must be"},
		{answer(`"disconnectAfterInSeconds":"300"`), "disconnectAfterInSeconds must be"},
		{answer(`"disconnectAfterInSeconds":300.5`), "disconnectAfterInSeconds must be"},
		{`{"isAuthenticated":true,"principalId":"p","policyDocuments":[1]}`, "policyDocuments[0] is a number"},
		{`{"isAuthenticated":true,"principalId":"p","policyDocuments":["{}"]}`, "policyDocuments[0]: Policy document is Malformed"},
		{`{"isAuthenticated":true,"principalId":"p","policyDocuments":["` + strings.Repeat(" x", 1025) + `"]}`, "has 2049 characters"},
		{`{"isAuthenticated":true,"principalId":"p","policyDocuments":[` + strings.Repeat(`{},`, 10) + `{}]}`, "holds 11 documents"},
	} {
		t.Run(c.refusal, func(t *testing.T) {
			b.answer = c.answer
			_, err := b.Decide(t.Context(), connect("?x-amz-customauthorizer-name=a"))
			refused(t, err, c.refusal)
		})
	}
	t.Run("a function that is not there", func(t *testing.T) {
		_, err := b.Decide(t.Context(), connect("?x-amz-customauthorizer-name=lost"))
		refused(t, err, "asks function absent, which does not exist here")
	})
	t.Run("a function that fails, without what the device showed in confidence", func(t *testing.T) {
		b.fails = functions.Fail(functions.Threw, "judge", errors.New("at secret0"), "reported: Token secret0 is bad, so is c2VjcmV0 and secret.")
		r := connect("?x-amz-customauthorizer-name=a&Token=secret0")
		r.MQTT.Password = []byte("secret")
		_, err := b.Decide(t.Context(), r)
		refused(t, err, "Function judge reported: Token [hidden] is bad")
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("it tells %v", err)
		}
	})
}

// FuzzRead shows that no answer makes it panic, and that what it takes is
// within AWS's bounds.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{yes, "", "{", `{"isAuthenticated":true,"principalId":"p","policyDocuments":["{}",{}],"refreshAfterInSeconds":1e3}`, `{"isAuthenticated":false}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		v, err := read("a", out)
		switch {
		case err != nil && !fault.Is(err, fault.InvalidResponse):
			t.Errorf("got %v", err)
		case err == nil && v.Authenticated && (!principalForm.MatchString(v.Principal) || v.Refresh < minSeconds*time.Second || v.Disconnect > maxSeconds*time.Second || len(v.Policies) != len(v.Documents) || len(v.Policies) > maxDocuments):
			t.Errorf("took %+v", v)
		}
	})
}

// FuzzParameter shows that no user name or query makes it panic.
func FuzzParameter(f *testing.F) {
	f.Add("u?x-amz-customauthorizer-name=a&Token=%41+b", "?%zz=%", "Token")
	f.Fuzz(func(t *testing.T, username, query, name string) {
		r := &Request{HTTP: NewHTTP(nil, query), MQTT: &MQTT{Username: username}}
		r.parameter(name)
		r.Asks()
	})
}
