package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
)

const (
	testSecret = "a secret of the tests, long enough"
	other      = "111122223333"
)

// site is a control plane over a store in memory, with a key of every role in
// the default account and an admin key in another one.
type site struct {
	*Server
	t   *testing.T
	db  store.DB
	url string
	log *strings.Builder
}

func open(t *testing.T, change func(*Config)) *site {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	dir := t.TempDir()
	key, _, err := seal.Open(dir, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Open(ca.Config{Dir: dir + "/ca", Seal: key})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, log: &strings.Builder{}}
	cfg := Config{
		DB: db, Keys: key,
		Issuer: &provision.Service{
			DB: db, CA: authority, Keys: ca.NewKeyPool(1, 1), Now: time.Now, Rand: rand.Reader,
			Log: slog.New(slog.DiscardHandler),
		},
		Authorizers: &authorize.Service{DB: db, Functions: judges{}, Now: time.Now},
		Endpoint:    func(t arn.Tenant) string { return t.Account + ".things.example" },
		Log:         slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	err = db.Update(ctx, func(ctx context.Context, tx store.Tx) error { return furnish(ctx, tx, key) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Server)
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

func furnish(ctx context.Context, tx store.Tx, box tenants.Sealer) error {
	for _, account := range []string{arn.Default.Account, other} {
		if _, err := tenants.Ensure(ctx, tx, arn.Tenant{Account: account, Region: arn.Default.Region}, time.Now()); err != nil {
			return err
		}
	}
	for _, role := range []tenants.Role{tenants.Admin, tenants.Operator, tenants.Installer, tenants.Auditor, tenants.Function} {
		k := &tenants.AccessKey{ID: keyOf(role), Account: arn.Default.Account, Role: role, Name: string(role), Created: time.Now()}
		if role == tenants.Installer {
			k.Templates = []string{"fleet", "x"}
		}
		if err := tenants.AddAccessKey(ctx, tx, box, k, testSecret); err != nil {
			return err
		}
	}
	k := &tenants.AccessKey{ID: "AKIAOTHERADMIN", Account: other, Role: tenants.Admin, Created: time.Now()}
	return tenants.AddAccessKey(ctx, tx, box, k, testSecret)
}

func keyOf(r tenants.Role) string { return "AKIATEST" + strings.ToUpper(string(r)) }

// client is AWS's own client, which parses our answers.
func (s *site) client(keyID string) *iot.Client {
	return iot.New(iot.Options{
		BaseEndpoint: aws.String(s.url), Region: arn.Default.Region, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: testSecret}, nil
		}),
	})
}

func (s *site) admin() *iot.Client { return s.client(keyOf(tenants.Admin)) }

// answer is what came over the wire.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%q is no JSON object: %v", a.body, err)
	}
	return v
}

// send signs and sends one request as an admin, exactly as given.
func (s *site) send(method, target, body string, change ...func(*http.Request)) answer {
	s.t.Helper()
	return s.sendAs(keyOf(tenants.Admin), method, target, body, change...)
}

func (s *site) sendAs(keyID, method, target, body string, change ...func(*http.Request)) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range change {
		c(req)
	}
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: testSecret}
	service := "iot"
	if target == "/" {
		service = "sts"
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), service, arn.Default.Region, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	return s.do(req)
}

func (s *site) do(req *http.Request) answer {
	s.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// must takes a result that has to be there.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused says whether err is the exception with a message that says so.
func refused(t *testing.T, err error, exception, say string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v; expected %s", err, exception)
	}
	if api.ErrorCode() != exception || !strings.Contains(api.ErrorMessage(), say) {
		t.Errorf("got %s: %s\nexpected %s: …%s…", api.ErrorCode(), api.ErrorMessage(), exception, say)
	}
}

func newCSR(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "lamp"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// newCertificate gives the id and ARN of an ACTIVE certificate.
func (s *site) newCertificate() (id, name string) {
	s.t.Helper()
	c := must(s.admin().CreateCertificateFromCsr(context.Background(), &iot.CreateCertificateFromCsrInput{
		CertificateSigningRequest: aws.String(newCSR(s.t)), SetAsActive: true,
	}))(s.t)
	return *c.CertificateId, *c.CertificateArn
}
