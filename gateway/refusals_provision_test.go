package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wire"
)

var (
	keysJSON = wire.CreateKeysTopic(wire.JSON)
	keysCBOR = wire.CreateKeysTopic(wire.CBOR)
	csrJSON  = wire.CreateFromCSRTopic(wire.JSON)
	csrCBOR  = wire.CreateFromCSRTopic(wire.CBOR)
)

// refuses makes a cause of a request on the claim's connection, and holds that
// nothing was stored that should not be: no certificate, no thing, and a token
// that it presents still buys.
func refuses(topic string, payload func(*scene) []byte) func(*scene, mqtt.Version) (string, string) {
	return refusesFor(func(x *scene) tls.Certificate { return x.claim }, topic, payload)
}

func refusesFor(cert func(*scene) tls.Certificate, topic string, payload func(*scene) []byte) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(cert(x), x.name(), v)
		load := payload(x)
		before := x.registry()
		d.send(publish(topic, load))
		saw := d.saw()
		if after := x.registry(); after != before {
			x.t.Errorf("it failed and was stored: %+v, before %+v", after, before)
		}
		return d.local(), saw
	}
}

// holdings is how much the default tenant's registry holds.
type holdings struct{ Certificates, Things, Policies, Spent int }

func (r *rig) registry() (h holdings) {
	r.t.Helper()
	must(r.t, r.db.View(context.Background(), func(ctx context.Context, tx store.Tx) (err error) {
		h, err = census(ctx, tx)
		return err
	}))
	return h
}

func census(ctx context.Context, tx store.Tx) (h holdings, err error) {
	cs, _, err := tx.ListCertificates(ctx, arn.Default, ref.All)
	if err != nil {
		return h, err
	}
	ths, _, err := tx.ListThings(ctx, arn.Default, things.Filter{}, ref.All)
	if err != nil {
		return h, err
	}
	ps, _, err := tx.ListPolicies(ctx, arn.Default, ref.All)
	if err != nil {
		return h, err
	}
	tokens, err := tx.ExpiredTokens(ctx, time.Now().AddDate(10, 0, 0), 10_000)
	for _, tok := range tokens {
		if tok.Spent {
			h.Spent++
		}
	}
	h.Certificates, h.Things, h.Policies = len(cs), len(ths), len(ps)
	return h, err
}

func bytesOf(b []byte) func(*scene) []byte { return func(*scene) []byte { return b } }
func textOf(s string) func(*scene) []byte  { return bytesOf([]byte(s)) }

func hexOf(digits string) func(*scene) []byte {
	return func(x *scene) []byte {
		b, err := hex.DecodeString(strings.TrimSpace(digits))
		must(x.t, err)
		return b
	}
}

func fileOf(path string) func(*scene) []byte {
	return func(x *scene) []byte {
		b, err := os.ReadFile(path)
		must(x.t, err)
		return hexOf(string(b))(x)
	}
}

// csrFile is a signing request of the authority's own test data.
func csrFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../ca/testdata/csr/" + name)
	must(t, err)
	return b
}

// csrOf sends one of them, as it should be sent.
func csrOf(name string) func(*scene) []byte {
	return func(x *scene) []byte { return wire.EncodeCreateFromCSR(wire.JSON, csrFile(x.t, name)) }
}

// asMember sends a text as the signing request.
func asMember(text func(*scene) []byte) func(*scene) []byte {
	return func(x *scene) []byte { return wire.EncodeCreateFromCSR(wire.JSON, text(x)) }
}

// broken spoils the signature of a good request.
func brokenCSR(x *scene) []byte {
	pem := csrFile(x.t, "p256.pem")
	lines := strings.Split(strings.TrimSpace(string(pem)), "\n")
	last := []byte(lines[len(lines)-2])
	for i := 1; i < 6; i++ { // inside the last integer of the signature
		at := len(last) - 6 - i
		if last[at] == 'A' {
			last[at] = 'B'
		} else {
			last[at] = 'A'
		}
	}
	lines[len(lines)-2] = string(last)
	return []byte(strings.Join(lines, "\n") + "\n")
}

