// Package clients holds Slipway to what real clients depend on and do not say:
// spec/real-clients.md, row by row. Where a client itself runs in test/interop
// its row is held there too; what is here are the habits of clients that cannot
// be run, packet by packet, and what the others rely on without checking it.
//
// docs/clients.md is the table of it all.
package clients

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/slipway-iot/slipway/server"
)

// hang is when a test gives up on something that should have happened long
// ago. It only bounds a failing run.
const hang = time.Minute

// longRun is true in runs that have a machine for themselves: they assert how
// long things take.
func longRun() bool { return os.Getenv("SLIPWAY_LONG") != "" }

// A site is a running server, and an admin of it.
type site struct {
	t     *testing.T
	e     server.Endpoints
	admin server.Credential
	iot   *iot.Client // AWS's own
	roots *x509.CertPool
	stop  func()
}

// start serves a new folder on free ports until the test ends.
func start(t *testing.T, cfg server.Config) *site {
	t.Helper()
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	cfg.MQTT, cfg.Control = "127.0.0.1:0", "127.0.0.1:0"
	if cfg.Pool == 0 {
		cfg.Pool = 1
	}
	srv := must(server.New(context.Background(), cfg))(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	s := &site{t: t, e: srv.Endpoints(), admin: *must(srv.Admin())(t)}
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	<-srv.Ready()
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(must(os.ReadFile(s.e.RootCA))(t))
	s.iot = iot.New(iot.Options{
		BaseEndpoint: aws.String(s.e.Control), Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return s.credentials(), nil }),
	})
	return s
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

func (s *site) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: s.admin.ID, SecretAccessKey: s.admin.Secret}
}

// An answer is what came over the wire.
type answer struct {
	status int
	header http.Header
	body   string
}

// object reads the body as JSON, with numbers as they were written.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

// send signs one request and sends it as it is: the target is escaped already,
// and no header is added but what the signature needs.
func (s *site) send(method, target, body string, headers ...string) answer {
	s.t.Helper()
	r := must(http.NewRequest(method, s.e.Control+target, strings.NewReader(body)))(s.t)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(s.t.Context(), s.credentials(), r, hex.EncodeToString(sum[:]), "iot", "us-east-1", time.Now()); err != nil {
		s.t.Fatal(err)
	}
	return s.do(r)
}

func (s *site) do(r *http.Request) answer {
	s.t.Helper()
	got := must(http.DefaultTransport.RoundTrip(r))(s.t)
	defer got.Body.Close()
	return answer{got.StatusCode, got.Header, string(must(io.ReadAll(got.Body))(s.t))}
}

// awaitKeys waits until so many RSA keys lie ready.
func (s *site) awaitKeys(n int) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(hang); time.Now().Before(end); <-tick.C {
		if s.keys() >= n {
			return
		}
	}
	s.t.Fatalf("there are never %d keys in the pool", n)
}

func (s *site) keys() (depth int) {
	s.t.Helper()
	got := s.do(must(http.NewRequest(http.MethodGet, s.e.Control+"/metrics", nil))(s.t))
	for lines := bufio.NewScanner(strings.NewReader(got.body)); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "slipway_key_pool_depth %d", &depth); n == 1 {
			return depth
		}
	}
	s.t.Fatal("the metrics do not tell the depth of the pool")
	return 0
}

// claimPolicy lets a claim provision with any template, and no more.
const claimPolicy = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
	{"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": [
		"arn:aws:iot:*:*:topic/$aws/certificates/*", "arn:aws:iot:*:*:topic/$aws/provisioning-templates/*"]},
	{"Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
		"arn:aws:iot:*:*:topicfilter/$aws/certificates/*", "arn:aws:iot:*:*:topicfilter/$aws/provisioning-templates/*"]}]}`

// devicePolicy lets a device use the topics below its thing's name.
const devicePolicy = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
	{"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": "arn:aws:iot:*:*:topic/${iot:Connection.Thing.ThingName}/*"},
	{"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/${iot:Connection.Thing.ThingName}/*"}]}`

// fleetBody makes a thing that is called as its serial number says.
const fleetBody = `{
	"Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
	"Resources": {
		"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
		"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
		"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}}}}`

// fleet makes the two policies and a template of each name.
func (s *site) fleet(templates ...string) {
	s.t.Helper()
	for name, document := range map[string]string{"claim": claimPolicy, "device": devicePolicy} {
		must(s.iot.CreatePolicy(s.t.Context(), &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document}))(s.t)
	}
	for _, name := range templates {
		must(s.iot.CreateProvisioningTemplate(s.t.Context(), &iot.CreateProvisioningTemplateInput{
			TemplateName: &name, TemplateBody: aws.String(fleetBody), Enabled: aws.Bool(true),
			ProvisioningRoleArn: aws.String("arn:aws:iam::000000000000:role/provisioning"),
		}))(s.t)
	}
}

// certificate makes an ACTIVE certificate with a policy, as an operator does
// for claims, and gives its id.
func (s *site) certificate(policy string) (tls.Certificate, string) {
	s.t.Helper()
	key := newKey(s.t)
	made := must(s.iot.CreateCertificateFromCsr(s.t.Context(), &iot.CreateCertificateFromCsrInput{
		CertificateSigningRequest: aws.String(csr(s.t, key, pkix.Name{CommonName: "claim"})), SetAsActive: true,
	}))(s.t)
	must(s.iot.AttachPolicy(s.t.Context(), &iot.AttachPolicyInput{PolicyName: &policy, Target: made.CertificateArn}))(s.t)
	return identity(s.t, *made.CertificatePem, key), *made.CertificateId
}

func (s *site) claim() tls.Certificate {
	s.t.Helper()
	cert, _ := s.certificate("claim")
	return cert
}

// device gives a thing's name and an ACTIVE certificate with the device's
// policy to each other.
func (s *site) device(thing string) (tls.Certificate, string) {
	s.t.Helper()
	cert, id := s.certificate("device")
	must(s.iot.CreateThing(s.t.Context(), &iot.CreateThingInput{ThingName: &thing}))(s.t)
	must(s.iot.AttachThingPrincipal(s.t.Context(), &iot.AttachThingPrincipalInput{ThingName: &thing, Principal: aws.String(certARN(id))}))(s.t)
	return cert, id
}

func certARN(id string) string { return "arn:aws:iot:us-east-1:000000000000:cert/" + id }

// holds asserts that the registry has the thing, with this certificate alone.
func (s *site) holds(thing, certificateID string) {
	s.t.Helper()
	got := must(s.iot.ListThingPrincipals(s.t.Context(), &iot.ListThingPrincipalsInput{ThingName: &thing}))(s.t)
	if len(got.Principals) != 1 || got.Principals[0] != certARN(certificateID) {
		s.t.Errorf("thing %s has %v; expected %s alone", thing, got.Principals, certificateID)
	}
	c := must(s.iot.DescribeCertificate(s.t.Context(), &iot.DescribeCertificateInput{CertificateId: &certificateID}))(s.t)
	if c.CertificateDescription.Status != types.CertificateStatusActive {
		s.t.Errorf("certificate %s is %s", certificateID, c.CertificateDescription.Status)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func csr(t *testing.T, key crypto.Signer, subject pkix.Name) string {
	t.Helper()
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// identity puts a certificate and its key together.
func identity(t *testing.T, certificate string, key crypto.Signer) tls.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(certificate))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("no certificate: %q", certificate)
	}
	leaf := must(x509.ParseCertificate(block.Bytes))(t)
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		t.Fatal("the certificate is for another key")
	}
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key, Leaf: leaf}
}
