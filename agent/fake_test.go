package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// A server is a provisioning server in the test's own process: it signs,
// remembers tokens and answers, and knows its devices by certificate. Its
// levers make it fail.
type server struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	ca  *x509.Certificate

	certificates []*issued
	things       map[string]bool
	connections  []mqttlink.Options
	requests     []request

	// Levers. n counts calls of the same kind, from 1.
	refuseConnect func(n int, asThing bool) error
	onRequest     func(op wire.Operation, n int) lever
	template      string
}

type issued struct {
	id, pem, token string
	public         *ecdsa.PublicKey
	request        [32]byte // of the registration, once there was one
	answer         []byte
}

type request struct {
	op    wire.Operation
	token string
}

// A lever is what goes wrong with one request.
type lever struct {
	reject   *wire.Rejection
	swallow  bool  // carry it out, and never answer
	deaf     bool  // neither carry it out nor answer
	end      error // carry it out, and end the connection instead of answering
	bye      error // carry it out, answer, and end the connection
	puback   error // refuse the PUBLISH
	wrongKey bool  // sign another key
	payload  []byte
}

func newServer(t *testing.T) *server {
	s := &server{t: t, things: map[string]bool{}, template: "lab"}
	s.key = newTestKey(t)
	s.ca, _ = s.sign("test CA", &s.key.PublicKey, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	return s
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *server) sign(name string, public any, from, to time.Time) (*x509.Certificate, string) {
	s.t.Helper()
	form := &x509.Certificate{SerialNumber: big.NewInt(int64(len(s.certificates) + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, form, form, public, s.key)
	if err != nil {
		s.t.Error(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Error(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// keyPEM is PKCS#8, or the older form of a server's own keys.
func keyPEM(t *testing.T, key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Error(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// config makes a claim valid between the two times and a device that holds it.
func (s *server) config(from, to time.Time) Config {
	dir := s.t.TempDir()
	key := newTestKey(s.t)
	_, cert := s.sign("claim", &key.PublicKey, from, to)
	c := Config{
		Endpoint: "iot.example", Template: s.template, Parameters: map[string]string{"SerialNumber": "A1"},
		ClaimCert: filepath.Join(dir, "claim.pem"), ClaimKey: filepath.Join(dir, "claim.key"), Dir: filepath.Join(dir, "device"),
	}
	for path, content := range map[string]string{c.ClaimCert: cert, c.ClaimKey: keyPEM(s.t, key)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return c
}

func (s *server) goodConfig() Config {
	return s.config(time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
}

// device is a fresh process on the device: it shares nothing with an earlier
// one but the folder.
func (s *server) device(c Config) *Agent {
	return &Agent{Config: c, Connect: s.connect, Now: time.Now, Random: strings.NewReader(strings.Repeat("jitter!!", 64))}
}

// known finds the certificate that a connection shows, or nil for the claim.
func (s *server) known(o mqttlink.Options) *issued {
	sum := sha256.Sum256(o.TLS.Certificates[0].Leaf.Raw)
	for _, c := range s.certificates {
		if c.id == hex.EncodeToString(sum[:]) {
			return c
		}
	}
	return nil
}

func (s *server) connect(ctx context.Context, o mqttlink.Options) (mqttlink.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.connections = append(s.connections, o)
	as := s.known(o)
	if s.refuseConnect != nil {
		n := 0
		for _, each := range s.connections {
			if (s.known(each) != nil) == (as != nil) {
				n++
			}
		}
		if err := s.refuseConnect(n, as != nil); err != nil {
			return nil, err
		}
	}
	if as != nil && as.answer == nil {
		return nil, &mqttlink.Error{Cause: mqttlink.Refused, Op: "CONNECT", Code: mqtt.NotAuthorized, Reason: "PENDING_ACTIVATION"}
	}
	return &fakeLink{server: s, subscribed: map[string]bool{}, messages: make(chan mqttlink.Message, 4), done: make(chan struct{})}, nil
}

// A fakeLink is one connection to the server.
type fakeLink struct {
	server     *server
	subscribed map[string]bool
	messages   chan mqttlink.Message
	done       chan struct{}
	err        error
}

func (l *fakeLink) Messages() <-chan mqttlink.Message { return l.messages }
func (l *fakeLink) Done() <-chan struct{}             { return l.done }
func (l *fakeLink) Err() error                        { return l.err }
func (l *fakeLink) Close()                            {}

func (l *fakeLink) Subscribe(_ context.Context, topics ...string) error {
	for _, topic := range topics {
		l.subscribed[topic] = true
	}
	return nil
}

func (l *fakeLink) Publish(_ context.Context, topic string, payload []byte) error {
	s := l.server
	op, template, f, ok := wire.ParseTopic(topic)
	if !ok || !l.subscribed[wire.Accepted(topic)] || !l.subscribed[wire.Rejected(topic)] {
		s.t.Errorf("published to %s, subscribed to %v", topic, l.subscribed)
	}
	s.requests = append(s.requests, request{op: op})
	n := 0
	for _, r := range s.requests {
		if r.op == op {
			n++
		}
	}
	pulled := lever{}
	if s.onRequest != nil {
		pulled = s.onRequest(op, n)
	}
	if pulled.puback != nil || pulled.deaf {
		return pulled.puback
	}
	l.messages <- mqttlink.Message{Topic: "somebody/else", Payload: []byte("{}")}
	answer, rejection := pulled.payload, pulled.reject
	if rejection == nil && answer == nil {
		answer, rejection = s.carryOut(op, template, f, payload, pulled)
	}
	switch {
	case pulled.end != nil:
		l.err = pulled.end
		close(l.done)
	case pulled.swallow:
	case rejection != nil:
		l.messages <- mqttlink.Message{Topic: wire.Rejected(topic), Payload: rejection.Encode(f)}
	default:
		l.messages <- mqttlink.Message{Topic: wire.Accepted(topic), Payload: answer}
		if pulled.bye != nil {
			l.err = pulled.bye
			close(l.done)
		}
	}
	return nil
}

func (s *server) carryOut(op wire.Operation, template string, f wire.Format, payload []byte, pulled lever) ([]byte, *wire.Rejection) {
	if op == wire.RegisterThing {
		return s.register(template, f, payload)
	}
	var public any
	private := ""
	if op == wire.CreateKeys {
		key := newTestKey(s.t)
		public, private = &key.PublicKey, keyPEM(s.t, key)
	} else {
		got, err := wire.DecodeCreateFromCSR(f, payload)
		block, _ := pem.Decode(got.CSR)
		if err != nil || block == nil {
			s.t.Errorf("the signing request cannot be read: %v", err)
			return nil, &wire.Rejection{StatusCode: 400, ErrorCode: "InvalidCSR"}
		}
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || csr.CheckSignature() != nil {
			s.t.Errorf("the signing request is not good: %v", err)
		}
		public = csr.PublicKey
	}
	if pulled.wrongKey {
		public = &newTestKey(s.t).PublicKey
	}
	cert, text := s.sign("device", public, time.Now().Add(-time.Minute), time.Now().Add(24*time.Hour))
	sum := sha256.Sum256(cert.Raw)
	c := &issued{id: hex.EncodeToString(sum[:]), pem: text, token: fmt.Sprintf("token-%d-secret", len(s.certificates)+1)}
	c.public, _ = public.(*ecdsa.PublicKey)
	s.certificates = append(s.certificates, c)
	return wire.CreateAnswer{Token: c.token, CertificateID: c.id, CertificatePEM: c.pem, PrivateKey: private}.Encode(f), nil
}

func (s *server) register(template string, f wire.Format, payload []byte) ([]byte, *wire.Rejection) {
	got, err := wire.DecodeRegister(f, payload)
	if err != nil {
		r := wire.Reject(err)
		return nil, &r
	}
	s.requests[len(s.requests)-1].token = got.Token
	if template != s.template {
		return nil, &wire.Rejection{StatusCode: 404, ErrorCode: "ResourceNotFound", ErrorMessage: "Template " + template + " does not exist."}
	}
	for _, c := range s.certificates {
		if c.token != got.Token || c.answer != nil && c.request != got.Digest(template) {
			continue
		}
		c.request = got.Digest(template)
		name := "sensor-" + got.Parameters["SerialNumber"]
		s.things[name] = true
		c.answer = wire.RegisterAnswer{ThingName: name, DeviceConfiguration: map[string]string{"site": "lab"}}.Encode(f)
		return c.answer, nil
	}
	return nil, &wire.Rejection{StatusCode: 400, ErrorCode: "InvalidCertificateOwnershipToken", ErrorMessage: "The token is not known."}
}

// count counts the requests of an operation.
func (s *server) count(op wire.Operation) (n int) {
	for _, r := range s.requests {
		if r.op == op {
			n++
		}
	}
	return n
}
