package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/gorilla/websocket"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// A knock asks for a WebSocket.
type knock struct {
	id, secret, token string
	region            string
	at                time.Time
	inHeaders         bool // signed there, and not in the URL
}

// open gives the status and the message of the answer to an upgrade, and what
// CONNACK says if there is one.
func (s *site) open(k knock) (status int, message string, connack mqtt.ReasonCode) {
	s.t.Helper()
	target := "https://" + s.Endpoints().HTTPS + "/mqtt"
	req, err := http.NewRequest(http.MethodGet, target, nil)
	must(s.t, err)
	creds := aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}
	empty := sha256.Sum256(nil)
	sum, header := hex.EncodeToString(empty[:]), http.Header{}
	if k.inHeaders {
		creds.SessionToken = k.token
		must(s.t, v4.NewSigner().SignHTTP(context.Background(), creds, req, sum, "iotdevicegateway", k.region, k.at))
		header = req.Header
	} else {
		target, _, err = v4.NewSigner().PresignHTTP(context.Background(), creds, req, sum, "iotdevicegateway", k.region, k.at)
		must(s.t, err)
		if k.token != "" {
			target += "&X-Amz-Security-Token=" + url.QueryEscape(k.token)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.ServerRoot())
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: &tls.Config{RootCAs: roots}}
	conn, answer, err := dialer.Dial(strings.Replace(target, "https", "wss", 1), header)
	if err != nil {
		if answer == nil {
			s.t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		var said struct{ Message string }
		_ = json.Unmarshal(text, &said)
		return answer.StatusCode, said.Message, 0
	}
	defer conn.Close()
	packet, err := mqtt.Append(nil, &mqtt.Connect{Version: mqtt.V5, ClientID: "web", CleanStart: true, KeepAlive: 60}, mqtt.V5)
	must(s.t, err)
	must(s.t, conn.WriteMessage(websocket.BinaryMessage, packet))
	_, r, err := conn.NextReader()
	must(s.t, err)
	p, err := mqtt.NewReader(r, 0).Next(mqtt.V5)
	must(s.t, err)
	return answer.StatusCode, "", p.(*mqtt.Connack).Code
}

func TestSignaturesOpenWebSockets(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.HTTPS = "127.0.0.1:0" })
	operator, auditor := s.as(arn.Default.Account, tenants.Operator), s.as(arn.Default.Account, tenants.Auditor)
	revoked := s.as(arn.Default.Account, tenants.Admin)
	s.update(func(ctx context.Context, tx store.Tx) error {
		return tenants.DisableAccessKey(ctx, tx, revoked.AccessKeyID, time.Now())
	})
	short, err := tenants.NewSession(s.seal, arn.Default.Account, tenants.Operator, "a station", rand.Reader, time.Now(), time.Hour)
	must(t, err)
	over, err := tenants.NewSession(s.seal, arn.Default.Account, tenants.Operator, "a station", rand.Reader, time.Now().Add(-time.Hour), time.Minute)
	must(t, err)
	here := arn.Default.Region
	for _, c := range []struct {
		sentence string
		knock    knock
		status   int
		says     string
	}{
		{"a presigned URL is let in", knock{id: operator.AccessKeyID, secret: operator.Secret, region: here}, 101, ""},
		{"a request signed in its headers is let in", knock{id: operator.AccessKeyID, secret: operator.Secret, region: here, inHeaders: true}, 101, ""},
		{"a short-lived credential is let in, its token appended after signing", knock{id: short.ID, secret: short.Secret, token: short.Token, region: here}, 101, ""},
		{"a short-lived credential is let in, by headers", knock{id: short.ID, secret: short.Secret, token: short.Token, region: here, inHeaders: true}, 101, ""},
		{"a token of another key is not", knock{id: operator.AccessKeyID, secret: operator.Secret, token: short.Token, region: here}, 403, "The security token of access key " + operator.AccessKeyID + " is not one of this server."},
		{"a token whose time is over is not", knock{id: over.ID, secret: over.Secret, token: over.Token, region: here}, 403, "expired at"},
		{"a wrong secret is not", knock{id: operator.AccessKeyID, secret: auditor.Secret, region: here}, 403, "The signature does not match"},
		{"a URL that was signed an hour ago is not", knock{id: operator.AccessKeyID, secret: operator.Secret, region: here, at: time.Now().Add(-time.Hour)}, 403, "The URL expired: it was signed 60 minutes ago"},
		{"a key that nobody knows is not", knock{id: "AKIANOBODY00", secret: operator.Secret, region: here}, 403, "The access key AKIANOBODY00 is not known here."},
		{"a key that was revoked is not", knock{id: revoked.AccessKeyID, secret: revoked.Secret, region: here}, 403, "was revoked"},
		{"a key whose role is for other work is not", knock{id: auditor.AccessKeyID, secret: auditor.Secret, region: here}, 403, "has the role auditor; only a key of role admin or operator may connect"},
		{"a region in which the account is not is not", knock{id: operator.AccessKeyID, secret: operator.Secret, region: "eu-west-1"}, 403, "does not exist in region eu-west-1"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if c.knock.at.IsZero() {
				c.knock.at = time.Now()
			}
			status, message, connack := s.open(c.knock)
			if status != c.status || !strings.Contains(message, c.says) || connack != mqtt.Success {
				t.Errorf("got %d %q, CONNACK %v; want %d %q", status, message, connack, c.status, c.says)
			}
		})
	}
	t.Run("and who was refused finds out why, by address or key", func(t *testing.T) {
		s.journal.Flush(t.Context())
		for what, want := range map[string]string{"127.0.0.1": "The signature does not match", auditor.AccessKeyID: "has the role auditor"} {
			var found struct{ Attempts []struct{ Reason string } }
			must(t, s.admin().Do(t.Context(), http.MethodGet, "/slipway/attempts", url.Values{"what": {what}}, nil, nil, &found))
			if said := fmt.Sprint(found); !strings.Contains(said, want) {
				t.Errorf("the attempts of %s say %s, not %q", what, said, want)
			}
		}
	})
}
