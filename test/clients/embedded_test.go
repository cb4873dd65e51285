package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/server"
)

// Buffers of the demos.
const (
	csrRoom  = 2048 // of a whole packet, CSR demo
	keysRoom = 4096 // of a whole packet, keys demo
	pemRoom  = 2048 // of certificate, of private key
	idRoom   = 64
	nameRoom = 128 // of a thing's name
	maxToken = 400 // the demos have 512; the rest of the packet needs the difference
)

// A demo is one run of the fleet provisioning demo of the AWS IoT Device SDK
// for Embedded C.
type demo struct {
	t        *testing.T
	site     *site
	claim    tls.Certificate
	template string
	clientID string // before and after
	serial   string
	key      crypto.Signer // nil: the keys demo
	subject  pkix.Name     // of the CSR
	qos      byte          // of its subscriptions
}

// run goes through the whole demo. What is returned are the thing, its
// certificate's id, and the slowest answer.
func (d *demo) run() (thing, certificateID string) {
	d.t.Helper()
	room := csrRoom
	if d.key == nil {
		room = keysRoom
	}
	c := d.connect(d.claim, room)
	made := d.create(c)
	own := d.keep(made)
	thing = d.register(c, made["certificateOwnershipToken"].(string))
	c.disconnect()

	device := d.connect(own, room)
	if err := device.subscribe(thing+"/echo", 1); err != nil {
		d.t.Fatal(err)
	}
	if err := device.publish(thing+"/echo", []byte("hello")); err != nil {
		d.t.Fatal(err)
	}
	if m := must(device.receive())(d.t); string(m.payload) != "hello" {
		d.t.Errorf("got %q", m.payload)
	}
	device.disconnect()
	d.t.Logf("the slowest answer took %v", max(c.slowest, device.slowest))
	return thing, made["certificateId"].(string)
}

func (d *demo) connect(identity tls.Certificate, room int) *coreMQTT {
	d.t.Helper()
	c := dialCore(d.t, d.site, mbedTLS(d.site, identity), room)
	if code := must(c.connect(d.clientID))(d.t); code != 0 {
		d.t.Fatalf("CONNACK has code %d", code)
	}
	return c
}

