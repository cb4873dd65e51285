package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/wire"
)

// A stranger is a device that has a key and a network, and nothing else.
type stranger struct {
	s           *site
	web         *http.Client
	key         *ecdsa.PrivateKey
	csr         string
	fingerprint string
	code, user  string
}

// serveCodes runs a server with an HTTPS port, whose clock stands still until
// it is set ahead: how long the test takes plays no part.
func serveCodes(t *testing.T) (s *site, ahead *atomic.Int64) {
	t.Helper()
	ahead = &atomic.Int64{}
	began := time.Now()
	s = start(t, t.TempDir(), func(c *Config) {
		c.HTTPS = "127.0.0.1:0"
		c.Now = func() time.Time { return began.Add(time.Duration(ahead.Load())) }
	})
	s.furnish()
	return s, ahead
}

func (s *site) stranger() *stranger {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(s.t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(s.t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(s.t, err)
	sum := sha256.Sum256(spki)
	root, err := os.ReadFile(s.Endpoints().RootCA)
	must(s.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	return &stranger{s: s, key: key, fingerprint: hex.EncodeToString(sum[:]),
		csr: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		web: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}}
}

// post gives the answer's status and members.
func (d *stranger) post(path string, body any) (int, map[string]any) {
	d.s.t.Helper()
	text, err := json.Marshal(body)
	must(d.s.t, err)
	answer, err := d.web.Post("https://"+d.s.Endpoints().HTTPS+path, "application/json", bytes.NewReader(text))
	must(d.s.t, err)
	defer answer.Body.Close()
	out := map[string]any{}
	must(d.s.t, json.NewDecoder(answer.Body).Decode(&out))
	return answer.StatusCode, out
}

func (d *stranger) ask(about map[string]string) {
	d.s.t.Helper()
	status, out := d.post("/slipway/device-code", map[string]any{"fingerprint": d.fingerprint, "about": about})
	if status != 200 {
		d.s.t.Fatalf("%d %v", status, out)
	}
	d.code, d.user = out["device_code"].(string), out["user_code"].(string)
}

func (d *stranger) poll() (int, string, map[string]any) {
	d.s.t.Helper()
	status, out := d.post("/slipway/device-token", map[string]any{"device_code": d.code, "certificate_signing_request": d.csr})
	text, _ := out["error"].(string)
	return status, text, out
}

func (d *stranger) waits(want string) {
	d.s.t.Helper()
	if status, got, out := d.poll(); status == 200 || got != want {
		d.s.t.Errorf("the device was told %d %v, want %s", status, out, want)
	}
}

func (d *stranger) decided(how, body string) error {
	_, err := call(d.s.admin(), "POST", "/slipway/device-codes/"+d.user+"/"+how, body)
	return err
}

func (d *stranger) approval() string {
	return fmt.Sprintf(`{"templateName":"fleet","fingerprint":"%s"}`, d.fingerprint)
}

func TestADeviceGetsItsClaimByACode(t *testing.T) {
	s, ahead := serveCodes(t)
	d := s.stranger()
	d.ask(map[string]string{"SerialNumber": "7"})
	d.waits("authorization_pending")
	d.waits("slow_down")
	ahead.Add(int64(6 * time.Second))
	d.waits("authorization_pending")
	answer, err := call(s.admin(), "GET", "/slipway/device-codes", "")
	must(t, err)
	if !strings.Contains(answer, d.user) || !strings.Contains(answer, d.fingerprint) || strings.Contains(answer, d.code) {
		t.Errorf("the installer sees %s", answer)
	}
	wantRefusal(t, d.decided("approve", fmt.Sprintf(`{"templateName":"fleet","fingerprint":"%064d"}`, 1)), "ConflictingResourceUpdateException", "another fingerprint")
	must(t, d.decided("approve", d.approval()))
	wantRefusal(t, d.decided("approve", d.approval()), "ConflictingResourceUpdateException", "approved already")
	ahead.Add(int64(3 * time.Minute))

	thief := s.stranger()
	thief.code = d.code
	if status, got, _ := thief.poll(); status != 403 || got != "access_denied" {
		t.Errorf("another key was told %d %s", status, got)
	}
	_, _, out := d.poll()
	if out["template_name"] != "fleet" || int(out["expires_in"].(float64)) < 290 {
		t.Fatalf("the claim is %v", out)
	}
	if _, _, again := d.poll(); again["certificate_pem"] != out["certificate_pem"] {
		t.Error("who asks again gets another claim")
	}
	d.provisions(t, out["certificate_pem"].(string))
	records, _ := auditOf(t, s.admin(), url.Values{"action": {"slipway:ApproveDeviceCode"}})
	if len(records) != 1 {
		t.Errorf("the trail has %d approvals", len(records))
	}
}

// provisions has the device use its claim: for its own key and as it said, and
// in no other way.
func (d *stranger) provisions(t *testing.T, claim string) {
	t.Helper()
	block, _ := pem.Decode([]byte(claim))
	pair := tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: d.key}
	conn, err := client.Dial(t.Context(), d.s.options(pair, "boot"))
	must(t, err)
	defer conn.Close()
	create, register := wire.CreateFromCSRTopic(wire.JSON), wire.RegisterTopic("fleet", wire.JSON)
	must(t, conn.Subscribe(wire.Accepted(create), wire.Rejected(create), wire.Accepted(register), wire.Rejected(register)))
	_, err = conn.Request(create, wire.JSON, wire.EncodeCreateFromCSR(wire.JSON, []byte(d.s.stranger().csr)))
	if err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("for another key: %v", err)
	}
	payload, err := conn.Request(create, wire.JSON, wire.EncodeCreateFromCSR(wire.JSON, []byte(d.csr)))
	must(t, err)
	made, err := wire.DecodeCreateAnswer(wire.JSON, payload)
	must(t, err)
	_, err = conn.Request(register, wire.JSON, wire.RegisterRequest{Token: made.Token, Parameters: map[string]string{"SerialNumber": "8"}}.Encode(wire.JSON))
	if err == nil || !strings.Contains(err.Error(), "approved a device that said SerialNumber") {
		t.Errorf("as another device: %v", err)
	}
	_, err = conn.Request(register, wire.JSON, wire.RegisterRequest{Token: made.Token, Parameters: map[string]string{"SerialNumber": "7"}}.Encode(wire.JSON))
	must(t, err)
}

