package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/agent"
)

// ways are the eight combinations that a device can choose from.
func ways() (all [][]string) {
	for _, format := range []string{"json", "cbor"} {
		for _, version := range []string{"5", "3.1.1"} {
			for _, keys := range []string{"csr", "server"} {
				all = append(all, []string{"--format=" + format, "--mqtt=" + version, "--keys=" + keys})
			}
		}
	}
	return all
}

func TestTheAgentProvisionsInEveryWay(t *testing.T) {
	s := start(t)
	claim := s.claimFor("fleet", 0)
	for _, flags := range ways() {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			d := device{claim: claim, template: "fleet", dir: t.TempDir(), flags: flags,
				serial: strings.NewReplacer("-", "", "=", "", ".", "").Replace(strings.Join(flags, ""))}
			r := must(s.run(d))(t)
			if r.code != 0 || r.Thing != d.serial || r.Error != nil {
				t.Fatalf("exit code %d, %+v\n%s", r.code, r, r.stderr)
			}
			if err := s.holds(t.Context(), d, r); err != nil {
				t.Error(err)
			}
			if r.TotalMs <= 0 || r.PeakMemory <= 0 || len(r.Stages) < 4 {
				t.Errorf("the report is %+v", r)
			}
			leavesNoSecret(t, d)
			again := must(s.run(d))(t)
			if again.code != 0 || again.Certificate != r.Certificate || again.Resumed != agent.Done {
				t.Errorf("a second run gave %+v", again)
			}
		})
	}
}

// leavesNoSecret asserts that key and token are where they belong, and only
// there.
func leavesNoSecret(t *testing.T, d device) {
	t.Helper()
	state := string(must(os.ReadFile(filepath.Join(d.dir, agent.StateFile)))(t))
	if strings.Contains(state, "PRIVATE KEY") || strings.Contains(state, "Token") {
		t.Errorf("the state of a finished run holds a secret: %s", state)
	}
	if info := must(os.Stat(filepath.Join(d.dir, agent.KeyFile)))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file has mode %v", info.Mode())
	}
}

// Claims come from many tools: PKCS#1, PKCS#8 and SEC 1, with and without a
// last line end.
func TestAClaimsKeyMayHaveAnyForm(t *testing.T) {
	s := start(t)
	rsaKey, ecKey := must(rsa.GenerateKey(rand.Reader, 2048))(t), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	s.call("POST", "/policies/claim", nil, map[string]string{"policyDocument": s.fixed(published)}, nil)
	for i, c := range []struct {
		form string
		key  crypto.Signer
		der  []byte
	}{
		{"RSA PRIVATE KEY", rsaKey, x509.MarshalPKCS1PrivateKey(rsaKey)},
		{"PRIVATE KEY", rsaKey, must(x509.MarshalPKCS8PrivateKey(rsaKey))(t)},
		{"EC PRIVATE KEY", ecKey, must(x509.MarshalECPrivateKey(ecKey))(t)},
		{"PRIVATE KEY", ecKey, must(x509.MarshalPKCS8PrivateKey(ecKey))(t)},
	} {
		t.Run(fmt.Sprintf("%s of %T", c.form, c.key), func(t *testing.T) {
			cert := s.certificateFor("claim", c.key)
			for j, text := range []string{pemOf(c.form, c.der), strings.TrimSpace(pemOf(c.form, c.der))} {
				d := device{serial: fmt.Sprintf("form-%d-%d", i, j), claim: s.keep(strings.TrimSpace(cert), text), template: "fleet", dir: t.TempDir()}
				if r := must(s.run(d))(t); r.code != 0 {
					t.Errorf("exit code %d\n%s", r.code, r.stderr)
				}
			}
		})
	}
}

func pemOf(form string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: form, Bytes: der}))
}

// certificateFor makes an ACTIVE certificate with a policy for a key.
func (s *site) certificateFor(policy string, key crypto.Signer) string {
	s.t.Helper()
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(s.t)
	var made struct {
		CertificateARN string `json:"certificateArn"`
		CertificatePEM string
	}
	s.call("POST", "/certificates", url.Values{"setAsActive": {"true"}}, map[string]string{"certificateSigningRequest": pemOf("CERTIFICATE REQUEST", csr)}, &made)
	s.call("PUT", "/target-policies/"+policy, nil, map[string]string{"target": made.CertificateARN}, nil)
	return made.CertificatePEM
}

