package clients

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/server"
)

// mosquitto's clients send whatever stands in the file that --cert names: the
// device's own issuer, or anybody's certificate.
func TestIdentityIsTheFirstCertificateOnly(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	mine, _ := s.device("mine")
	other, _ := s.device("other")
	for sentence, behind := range map[string][][]byte{
		"its issuer":                 issuers(t, s),
		"another device's":           other.Certificate,
		"a claim's, and its issuer":  append(s.claim().Certificate, issuers(t, s)...),
		"bytes that are the leaf's":  mine.Certificate,
		"a server's, from this host": serverChain(t, s, mine),
	} {
		t.Run("behind the leaf "+sentence, func(t *testing.T) {
			shown := mine
			shown.Certificate = append(append([][]byte{}, mine.Certificate...), behind...)
			// The policy lets a device connect under its thing's name alone.
			s.enter(t, s.config(shown), &mqtt.Connect{Version: mqtt.V5, ClientID: "mine", CleanStart: true}).hearsNothing()
			if l := s.dial(t, s.config(shown), &mqtt.Connect{Version: mqtt.V5, ClientID: "other", CleanStart: true}); l.ack.Code != mqtt.NotAuthorized {
				t.Errorf("it came in as another device: %s", l.ack.Code)
			}
		})
	}
}

// issuers reads the certificates of the device hierarchy.
func issuers(t *testing.T, s *site) (chain [][]byte) {
	t.Helper()
	files := must(filepath.Glob(filepath.Join(filepath.Dir(s.e.RootCA), "ca", "device", "*.pem")))(t)
	for _, file := range files {
		block, _ := pem.Decode(must(os.ReadFile(file))(t))
		if block != nil && block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	if len(chain) == 0 {
		t.Fatal("the device hierarchy has no certificates")
	}
	return chain
}

// serverChain is what the server shows of itself.
func serverChain(t *testing.T, s *site, identity tls.Certificate) (chain [][]byte) {
	t.Helper()
	conn := must(tls.Dial("tcp", s.e.MQTT, s.config(identity)))(t)
	defer conn.Close()
	for _, c := range conn.ConnectionState().PeerCertificates {
		chain = append(chain, c.Raw)
	}
	return chain
}

// mosquitto_rr takes one message at a time, names a response topic and gives
// correlation data. Requests to the reserved topics have no use for these.
func TestMosquittoRRsWindowOfOne(t *testing.T) {
	s := start(t, server.Config{Pool: 2})
	s.fleet("fleet")
	connect := &mqtt.Connect{Version: mqtt.V5, ClientID: "rr", CleanStart: true, KeepAlive: 60}
	connect.Properties.ReceiveMaximum = mqtt.Some[uint16](1)
	l := s.enter(t, s.config(s.claim()), connect)
	topic := "$aws/certificates/create/json"
	l.subscribe(topic + "/accepted")
	s.awaitKeys(2)
	ask := func() {
		p := &mqtt.Publish{Topic: topic, Payload: []byte("{}")}
		p.Properties.ResponseTopic = mqtt.Some(topic + "/accepted")
		p.Properties.CorrelationData = []byte{1, 2, 3}
		l.publish(p)
	}
	ask()
	first := await[*mqtt.Publish](l) // and no PUBACK yet
	ask()
	l.hearsNothing()
	l.took(first)
	second := l.took(await[*mqtt.Publish](l))
	a, b := object(t, first, topic+"/accepted"), object(t, second, topic+"/accepted")
	if a["certificateId"] == b["certificateId"] {
		t.Error("the same certificate came twice")
	}
}