// registers sends RegisterThing with a good token and the given parameters.
func registers(parameters map[string]string) func(*scene) []byte {
	return func(x *scene) []byte {
		_, a := x.pending(arn.Default)
		return wire.RegisterRequest{Token: a.Token, Parameters: parameters}.Encode(wire.JSON)
	}
}

func serial(s string) map[string]string { return map[string]string{"SerialNumber": s} }

// withToken sends RegisterThing with the token that f gives.
func withToken(f func(*scene) string) func(*scene) []byte {
	return func(x *scene) []byte {
		return wire.RegisterRequest{Token: f(x), Parameters: serial(x.name())}.Encode(wire.JSON)
	}
}

func spentToken(x *scene) string {
	_, a := x.pending(arn.Default)
	_, err := x.engine.RegisterThing(context.Background(), provision.Caller{Tenant: arn.Default}, "fleet",
		wire.RegisterRequest{Token: a.Token, Parameters: serial(x.name())})
	must(x.t, err)
	return a.Token
}

func foreignToken(x *scene) string {
	_, a := x.pending(x.other)
	return a.Token
}

// oldToken gives one whose hour is over; the claim stays good.
func oldToken(x *scene) string {
	_, a := x.pending(arn.Default)
	x.advance(time.Hour + time.Second)
	return a.Token
}

// twice registers a serial, and gives a request for the same one.
func twice(template string) func(*scene) []byte {
	return func(x *scene) []byte {
		_, a := x.pending(arn.Default)
		s := x.name()
		_, err := x.engine.RegisterThing(context.Background(), provision.Caller{Tenant: arn.Default}, template,
			wire.RegisterRequest{Token: a.Token, Parameters: serial(s)})
		must(x.t, err)
		return registers(serial(s))(x)
	}
}

// raw makes JSON of a token that is good and a member that is not.
func withGoodToken(member string) func(*scene) []byte {
	return func(x *scene) []byte {
		_, a := x.pending(arn.Default)
		token, err := json.Marshal(a.Token)
		must(x.t, err)
		return []byte(`{"certificateOwnershipToken":` + string(token) + `,` + member + `}`)
	}
}

// verdicts are what functions answer, by their names.
var verdicts = map[string]string{
	"no":        `{"allowProvisioning":false}`,
	"because":   `{"allowProvisioning":false,"reason":"This batch was recalled."}`,
	"undecided": `{}`,
	"listless":  `[]`,
	"wordy":     `yes`,
	"numeric":   `{"allowProvisioning":1}`,
	"overdone":  `{"allowProvisioning":true,"parameterOverrides":{"SerialNumber":5}}`,
}

// A canned function always answers the same.
type canned string

func (c canned) Invoke(context.Context, []byte) ([]byte, error) { return []byte(c), nil }
func (canned) Close() error                                     { return nil }

// withThing is the fleet's template with more members of the thing.
func withThing(members string) string {
	return strings.Replace(fleetBody, `"Properties":{"ThingName"`, `"Properties":{`+members+`,"ThingName"`, 1)
}

// revokedToken gives one whose certificate was revoked before it was registered.
func revokedToken(x *scene) string {
	_, a := x.pending(arn.Default)
	x.setStatus(arn.CertID(a.CertificateID), certs.Revoked)
	return a.Token
}

// registersInactive sends RegisterThing for a certificate that an operator deactivated.
func registersInactive(x *scene) []byte {
	_, a := x.pending(arn.Default)
	x.setStatus(arn.CertID(a.CertificateID), certs.Inactive)
	return wire.RegisterRequest{Token: a.Token, Parameters: serial(x.name())}.Encode(wire.JSON)
}