// The classes that the field notes name, with the exit codes of DESIGN.md,
// section 6. MQTT 3.1.1 cannot say why it closes a connection, and the agent
// does not guess.
func TestTheClassesOfFailure(t *testing.T) {
	s := start(t)
	s.template("once", "slipway:reprovision", "deny")
	good, once := s.claimFor("fleet", 0), s.claimFor("once", 0)
	if r := must(s.run(device{serial: "taken", claim: once, template: "once", dir: t.TempDir()}))(t); r.code != 0 {
		t.Fatal(r.stderr)
	}
	anyTemplate, useless := s.claimUnder("fixed", s.fixed(published)), s.claimUnder("published", published)

	s.clock.set(-48 * time.Hour)
	old := s.claimFor("fleet", time.Hour)
	s.clock.set(0)
	short := s.claimFor("fleet", time.Hour)

	for sentence, c := range map[string]struct {
		device
		ahead time.Duration // of the server's clock
		class agent.Class
		code  int
		say   string
	}{
		"the claim expired, and the device knows": {
			device{claim: old, template: "fleet"}, 0, agent.ClaimExpired, agent.ExitFailed, "expired on"},
		"the claim expired, and the device sends it although it knows": {
			device{claim: old, template: "fleet", flags: []string{"--ignore-dates"}}, 0, agent.ClaimExpired, agent.ExitRefused, "expired"},
		"the claim expired, by the server's clock alone": {
			device{claim: short, template: "fleet"}, 2 * time.Hour, agent.ClaimExpired, agent.ExitRefused, "expired"},
		"the claim expired, and 3.1.1 cannot say so": {
			device{claim: old, template: "fleet", flags: []string{"--ignore-dates", "--mqtt=3.1.1", "--attempts=1"}}, 0,
			agent.ClosedSilently, agent.ExitRefused, "MQTT 3.1.1"},
		"the template does not exist": {
			device{claim: anyTemplate, template: "nowhere"}, 0, agent.TemplateNotFound, agent.ExitRefused, "nowhere"},
		"the template does not exist, 3.1.1 and CBOR": {
			device{claim: anyTemplate, template: "nowhere", flags: []string{"--mqtt=3.1.1", "--format=cbor"}}, 0,
			agent.TemplateNotFound, agent.ExitRefused, "nowhere"},
		"the claim is another template's": {
			device{claim: once, template: "fleet"}, 0, agent.ClaimNotAuthorised, agent.ExitRefused, "claim"},
		"the claim's policy allows nothing": {
			device{claim: useless, template: "fleet"}, 0, agent.ClaimNotAuthorised, agent.ExitRefused, "iot:Connect"},
		"the serial number is in use": {
			device{serial: "taken", claim: once, template: "once"}, 0, agent.DuplicateSerial, agent.ExitRefused, "taken"},
		"the serial number is in use, 3.1.1 and CBOR": {
			device{serial: "taken", claim: once, template: "once", flags: []string{"--mqtt=3.1.1", "--format=cbor"}}, 0,
			agent.DuplicateSerial, agent.ExitRefused, "taken"},
		"the network swallows everything": {
			device{claim: good, template: "fleet", endpoint: blackHole(t), flags: []string{"--attempts=1", "--connect-timeout=200ms"}}, 0,
			agent.NetworkTimeout, agent.ExitUnreachable, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			s.clock.set(c.ahead)
			defer s.clock.set(0)
			if c.serial == "" {
				c.serial = "new"
			}
			c.dir = t.TempDir()
			r := must(s.run(c.device))(t)
			if r.Error == nil || r.Error.Class != c.class || r.code != c.code || r.Error.Exit != c.code {
				t.Fatalf("exit code %d, %+v\n%s", r.code, r.Error, r.stderr)
			}
			if said := r.Error.Text + r.Error.Said; !strings.Contains(said, c.say) {
				t.Errorf("it says %s", said)
			}
			lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
			if last := lines[len(lines)-1]; last != "class: "+string(c.class) {
				t.Errorf("the last line is %q", last)
			}
			if _, err := os.Stat(filepath.Join(c.dir, agent.CertFile)); err == nil {
				t.Error("a device that was refused has an identity")
			}
		})
	}
	if err := s.api.Do(t.Context(), "GET", "/things/new", nil, nil, nil, nil); err == nil {
		t.Error("a refused device has a thing")
	}
}

// blackHole is an address where connections are taken and nothing is said.
func blackHole(t *testing.T) string {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return "localhost:" + port
}

// fixed is the policy that `slipway policy check --fix` prints for one.
func (s *site) fixed(policy string) string {
	s.t.Helper()
	check := exec.Command(filepath.Join(programs, "slipway"), "policy", "check", "--fix", "-")
	check.Stdin = strings.NewReader(policy)
	fixed, err := check.Output()
	if err != nil || !json.Valid(fixed) {
		s.t.Fatalf("%v: %s", err, fixed)
	}
	return string(fixed)
}

func TestThePolicyOfTheFieldNotes(t *testing.T) {
	s := start(t)
	asPublished, repaired := s.claimUnder("published", published), s.claimUnder("repaired", s.fixed(published))
	for i, flags := range ways() {
		d := device{serial: fmt.Sprintf("lock-%d", i), template: "fleet", flags: append(flags, "--attempts=1")}
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			d.dir, d.claim = t.TempDir(), asPublished
			if r := must(s.run(d))(t); r.code != agent.ExitRefused {
				t.Errorf("as published: exit code %d, %+v", r.code, r)
			}
			d.claim = repaired
			if r := must(s.run(d))(t); r.code != 0 || r.Thing != d.serial {
				t.Errorf("repaired: exit code %d\n%s", r.code, r.stderr)
			}
		})
	}
}
