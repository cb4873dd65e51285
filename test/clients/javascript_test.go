package clients

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/server"
)

// quoted is a text as JSON has it.
func quoted(text string) string {
	b, _ := json.Marshal(text) // a string always has a form
	return string(b)
}

// The SDK itself runs in test/interop (js.sh). What is here are the facts on
// which a run says nothing when they hold by chance.
func TestTheJavaScriptSDKsHandshake(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	claim := s.claim()
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(fmt.Sprintf("%s, ALPN on the plain port, TLS 1.3 with ML-KEM and nothing else, a keep-alive of twenty minutes", version), func(t *testing.T) {
			config := s.config(claim)
			config.MinVersion, config.CurvePreferences = tls.VersionTLS13, []tls.CurveID{tls.X25519MLKEM768}
			config.NextProtos = []string{"x-amzn-mqtt-ca"}
			l := s.enter(t, config, &mqtt.Connect{
				Version: version, ClientID: "js", CleanStart: true, KeepAlive: 1200,
				Username: mqtt.Some("?SDK=NodeJSv2&Version=1.28.0"),
			})
			if state := l.conn.ConnectionState(); state.CurveID != tls.X25519MLKEM768 || state.Version != tls.VersionTLS13 {
				t.Errorf("got %s, version 0x%x", state.CurveID, state.Version)
			}
			if l.ack.Properties.ServerKeepAlive.IsSet() {
				t.Errorf("the keep-alive became %d", l.ack.Properties.ServerKeepAlive.Or(0))
			}
			l.hearsNothing()
		})
	}
}

func TestTheJavaScriptSDKsPayloads(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	claim := s.claim()
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			serial := fmt.Sprintf("js-%d", version)
			l := s.enter(t, s.config(claim), &mqtt.Connect{Version: version, ClientID: serial, CleanStart: true, KeepAlive: 1200})
			for _, topic := range []string{"$aws/certificates/create/json", "$aws/certificates/create-from-csr/json", "$aws/provisioning-templates/fleet/provision/json"} {
				l.subscribe(topic+"/accepted", topic+"/rejected")
			}
			s.awaitKeys(1)
			made := object(t, l.ask("$aws/certificates/create/json", `{}`), "$aws/certificates/create/json/accepted")
			token := quoted(made["certificateOwnershipToken"].(string))

			t.Run("an error has a number and two texts", func(t *testing.T) {
				for topic, payload := range map[string]string{
					"$aws/certificates/create-from-csr/json":           `{"certificateSigningRequest":"none"}`,
					"$aws/provisioning-templates/fleet/provision/json": fmt.Sprintf(`{"certificateOwnershipToken":%s,"parameters":{}}`, token),
				} {
					refusal(t, object(t, l.ask(topic, payload), topic+"/rejected"))
				}
			})
			t.Run("a member templateName too many is ignored", func(t *testing.T) {
				topic := "$aws/provisioning-templates/fleet/provision/json"
				got := object(t, l.ask(topic, fmt.Sprintf(
					`{"templateName":"fleet","certificateOwnershipToken":%s,"parameters":{"SerialNumber":%q}}`, token, serial)), topic+"/accepted")
				if configuration, ok := got["deviceConfiguration"].(map[string]any); got["thingName"] != serial || !ok || len(configuration) != 0 {
					t.Errorf("got %v", got)
				}
				s.holds(serial, made["certificateId"].(string))
			})
			t.Run("a CSR needs no other member", func(t *testing.T) {
				topic := "$aws/certificates/create-from-csr/json"
				got := object(t, l.ask(topic, fmt.Sprintf(`{"certificateSigningRequest":%s}`,
					quoted(csr(t, newKey(t), pkix.Name{CommonName: "js"})))), topic+"/accepted")
				if len(got) != 3 || got["privateKey"] != nil {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

// object reads an answer, which has to be on this topic and to carry nothing
// that belongs to another protocol: no response topic, no correlation data.
func object(t *testing.T, m *mqtt.Publish, topic string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(m.Payload, &v); err != nil || m.Topic != topic || m.Retain {
		t.Fatalf("%s: %s (%v)", m.Topic, m.Payload, err)
	}
	if m.Properties.ResponseTopic.IsSet() || m.Properties.CorrelationData != nil {
		t.Errorf("the answer has properties: %+v", m.Properties)
	}
	return v
}

func refusal(t *testing.T, got map[string]any) {
	t.Helper()
	status, isNumber := got["statusCode"].(float64)
	code, isText := got["errorCode"].(string)
	said, isToo := got["errorMessage"].(string)
	if !isNumber || !isText || !isToo || status != 400 || code == "" || said == "" || len(got) != 3 {
		t.Errorf("got %v", got)
	}
}
