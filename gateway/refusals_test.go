package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A cause is one way to be refused. Its act does it, and gives the address that
// the journal knows the connection by and what the device saw.
type cause struct {
	name string
	only mqtt.Version // zero: both; once: it does not matter
	act  func(x *scene, v mqtt.Version) (address, saw string)
}

// once is for what happens before a version is named.
const once mqtt.Version = 0xff

// A scene is a gateway in which everything is set up to be refused by.
type scene struct {
	*rig
	cert  tls.Certificate // of a device that may do everything, with thing lock-0
	claim tls.Certificate // for template fleet
	count int

	opened bool // there are authorizers
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

func newScene(t testing.TB, l Limits) *scene {
	if l.Burst == 0 {
		l.Burst = 1 << 20
	}
	if l.Tarpit == 0 {
		l.Tarpit = time.Millisecond
	}
	x := &scene{rig: newRig(t, l)}
	x.cert, _ = x.device("lock-0", allowAll)
	x.fleet("fleet", fleetBody, "", nil)
	x.templates()
	x.claim, _ = x.rig.claim("fleet", 0)
	return x
}

// within makes a subtest the one that fails, and that closes its connections.
func (x *scene) within(t *testing.T) {
	outer := x.t
	x.t = t
	t.Cleanup(func() { x.t = outer })
}

// name gives a client id, or a serial, that nobody used.
func (x *scene) name() string {
	x.count++
	return fmt.Sprintf("dev-%d", x.count)
}

// does makes a cause of what an accepted device sends.
func does(send func(d *raw)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(x.cert, x.name(), v)
		send(d)
		return d.local(), d.saw()
	}
}

// sends makes a cause of a packet.
func sends(packets ...mqtt.Packet) func(*scene, mqtt.Version) (string, string) {
	return does(func(d *raw) { d.send(packets...) })
}

// connects makes a cause of a CONNECT with the given certificate.
func connects(cert func(*scene) tls.Certificate, clientID string, change ...func(*mqtt.Connect)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		d := x.raw(cert(x), v)
		d.connect(clientID, change...)
		return d.local(), d.end()
	}
}

func withDevice(x *scene) tls.Certificate { return x.cert }

// TestEveryRefusalHasItsSentence holds the sentences in testdata: what a
// newcomer reads who asks why. Run it with -update, and read what changed.
func TestEveryRefusalHasItsSentence(t *testing.T) {
	var out bytes.Buffer
	out.WriteString(refusalsHead)
	for _, part := range []struct {
		name   string
		limits Limits
		causes []cause
	}{
		{"TLS", Limits{}, tlsCauses},
		{"Before CONNECT", Limits{Handshake: 150 * time.Millisecond}, silentCauses},
		{"", Limits{Handshake: 2 * time.Second}, silentLater},
		{"CONNECT", Limits{}, connectCauses},
		{"CONNECT before the certificate is known", Limits{}, arrivalCauses},
		{"SUBSCRIBE and PUBLISH", Limits{}, sessionCauses},
		{"", Limits{Subscriptions: 1}, fullCauses},
		{"Provisioning", Limits{}, provisioningCauses},
		{"Waits", Limits{KeepAlive: time.Second, Queue: 300 << 10}, waitCauses},
		{"HTTPS and WebSocket", Limits{Handshake: 2 * time.Second}, httpsSilent},
		{"", Limits{}, httpsCauses},
		{"Custom authorizers and domain configurations", Limits{}, vouchCauses},
		{"Crowds", Limits{Strangers: 2, Burst: 8}, crowdCauses},
		{"AWS's rate quotas", Limits{}, quotaCauses},
	} {
		if part.name != "" { // else one more with other limits
			fmt.Fprintf(&out, "\n## %s\n", part.name)
		}
		x := newScene(t, part.limits)
		for _, c := range part.causes {
			t.Run(c.name, func(t *testing.T) {
				x.within(t)
				out.WriteString(x.entry(c))
			})
		}
	}
	compareGolden(t, "testdata/refusals.golden", out.Bytes())
	compareGolden(t, "../docs/refusals.md", manual(t, out.Bytes()))
}