// templates makes those that the causes name.
func (x *scene) templates() {
	x.t.Helper()
	x.fleet("strict", fleetBody, "", map[string]string{"slipway:reprovision": templates.Deny})
	x.fleet("hooked", fleetBody, "factory", nil)
	x.fleet("unhooked", fleetBody, "nowhere", nil)
	x.fleet("nopolicy", strings.Replace(fleetBody, `"PolicyName":"device"`, `"PolicyName":"gone"`, 1), "", nil)
	for name := range verdicts {
		x.fleet(name, fleetBody, name, nil)
	}
	x.fleet("untyped", withThing(`"ThingTypeName":"gone"`), "", nil)
	x.fleet("ungrouped", withThing(`"ThingGroups":["gone"]`), "", nil)
	x.fleet("unbilled", withThing(`"BillingGroup":"gone"`), "", nil)
	x.fleet("off", fleetBody, "", nil)
	x.update(func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.TemplateRecord(ctx, arn.Default, "off")
		if err == nil {
			rec.Enabled = false
			err = tx.PutTemplate(ctx, rec)
		}
		return err
	})
}

func registerAt(template string) string { return wire.RegisterTopic(template, wire.JSON) }

func deep(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }

// freeClaim is a claim that only its policy limits.
func freeClaim(x *scene) tls.Certificate { return x.cert }

func expiredWhileConnected(x *scene, v mqtt.Version) (string, string) {
	cert, _ := x.rig.claim("fleet", time.Hour)
	d := x.online(cert, x.name(), v)
	x.advance(2 * time.Hour)
	d.send(publish(keysJSON, nil))
	return d.local(), d.saw()
}

func (x *scene) trusted() tls.Certificate {
	c, key, _, _, err := x.engine.TemporaryClaim(context.Background(), arn.Default, "fleet", "test")
	must(x.t, err)
	pair, err := tls.X509KeyPair([]byte(c.PEM), []byte(key))
	must(x.t, err)
	return pair
}