func TestACodeThatIsDeniedOrTooOld(t *testing.T) {
	s, ahead := serveCodes(t)
	denied, late := s.stranger(), s.stranger()
	denied.ask(map[string]string{"SerialNumber": "D1"})
	late.ask(nil)
	must(t, denied.decided("deny", fmt.Sprintf(`{"fingerprint":"%s"}`, denied.fingerprint)))
	denied.waits("access_denied")
	var found struct {
		Attempts []struct{ Door, Reason string }
	}
	must(t, s.admin().Do(t.Context(), "GET", "/slipway/attempts", url.Values{"what": {"D1"}}, nil, nil, &found))
	if len(found.Attempts) != 1 || found.Attempts[0].Door != "device-code" || !strings.Contains(found.Attempts[0].Reason, "refused code "+denied.user) {
		t.Errorf("the timeline says %+v", found)
	}
	ahead.Store(int64(11 * time.Minute))
	late.waits("expired_token")
	ahead.Store(0)
	ahead.Store(int64(4 * time.Minute))
	wantRefusal(t, late.decided("approve", `{"templateName":"nobody","fingerprint":"`+late.fingerprint+`"}`), "ResourceNotFoundException", "nobody")
	for body, want := range map[string]string{
		`{"fingerprint":"abc","about":{}}`:                                     "64 hexadecimal digits",
		`{"fingerprint":"` + late.fingerprint + `","about":{"a":"\u001b[2J"}}`: "can be printed",
		`{"fingerprint":5}`:  "a text is expected",
		`{"finger":"print"}`: "no member",
	} {
		status, out := late.post("/slipway/device-code", json.RawMessage(body))
		if text, _ := out["error_description"].(string); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s was answered %d %v", body, status, out)
		}
	}
}