const refusalsHead = `# Refusals

Every way in which the device gateway says no: what a device sees that speaks
MQTT 3.1.1, what one sees that speaks MQTT 5, and the sentence in its attempt
(slipway trace). "…" after a code is that same sentence. Written by
"go test ./gateway -update".
`

// entry runs a cause on both versions.
func (x *scene) entry(c cause) string {
	x.t.Helper()
	saw, said := map[mqtt.Version]string{}, map[mqtt.Version]string{}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		if c.only != 0 && c.only != v && (c.only != once || v != mqtt.V5) {
			continue
		}
		address, told := c.act(x, v)
		if saw[v] = normal(told); address == "" {
			continue // no attempt is kept of it
		}
		x.journal.await(x.t, "of "+c.name, func(a *attempts.Attempt) bool { return a.Remote == address && a.Reason != "" })
		said[v] = normal(x.journal.of(address).Reason)
		saw[v] = strings.ReplaceAll(saw[v], ": "+said[v], " …")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", c.name)
	if c.only == once || saw[mqtt.V311] == saw[mqtt.V5] {
		fmt.Fprintf(&b, "- device: %s\n", saw[mqtt.V5])
	} else {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			if saw[v] != "" {
				fmt.Fprintf(&b, "- %s: %s\n", v, saw[v])
			}
		}
	}
	if said[mqtt.V311] == "" && said[mqtt.V5] == "" {
		return b.String()
	}
	if said[mqtt.V311] != "" && said[mqtt.V5] != "" && said[mqtt.V311] != said[mqtt.V5] {
		fmt.Fprintf(&b, "- trace of 3.1.1: %s\n- trace of 5: %s\n", said[mqtt.V311], said[mqtt.V5])
	} else {
		fmt.Fprintf(&b, "- trace: %s\n", max(said[mqtt.V311], said[mqtt.V5]))
	}
	return b.String()
}

var normalizers = []struct {
	form *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "CERTIFICATE"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\bdev-\d+\b`), "DEVICE"},
	{regexp.MustCompile(`\bp-[0-9a-f]{16}\b`), "POLICY"},
	{regexp.MustCompile(`\bSlipway device CA [0-9a-f]{8}\b`), "Slipway device CA"},
}

// normal puts words in place of what differs from run to run.
func normal(s string) string {
	for _, n := range normalizers {
		s = n.form.ReplaceAllString(s, n.word)
	}
	return s
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs from line %d on (go test -update writes it anew):\n got %s\nwant %s", path, i+1, g[i], w[min(i, len(w)-1)])
		}
	}
	t.Fatalf("%s has %d lines, %d are expected", path, len(w), len(g))
}

// pending makes a certificate that nobody registered, and gives its token too.
func (x *scene) pending(t arn.Tenant) (tls.Certificate, *wire.CreateAnswer) {
	x.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(x.t, err)
	csr, err := sim.CSR(key, "pending")
	must(x.t, err)
	a, err := x.engine.CreateFromCSR(context.Background(), provision.Caller{Tenant: t, Since: x.now()}, csr)
	must(x.t, err)
	cert, err := tls.X509KeyPair([]byte(a.CertificatePEM), keyPEM(x.t, key))
	must(x.t, err)
	return cert, a
}

// with gives a device whose certificate has the status.
func with(s certs.Status) func(*scene) tls.Certificate {
	return func(x *scene) tls.Certificate {
		cert, id := x.device("", allowAll)
		x.setStatus(id, s)
		return cert
	}
}

// under gives a device with these policies alone.
func under(documents ...string) func(*scene) tls.Certificate {
	return func(x *scene) tls.Certificate {
		cert, _ := x.device("", documents...)
		return cert
	}
}