// ask is one operation: two subscriptions, a request, its answer, and the
// subscriptions' end, each in a packet of its own.
func (d *demo) ask(c *coreMQTT, topic string, payload []byte) map[string]any {
	d.t.Helper()
	replies := []string{topic + "/accepted", topic + "/rejected"}
	for _, reply := range replies {
		if err := c.subscribe(reply, d.qos); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := c.publish(topic, payload); err != nil {
		d.t.Fatal(err)
	}
	m := must(c.receive())(d.t)
	for _, reply := range replies {
		if err := c.unsubscribe(reply); err != nil {
			d.t.Fatal(err)
		}
	}
	got := must(readMap(m.payload))(d.t)
	if m.topic != replies[0] || m.qos != d.qos {
		d.t.Fatalf("%s at QoS %d: %v", m.topic, m.qos, got)
	}
	d.t.Logf("%s: %d of %d bytes", topic, m.bytes, c.room)
	return got
}

// create asks for the certificate: with a CSR, or with no payload at all.
func (d *demo) create(c *coreMQTT) map[string]any {
	d.t.Helper()
	if d.key == nil {
		return d.ask(c, "$aws/certificates/create/cbor", nil)
	}
	request := strings.TrimSuffix(csr(d.t, d.key, d.subject), "\n") // it stands so in the demo's buffer
	return d.ask(c, "$aws/certificates/create-from-csr/cbor", writeMap("certificateSigningRequest", request))
}

// keep copies the answer into the demo's buffers.
func (d *demo) keep(made map[string]any) tls.Certificate {
	d.t.Helper()
	for member, most := range map[string]int{
		"certificatePem": pemRoom, "privateKey": pemRoom, "certificateId": idRoom, "certificateOwnershipToken": maxToken,
	} {
		value, there := made[member].(string)
		if own := member == "privateKey" && d.key != nil; own == there || len(value) > most || there && value == "" {
			d.t.Errorf("%s has %d bytes, room is for %d", member, len(value), most)
		}
	}
	if id := made["certificateId"].(string); len(id) != idRoom {
		d.t.Errorf("the certificate's id has %d characters", len(id))
	}
	key := d.key
	if key == nil {
		block, _ := pem.Decode([]byte(made["privateKey"].(string)))
		key = must(x509.ParsePKCS1PrivateKey(block.Bytes))(d.t)
	}
	return identity(d.t, made["certificatePem"].(string), key)
}

// register takes thingName, without which the demo fails.
func (d *demo) register(c *coreMQTT, token string) string {
	d.t.Helper()
	got := d.ask(c, "$aws/provisioning-templates/"+d.template+"/provision/cbor", writeMap(
		"certificateOwnershipToken", token,
		"parameters", writeMap("SerialNumber", d.serial)))
	thing, ok := got["thingName"].(string)
	if !ok || len(thing) > nameRoom {
		d.t.Fatalf("thingName is %v", got["thingName"])
	}
	if configuration, ok := got["deviceConfiguration"].(map[string]any); !ok || len(configuration) != 0 {
		d.t.Errorf("deviceConfiguration is %v", got["deviceConfiguration"])
	}
	return thing
}

func TestTheEmbeddedCDemosProvision(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet", strings.Repeat("T", 36))
	claim := s.claim()
	rsa4096 := keyFile(t, "rsa4096.key")
	short := demo{template: "fleet", subject: pkix.Name{CommonName: "Fleet Provisioning Demo"}, qos: 1}
	long := func(letter string) demo {
		d := short
		d.template, d.serial = strings.Repeat("T", 36), strings.Repeat(letter, nameRoom)
		return d
	}
	wide := pkix.Name{OrganizationalUnit: []string{strings.Repeat("u", 200)}, CommonName: strings.Repeat("c", 200)}
	for sentence, change := range map[string]func(*demo){
		"a P-256 key":            func(d *demo) { d.key = newKey(t) },
		"an RSA-2048 key":        func(d *demo) { d.key = newRSA(t, 2048) },
		"an RSA-4096 key":        func(d *demo) { d.key = rsa4096 },
		"a key of the server's":  func(*demo) {},
		"subscriptions at QoS 0": func(d *demo) { d.key, d.qos = newKey(t), 0 },
		"the longest names, a P-256 key, and a CSR with much to say": func(d *demo) {
			*d, d.key, d.subject = long("p"), newKey(t), wide
		},
		"the longest names, an RSA-4096 key":       func(d *demo) { *d, d.key = long("r"), rsa4096 },
		"the longest names, a key of the server's": func(d *demo) { *d = long("s") },
	} {
		t.Run(sentence, func(t *testing.T) {
			d := short
			d.serial = strings.Trim(strings.Map(nameable, sentence), "-")
			change(&d)
			d.t, d.site, d.claim, d.clientID = t, s, claim, d.serial
			if d.key == nil {
				s.awaitKeys(1)
			}
			thing, id := d.run()
			if thing != d.serial {
				t.Errorf("the thing is called %s", thing)
			}
			s.holds(thing, id)
		})
	}
}

// A registration that is refused has to fit too, and to come in time.
func TestTheEmbeddedCDemosLearnOfARefusal(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	d := demo{t: t, site: s, claim: s.claim(), clientID: "refused", qos: 1}
	c := d.connect(d.claim, csrRoom)
	for topic, payload := range map[string][]byte{
		"$aws/certificates/create-from-csr/cbor":             writeMap("certificateSigningRequest", strings.Repeat("x", 4000)),
		"$aws/provisioning-templates/fleet/provision/cbor":   writeMap("certificateOwnershipToken", strings.Repeat("t", 512), "parameters", writeMap()),
		"$aws/provisioning-templates/nowhere/provision/cbor": writeMap("certificateOwnershipToken", strings.Repeat("t", 64)),
	} {
		for _, end := range []string{"/accepted", "/rejected"} {
			if err := c.subscribe(topic+end, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.publish(topic, payload); err != nil {
			t.Fatal(err)
		}
		m := must(c.receive())(t)
		got := must(readMap(m.payload))(t)
		status, isNumber := got["statusCode"].(uint64)
		code, isText := got["errorCode"].(string)
		said, isToo := got["errorMessage"].(string)
		if m.topic != topic+"/rejected" || !isNumber || !isText || !isToo || status < 400 || code == "" || said == "" {
			t.Errorf("%s: %v", m.topic, got)
		}
	}
}

// The emulation would be worth nothing if it did not fail where the demo does:
// what is larger than the buffer is dropped, and after a second it gives up.
func TestTheDemoDropsWhatDoesNotFit(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	d := demo{t: t, site: s, claim: s.claim(), clientID: "small", qos: 1}
	c := d.connect(d.claim, 800)
	topic := "$aws/certificates/create-from-csr/cbor"
	if err := c.subscribe(topic+"/accepted", 1); err != nil {
		t.Fatal(err)
	}
	if err := c.publish(topic, writeMap("certificateSigningRequest", csr(t, newKey(t), pkix.Name{CommonName: "small"}))); err != nil {
		t.Fatal(err)
	}
	if m, err := c.receive(); err == nil || len(c.dropped) != 1 || c.dropped[0] < 800 {
		t.Errorf("got %v, %v, dropped %v", m, err, c.dropped)
	}
}

// fitsMbedTLS says what the SDK's mbedTLS cannot do with a key.
func fitsMbedTLS(public any) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return fmt.Errorf("its key is on %s", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return fmt.Errorf("its RSA key has %d bits", k.N.BitLen())
		}
	default:
		return fmt.Errorf("its key is a %T", public)
	}
	return nil
}

// keyFile reads an RSA key of testdata: one of 4,096 bits takes seconds to make.
func keyFile(t *testing.T, name string) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join("testdata", name)))(t))
	return must(x509.ParsePKCS1PrivateKey(block.Bytes))(t)
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	return must(rsa.GenerateKey(rand.Reader, bits))(t)
}

// nameable maps what may not stand in a thing's name.
func nameable(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}