var provisioningCauses = []cause{
	{"CSR: nothing", 0, refuses(csrJSON, textOf(""))},
	{"CSR: an object without it", 0, refuses(csrJSON, textOf("{}"))},
	{"CSR: misspelt", 0, refuses(csrJSON, textOf(`{"certificateSiningRequest":"x"}`))},
	{"CSR: a number", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":7}`))},
	{"CSR: empty", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":""}`))},
	{"CSR: null", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":null}`))},
	{"CSR: not PEM", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":"hello"}`))},
	{"CSR: DER in JSON", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":"MIIBHzCBxwIBADA"}`))},
	{"CSR: without its line breaks", 0, refuses(csrJSON, asMember(func(x *scene) []byte { return bytes.ReplaceAll(csrFile(x.t, "p256.pem"), []byte("\n"), nil) }))},
	{"CSR: a certificate", 0, refuses(csrJSON, asMember(func(x *scene) []byte { return x.ca.ServerRootPEM() }))},
	{"CSR: more than 4,096 bytes", 0, refuses(csrJSON, asMember(textOf("-----BEGIN CERTIFICATE REQUEST-----\n"+strings.Repeat("A", 5000))))},
	{"CSR: 1 MB", 0, refuses(csrJSON, textOf(strings.Repeat("A", 140_000)))},
	{"CSR: wrong signature", 0, refuses(csrJSON, asMember(brokenCSR))},
	{"CSR: RSA-1024", 0, refuses(csrJSON, csrOf("rsa-1024.pem"))},
	{"CSR: P-224", 0, refuses(csrJSON, csrOf("p224.pem"))},
	{"CSR: Ed25519", 0, refuses(csrJSON, csrOf("ed25519.pem"))},
	{"CSR: CA:TRUE", 0, refuses(csrJSON, csrOf("ca-true.pem"))},
	{"CSR: 100 subject alternative names", 0, refuses(csrJSON, csrOf("sans-100.pem"))},
	{"CSR: CN=localhost", 0, refuses(csrJSON, csrOf("cn-localhost.pem"))},
	{"CSR: a control character in its subject", 0, refuses(csrJSON, csrOf("control-character.pem"))},
	{"CSR: P-224, as PEM, sent to create", 0, refuses(keysJSON, func(x *scene) []byte { return csrFile(x.t, "p224.pem") })},

	{"JSON: truncated", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":"-----BE`))},
	{"JSON: deeply nested", 0, refuses(csrJSON, textOf(deep(5000)))},
	{"JSON: a name twice", 0, refuses(csrJSON, textOf(`{"certificateSigningRequest":"a","certificateSigningRequest":"b"}`))},
	{"JSON: an array", 0, refuses(csrJSON, textOf(`[]`))},
	{"JSON: something behind it", 0, refuses(csrJSON, textOf(`{} {}`))},
	{"JSON: not UTF-8", 0, refuses(csrJSON, textOf("{\"a\":\"\xff\"}"))},
	{"JSON on the CBOR topic", 0, refuses(csrCBOR, textOf(`{"certificateSigningRequest":"a"}`))},
	{"CBOR: nothing", 0, refuses(csrCBOR, textOf(""))},
	{"CBOR: truncated", 0, refuses(csrCBOR, hexOf("a1781963657274"))},
	{"CBOR: deeply nested", 0, refuses(csrCBOR, hexOf(strings.Repeat("a16161", 100)+"01"))},
	{"CBOR: a key twice", 0, refuses(csrCBOR, hexOf("a2616101616102"))},
	{"CBOR: an array", 0, refuses(csrCBOR, hexOf("80"))},
	{"CBOR: something behind it", 0, refuses(csrCBOR, hexOf("a0a0"))},
	{"CBOR: bytes where text is due", 0, refuses(csrCBOR, hexOf("a1781963657274696669636174655369676e696e675265717565737443435352"))},
	{"CBOR: a key of bytes", 0, refuses(csrCBOR, hexOf("a1436162630a"))},
	{"CBOR: an array of 2^60 elements", 0, refuses(csrCBOR, hexOf("a161619b1000000000000000"))},
	{"CBOR on create: truncated", 0, refuses(keysCBOR, hexOf("a161"))},
	{"the malformed CSR of the field notes", 0, refuses(csrCBOR, fileOf("../wire/testdata/create-certificate-from-csr.malformed.cbor.hex"))},
	{"the malformed registration of the field notes", 0, refuses(wire.RegisterTopic("fleet", wire.CBOR), fileOf("../wire/testdata/register-thing.malformed.cbor.hex"))},

	{"token: none", 0, refuses(registerAt("fleet"), textOf(`{"parameters":{"SerialNumber":"A1"}}`))},
	{"token: empty", 0, refuses(registerAt("fleet"), textOf(`{"certificateOwnershipToken":"","parameters":{"SerialNumber":"A1"}}`))},
	{"token: misspelt", 0, refuses(registerAt("fleet"), textOf(`{"CertificateOwnershipToken":"t"}`))},
	{"token: a number", 0, refuses(registerAt("fleet"), textOf(`{"certificateOwnershipToken":5}`))},
	{"token: unknown", 0, refuses(registerAt("fleet"), withToken(func(*scene) string { return "never-issued" }))},
	{"token: far too long", 0, refuses(registerAt("fleet"), withToken(func(*scene) string { return strings.Repeat("t", 5000) }))},
	{"token: spent for another request", 0, refuses(registerAt("fleet"), withToken(spentToken))},
	{"token: of another account", 0, refuses(registerAt("fleet"), withToken(foreignToken))},
	{"token: of a certificate that was revoked", 0, refuses(registerAt("fleet"), withToken(revokedToken))},
	{"token: an hour old", 0, refuses(registerAt("fleet"), withToken(oldToken))},

	{"template: unknown", 0, refusesFor(freeClaim, registerAt("nowhere"), registers(serial("A1")))},
	{"template: disabled", 0, refusesFor(freeClaim, registerAt("off"), registers(serial("A1")))},
	{"template: not the claim's", 0, refuses(registerAt("strict"), registers(serial("A1")))},
	{"template: names a policy that does not exist", 0, refusesFor(freeClaim, registerAt("nopolicy"), registers(serial("N1")))},
	{"parameters: misspelt", 0, refuses(registerAt("fleet"), withGoodToken(`"Parameters":{"SerialNumber":"A1"}`))},
	{"parameters: one is missing", 0, refuses(registerAt("fleet"), registers(nil))},
	{"parameters: not a map", 0, refuses(registerAt("fleet"), withGoodToken(`"parameters":"A1"`))},
	{"parameters: a number", 0, refuses(registerAt("fleet"), withGoodToken(`"parameters":{"SerialNumber":7}`))},
	{"parameters: null", 0, refuses(registerAt("fleet"), withGoodToken(`"parameters":{"SerialNumber":null}`))},
	{"parameters: a value with a wildcard", 0, refuses(registerAt("fleet"), registers(serial("A*")))},
	{"parameters: a value with #", 0, refuses(registerAt("fleet"), registers(serial("A#1")))},
	{"parameters: a value with a control character", 0, refuses(registerAt("fleet"), registers(serial("A\x1b[31m1")))},
	{"parameters: a value of 4,097 characters", 0, refuses(registerAt("fleet"), registers(serial(strings.Repeat("é", 4097))))},
	{"a thing name that is too long", 0, refuses(registerAt("fleet"), registers(serial(strings.Repeat("A", 130))))},
	{"a serial that is taken, with slipway:reprovision=deny", 0, refusesFor(freeClaim, registerAt("strict"), twice("strict"))},
	{"a serial that is not on the list", 0, refusesFor(freeClaim, registerAt("hooked"), registers(serial("STOLEN")))},
	{"a function that refuses", 0, refusesFor(freeClaim, registerAt("no"), registers(serial("A1")))},
	{"a function that refuses and says why", 0, refusesFor(freeClaim, registerAt("because"), registers(serial("A1")))},
	{"a function that does not say whether it allows", 0, refusesFor(freeClaim, registerAt("undecided"), registers(serial("A1")))},
	{"a function that answers with an array", 0, refusesFor(freeClaim, registerAt("listless"), registers(serial("A1")))},
	{"a function that answers no JSON to a registration", 0, refusesFor(freeClaim, registerAt("wordy"), registers(serial("A1")))},
	{"a function that allows with a number", 0, refusesFor(freeClaim, registerAt("numeric"), registers(serial("A1")))},
	{"a function that overrides with a number", 0, refusesFor(freeClaim, registerAt("overdone"), registers(serial("A1")))},
	{"a thing type that does not exist", 0, refusesFor(freeClaim, registerAt("untyped"), registers(serial("A1")))},
	{"a thing group that does not exist", 0, refusesFor(freeClaim, registerAt("ungrouped"), registers(serial("A1")))},
	{"a billing group that does not exist", 0, refusesFor(freeClaim, registerAt("unbilled"), registers(serial("A1")))},
	{"a certificate that was deactivated before its registration", 0, refuses(registerAt("fleet"), registersInactive)},
	{"a function that does not exist", 0, refusesFor(freeClaim, registerAt("unhooked"), registers(serial("A1")))},

	{"the claim expired while it was connected", 0, expiredWhileConnected},
	{"a temporary claim at another template", 0, func(x *scene, v mqtt.Version) (string, string) {
		return refusesFor(func(*scene) tls.Certificate { return x.trusted() }, registerAt("strict"), registers(serial("T1")))(x, v)
	}},
	{"a temporary claim after its five minutes", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(x.trusted(), x.name(), v)
		x.advance(6 * time.Minute)
		d.send(publish(keysJSON, nil))
		return d.local(), d.saw()
	}},
	{"the store fails during create", 0, func(x *scene, v mqtt.Version) (string, string) {
		d := x.online(x.claim, x.name(), v)
		x.store.broken.Store(true)
		defer x.store.broken.Store(false)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		return d.local(), d.saw()
	}},
}