func TestGuessersAreHeldBack(t *testing.T) {
	s, ahead := serveCodes(t)
	d, guesser := s.stranger(), s.stranger()
	d.ask(nil)
	for i := range 10 {
		guesser.code = fmt.Sprintf("%s.%043d", d.user, i)
		guesser.waits("expired_token")
	}
	guesser.waits("slow_down")
	d.waits("slow_down") // from the same address
	ahead.Add(int64(time.Minute))
	d.waits("authorization_pending")

	installer := s.as(arn.Default.Account, tenants.Installer)
	for i := range 10 {
		_, err := call(installer, "POST", "/slipway/device-codes/BBBB-BBB"+string("BCDFGHJKLM"[i])+"/approve", d.approval())
		wantRefusal(t, err, "ResourceNotFoundException", "No device shows the code")
	}
	_, err := call(installer, "POST", "/slipway/device-codes/"+d.user+"/approve", d.approval())
	wantRefusal(t, err, "ThrottlingException", "Too many wrong codes")
	must(t, d.decided("approve", d.approval())) // by another key

	for i := 0; ; i++ {
		if status, out := d.post("/slipway/device-code", map[string]any{"fingerprint": d.fingerprint, "about": map[string]string{}}); status == 429 && out["error"] == "slow_down" {
			break
		} else if i > 50 {
			t.Fatal("one address may ask for codes without end")
		}
	}
}

func TestAnInstallerApprovesForTheTemplatesOfTheKey(t *testing.T) {
	s, _ := serveCodes(t)
	d := s.stranger()
	d.ask(nil)
	installer := s.as(arn.Default.Account, tenants.Installer)
	at := "/slipway/device-codes/" + d.user + "/approve"
	_, err := call(installer, "POST", at, `{"templateName":"doors","fingerprint":"`+d.fingerprint+`"}`)
	wantRefusal(t, err, "AccessDeniedException", "not one of the key's templates")
	_, err = call(s.as(other.Account, tenants.Admin), "POST", at, d.approval())
	if err == nil {
		t.Error("another account approved the device")
	}
	_, err = call(s.as(arn.Default.Account, tenants.Auditor), "POST", at, d.approval())
	wantRefusal(t, err, "AccessDeniedException", "does not allow")
	_, err = call(installer, "POST", strings.ToLower(at), d.approval())
	must(t, err)
}

func TestAThrottleForgetsAndRefills(t *testing.T) {
	now := time.Unix(0, 0)
	th := newThrottle(2, time.Second, 5, time.Second)
	for i, step := range []struct {
		who  string
		wait time.Duration
		want bool
	}{
		{"a", 0, true}, {"a", 0, true}, {"a", 0, false}, {"b", 0, true}, {"b", 0, true}, {"c", 0, true},
		{"d", 0, false}, // all of them together
		{"a", time.Second, true}, {"a", 0, false},
	} {
		now = now.Add(step.wait)
		if got := th.take(step.who, now); got != step.want {
			t.Errorf("step %d: %s got %v", i, step.who, got)
		}
	}
	for i := range maxAddresses + 10 {
		th.left(fmt.Sprint(i), now.Add(time.Hour))
	}
	if len(th.each) > maxAddresses {
		t.Errorf("%d addresses are remembered", len(th.each))
	}
}

func TestAnAccountHoldsSoManyCodes(t *testing.T) {
	s, ahead := serveCodes(t)
	key := strings.Repeat("0a", 32)
	for range provision.MaxCodes {
		_, _, err := s.provision.StartCode(t.Context(), arn.Default, key, nil, "192.0.2.1")
		must(t, err)
	}
	_, _, err := s.provision.StartCode(t.Context(), arn.Default, key, nil, "192.0.2.1")
	wantFault(t, err, fault.Unavailable, "Too many devices wait")
	ahead.Store(int64(provision.CodeLife))
	_, _, err = s.provision.StartCode(t.Context(), arn.Default, key, nil, "192.0.2.1")
	must(t, err)
	left, err := s.provision.Codes(t.Context(), arn.Default)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("%d codes are left", len(left))
	}
}
