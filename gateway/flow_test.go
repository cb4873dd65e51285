package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wire"
)

func keyPEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// nameOf is what attach calls a policy.
func nameOf(document string) string {
	sum := sha256.Sum256([]byte(document))
	return "p-" + hex.EncodeToString(sum[:8])
}

func (r *rig) attach(id arn.CertID, thing string, documents ...string) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		target := arn.Default.Cert(id)
		for _, d := range documents {
			name := nameOf(d)
			if err := policy.Ensure(ctx, tx, arn.Default, name, d, r.now()); err != nil {
				return err
			}
			if err := policy.Attach(ctx, tx, arn.Default, name, target, r.now()); err != nil {
				return err
			}
		}
		if thing == "" {
			return nil
		}
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: thing, ID: "id-" + thing, Version: 1, Created: r.now()}); err != nil {
			return err
		}
		return things.AttachPrincipal(ctx, tx, arn.Default, thing, target, things.NonExclusive, r.now())
	})
}

func TestADeviceGoesFromClaimToFleet(t *testing.T) {
	r := newRig(t, Limits{})
	r.fleet("fleet", fleetBody, "", nil)
	claim, _ := r.claim("fleet", 0)
	for _, c := range []struct {
		name       string
		format     wire.Format
		version    mqtt.Version
		serverKeys bool
	}{
		{"JSON, MQTT 5, own key", wire.JSON, mqtt.V5, false},
		{"CBOR, MQTT 3.1.1, own key", wire.CBOR, mqtt.V311, false},
		{"CBOR, MQTT 5, key made by the server", wire.CBOR, mqtt.V5, true},
		{"JSON, MQTT 3.1.1, key made by the server", wire.JSON, mqtt.V311, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			serial := strings.NewReplacer(",", "", " ", "", ".", "").Replace(c.name)
			d := r.sim(claim, "fleet", serial, c.format, c.version)
			d.ServerKeys = c.serverKeys
			result, conn, err := d.Provision(context.Background())
			must(t, err)
			defer conn.Close()
			if result.Thing != "lock-"+serial || result.Configuration["site"] != "lab" {
				t.Errorf("got thing %q, configuration %v", result.Thing, result.Configuration)
			}
			must(t, conn.Publish("dt/"+serial, []byte("hello")))
			must(t, r.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
				cert, err := tx.Certificate(ctx, arn.Default, arn.CertID(result.CertificateID))
				must(t, err)
				if cert.Status != certs.Active {
					t.Errorf("certificate is %s", cert.Status)
				}
				links, _, err := tx.Rights(ctx, arn.Default, ref.ThingPrincipal, result.Thing, ref.All)
				if len(links) != 1 || links[0].Right != arn.Default.Cert(cert.ID) {
					t.Errorf("principals of the thing: %v", links)
				}
				return err
			}))
			r.journal.await(t, "of the provisioned device", func(a *attempts.Attempt) bool {
				return a.Outcome == attempts.Provisioned && a.Thing == result.Thing && a.Door == "claim"
			})
		})
	}
}

func TestRevocationCutsTheConnectionAndKeepsItOut(t *testing.T) {
	r := newRig(t, Limits{})
	cert, id := r.device("lock-1", devicePolicy)
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		conn, err := client.Dial(context.Background(), r.options(cert, "lock-1", v))
		must(t, err)
		r.setStatus(id, certs.Inactive)
		err = conn.Wait()
		var refused *client.Refused
		if v == mqtt.V5 && (!errors.As(err, &refused) || refused.Code != mqtt.AdministrativeAction) {
			t.Errorf("MQTT 5: got %v", err)
		}
		if v == mqtt.V311 && !errors.Is(err, client.ErrClosed) {
			t.Errorf("MQTT 3.1.1: got %v", err)
		}
		if _, err := client.Dial(context.Background(), r.options(cert, "lock-1", v)); err == nil {
			t.Error("came back with an INACTIVE certificate")
		}
		r.setStatus(id, certs.Active)
	}
}

// setStatus changes a certificate's status and waits until the gateway knows.
func (r *rig) setStatus(id arn.CertID, to certs.Status) {
	r.t.Helper()
	r.followed(event.CertificateStatus, string(id), func() { r.changeStatus(id, to) })
}

// followed does what emits an event, and waits until the gateway has followed
// it.
func (r *rig) followed(kind event.Kind, id string, do func()) {
	key := string(kind) + " " + id
	before := r.heard.count(key)
	for do(); r.heard.count(key) == before; {
		runtime.Gosched()
	}
}

func (r *rig) changeStatus(id arn.CertID, to certs.Status) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		c, err := tx.Certificate(ctx, arn.Default, id)
		if err != nil {
			return err
		}
		return certs.SetStatus(ctx, tx, c, to, r.now())
	})
}

func TestALostAnswerIsGivenAgain(t *testing.T) {
	r := newRig(t, Limits{})
	r.fleet("fleet", fleetBody, "factory", nil)
	claim, _ := r.claim("fleet", 0)
	conn, err := client.Dial(context.Background(), r.options(claim, "boot", mqtt.V5))
	must(t, err)
	defer conn.Close()
	create := wire.CreateKeysTopic(wire.JSON)
	jsonTopic, cborTopic := wire.RegisterTopic("fleet", wire.JSON), wire.RegisterTopic("fleet", wire.CBOR)
	must(t, conn.Subscribe(wire.Accepted(create), wire.Rejected(create), wire.Accepted(jsonTopic), wire.Rejected(jsonTopic), wire.Accepted(cborTopic), wire.Rejected(cborTopic)))
	got, err := conn.Request(create, wire.JSON, nil)
	must(t, err)
	created, err := wire.DecodeCreateAnswer(wire.JSON, got)
	must(t, err)
	req := wire.RegisterRequest{Token: created.Token, Parameters: map[string]string{"SerialNumber": "A1"}}
	first, err := conn.Request(jsonTopic, wire.JSON, req.Encode(wire.JSON))
	must(t, err)

	t.Run("in the same format and in the other", func(t *testing.T) {
		again, err := conn.Request(jsonTopic, wire.JSON, req.Encode(wire.JSON))
		must(t, err)
		if string(again) != string(first) {
			t.Errorf("got %s, then %s", first, again)
		}
		other, err := conn.Request(cborTopic, wire.CBOR, req.Encode(wire.CBOR))
		must(t, err)
		answer, err := wire.DecodeRegisterAnswer(wire.CBOR, other)
		must(t, err)
		if answer.ThingName != "lock-A1" {
			t.Errorf("got %+v", answer)
		}
	})
	t.Run("but not for other parameters", func(t *testing.T) {
		req.Parameters = map[string]string{"SerialNumber": "A2"}
		_, err := conn.Request(jsonTopic, wire.JSON, req.Encode(wire.JSON))
		wantRejection(t, err, 400, "InvalidCertificateOwnershipToken", "already used")
	})
	t.Run("nor after the token's hour", func(t *testing.T) {
		req.Parameters = map[string]string{"SerialNumber": "A1"}
		r.advance(time.Hour + time.Second)
		_, err := conn.Request(jsonTopic, wire.JSON, req.Encode(wire.JSON))
		wantRejection(t, err, 400, "InvalidCertificateOwnershipToken", "expired")
	})
}

func wantRejection(t testing.TB, err error, status int, code, text string) {
	t.Helper()
	var rej *client.Rejected
	if !errors.As(err, &rej) || rej.StatusCode != status || rej.ErrorCode != code || !strings.Contains(rej.ErrorMessage, text) {
		t.Errorf("got %v; want %d %s …%s…", err, status, code, text)
	}
}
