package gateway

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wire"
)

// answer gives the payload that came back on accepted; anything else fails.
func (d *raw) answer(topic string) []byte {
	d.t.Helper()
	m := await[*mqtt.Publish](d)
	if m.Topic != wire.Accepted(topic) {
		d.note(m)
		d.t.Fatalf("on %s: %s", m.Topic, strings.Join(d.sees, "; "))
	}
	return m.Payload
}

// TestOddButLegalRequestsAreServed sends what real devices send.
func TestOddButLegalRequestsAreServed(t *testing.T) {
	x := newScene(t, Limits{})
	text := csrFile(t, "p256.pem")
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM in the file")
	}
	der, ownKey := block.Bytes, true
	hexed := func(parts ...any) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(fmt.Sprint(parts...), " ", ""))
		must(t, err)
		return b
	}
	textItem := func(s string) string { return fmt.Sprintf("79%04x%x", len(s), s) }
	for _, c := range []struct {
		name    string
		topic   string
		payload []byte
		own     bool // the certificate is for the device's key
	}{
		{"zero bytes to create/json", keysJSON, nil, false},
		{"zero bytes to create/cbor, as embedded C", keysCBOR, nil, false},
		{"{} to create/json, as JavaScript", keysJSON, []byte("{}"), false},
		{"an empty map to create/cbor", keysCBOR, hexed("a0"), false},
		{"members that mean nothing to create/json", keysJSON, []byte(`{"a":[1,{"b":null}]}`), false},
		{"a CSR as PEM to create/json", keysJSON, text, ownKey},
		{"a CSR as DER to create/json", keysJSON, der, ownKey},
		{"a CSR as PEM to create/cbor", keysCBOR, text, ownKey},
		{"a CSR as DER to create/cbor", keysCBOR, der, ownKey},
		{"a CSR as a member to create/json", keysJSON, wire.EncodeCreateFromCSR(wire.JSON, text), ownKey},
		{"a CSR as a member to create/cbor", keysCBOR, wire.EncodeCreateFromCSR(wire.CBOR, text), ownKey},
		{"members that nobody knows to create-from-csr/json", csrJSON, []byte(strings.Replace(string(wire.EncodeCreateFromCSR(wire.JSON, text)), "{", `{"templateName":"fleet","x":{"y":[]},`, 1)), ownKey},
		{"a map of indefinite length to create-from-csr/cbor", csrCBOR, hexed("bf", textItem("certificateSigningRequest"), textItem(string(text)), "ff"), ownKey},
		{"a text in pieces to create-from-csr/cbor", csrCBOR, hexed("a1", textItem("certificateSigningRequest"), "7f", textItem(string(text[:100])), textItem(string(text[100:])), "ff"), ownKey},
	} {
		for _, v := range bothVersions {
			t.Run(c.name+", "+v.String(), func(t *testing.T) {
				x.within(t)
				d := x.connected(x.claim, v)
				before := x.registry()
				d.send(publish(c.topic, c.payload))
				f := wire.JSON
				if strings.HasSuffix(c.topic, "cbor") {
					f = wire.CBOR
				}
				a, err := wire.DecodeCreateAnswer(f, d.answer(c.topic))
				must(t, err)
				if (a.PrivateKey == "") != c.own || len(a.Token) > 400 || len(a.CertificateID) != 64 {
					t.Errorf("got key %t, a token of %d bytes, id %q", a.PrivateKey != "", len(a.Token), a.CertificateID)
				}
				if got := x.status(a.CertificateID); got != certs.PendingActivation {
					t.Errorf("the certificate is %s", got)
				}
				after := x.registry()
				if after.Certificates != before.Certificates+1 || after.Things != before.Things {
					t.Errorf("stored %+v, before %+v", after, before)
				}
				if !d.alive() {
					t.Error("the connection did not live")
				}
			})
		}
	}
}

func (x *scene) status(id string) (s certs.Status) {
	x.t.Helper()
	must(x.t, x.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, arn.CertID(id))
		if err == nil {
			s = c.Status
		}
		return err
	}))
	return s
}

// TestATokenSurvivesARefusal refuses a registration, and then lets the same
// token buy: a refusal takes nothing.
func TestATokenSurvivesARefusal(t *testing.T) {
	x := newScene(t, Limits{})
	for _, c := range []struct {
		name, template string
		refused, good  wire.RegisterRequest
		code           string
	}{
		{"a missing parameter", "fleet", wire.RegisterRequest{}, wire.RegisterRequest{Parameters: serial("T1")}, "InvalidParameters"},
		{"a wildcard", "fleet", wire.RegisterRequest{Parameters: serial("T+")}, wire.RegisterRequest{Parameters: serial("T2")}, "InvalidParameters"},
		{"a serial not on the list", "hooked", wire.RegisterRequest{Parameters: serial("STOLEN")}, wire.RegisterRequest{Parameters: serial("A3")}, "AccessDenied"},
		{"an extra parameter is ignored", "fleet", wire.RegisterRequest{Parameters: map[string]string{"Other": "x"}},
			wire.RegisterRequest{Parameters: map[string]string{"SerialNumber": "T4", "Other": "*\x00#+"}}, "InvalidParameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.within(t)
			_, a := x.pending(arn.Default)
			d := x.connected(x.cert, mqtt.V5)
			ask := func(r wire.RegisterRequest) {
				r.Token = a.Token
				d.send(publish(registerAt(c.template), r.Encode(wire.JSON)))
			}
			before := x.registry()
			ask(c.refused)
			if saw := d.saw(); !strings.Contains(saw, c.code) {
				t.Fatalf("the device saw %s", saw)
			}
			if after := x.registry(); after != before || x.status(a.CertificateID) != certs.PendingActivation {
				t.Errorf("it failed and was stored: %+v, before %+v, certificate %s", after, before, x.status(a.CertificateID))
			}
			ask(c.good)
			got, err := wire.DecodeRegisterAnswer(wire.JSON, d.answer(registerAt(c.template)))
			must(t, err)
			if got.ThingName != "lock-"+c.good.Parameters["SerialNumber"] || x.status(a.CertificateID) != certs.Active {
				t.Errorf("got %+v, certificate %s", got, x.status(a.CertificateID))
			}
		})
	}
}

// TestATemporaryClaimIsForItsTemplate: without any policy attached it may
// provision through its own template, and do nothing else.
func TestATemporaryClaimIsForItsTemplate(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		d := x.online(x.trusted(), x.name(), v)
		d.send(publish(csrJSON, csrOf("p256.pem")(x)))
		a, err := wire.DecodeCreateAnswer(wire.JSON, d.answer(csrJSON))
		must(t, err)
		req := wire.RegisterRequest{Token: a.Token, Parameters: serial(x.name())}
		d.send(publish(registerAt("fleet"), req.Encode(wire.JSON)))
		d.answer(registerAt("fleet"))
		d.send(&mqtt.Disconnect{})
		if a := x.whole(d); a.Door != "trusted" || a.Outcome != attempts.Provisioned {
			t.Errorf("the attempt is %+v", a)
		}
		for _, p := range []mqtt.Packet{publish("dt/a", nil), subscribe("dt/#"), subscribe("#"), publish(registerAt("hooked"), nil)} {
			d := x.online(x.trusted(), x.name(), v)
			d.send(p)
			if saw := d.saw(); saw == "the connection stays" {
				t.Errorf("%s was allowed on %s", p.Type(), v)
			}
		}
	}
}

func TestAClaimBeyondItsDayLeavesNothing(t *testing.T) {
	x := newScene(t, Limits{})
	for _, v := range bothVersions {
		cert := expired(x)
		before := x.registry()
		d := x.raw(cert, v)
		d.connect("late")
		if saw := d.end(); strings.Contains(saw, "CONNACK 0x00") {
			t.Errorf("the device saw %s", saw)
		}
		if after := x.registry(); after != before {
			t.Errorf("it failed and was stored: %+v, before %+v", after, before)
		}
	}
}
