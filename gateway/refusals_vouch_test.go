package gateway

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
)

// doors makes the authorizers of the causes, once.
func (x *scene) doors() {
	x.t.Helper()
	if x.judge.says("good", "bearer7", lampPolicy); x.opened {
		return
	}
	x.opened = true
	x.authorizer("door", false)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(x.t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(x.t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	x.update(func(ctx context.Context, tx store.Tx) error {
		for _, a := range []*access.Authorizer{
			{Name: "asleep", FunctionARN: "judge", SigningDisabled: true},
			{Name: "signed", FunctionARN: "judge", Status: access.Active, TokenKeyName: "Token", Keys: map[string]string{"one": public}},
		} {
			if err := access.CreateAuthorizer(ctx, tx, arn.Default, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// vouched makes a cause of a CONNECT for which an authorizer must vouch.
func vouched(clientID, username, password string, change ...func(*tls.Config)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		d := x.custom(v, change...)
		d.connect(clientID, shows(username, password))
		return d.local(), d.end()
	}
}

// answering makes a cause of what the function answers.
func answering(answer string) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		x.judge.mu.Lock()
		x.judge.answers["answer"] = answer
		x.judge.mu.Unlock()
		return vouched("lamp-1", "?x-amz-customauthorizer-name=door", "answer")(x, v)
	}
}

// atDomain makes a cause of a connection by the name of a domain configuration.
func atDomain(authentication, protocol, policy string, act func(*scene, mqtt.Version) (string, string)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		x.configure(authentication, protocol, policy)
		return act(x, v)
	}
}

func by(name string, cert func(*scene) tls.Certificate, change ...func(*tls.Config)) func(*scene, mqtt.Version) (string, string) {
	return shakes(cert, false, append(change, named(name))...)
}

var vouchCauses = []cause{
	{"no certificate and no authorizer named, where the account has no default one", 0, vouched("lamp-1", "ada", "good")},
	{"an authorizer that is not there", 0, vouched("lamp-1", "ada?x-amz-customauthorizer-name=dor", "good")},
	{"an INACTIVE authorizer", 0, vouched("lamp-1", "ada?x-amz-customauthorizer-name=asleep", "good")},
	{"no server name for a custom authorizer", 0, vouched("lamp-1", "ada?x-amz-customauthorizer-name=door", "good", func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })},
	{"a signed token that is missing", 0, vouched("lamp-1", "?x-amz-customauthorizer-name=signed", "good")},
	{"a token without its signature", 0, vouched("lamp-1", "?x-amz-customauthorizer-name=signed&Token=t", "good")},
	{"a signature that does not fit", 0, vouched("lamp-1", "?x-amz-customauthorizer-name=signed&Token=t&x-amz-customauthorizer-signature=AAAA", "good")},
	{"a device that the function does not take", 0, vouched("lamp-1", "?x-amz-customauthorizer-name=door", "bad")},
	{"a function that answers no JSON", 0, answering(`<html>`)},
	{"a function that answers a principal with a dash", 0, answering(`{"isAuthenticated":true,"principalId":"ada-1","policyDocuments":[]}`)},
	{"a function that gives a minute", 0, answering(`{"isAuthenticated":true,"principalId":"ada","disconnectAfterInSeconds":60,"policyDocuments":[]}`)},
	{"a function whose policy is none", 0, answering(`{"isAuthenticated":true,"principalId":"ada","policyDocuments":[{"Statement":{"Effect":"Allow"}}]}`)},
	{"an authorizer's documents that do not allow the client id", 0, vouched("pump-1", "?x-amz-customauthorizer-name=door", "good")},
	{"an authorizer that is asked again and refuses", 0, func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		x.judge.times(time.Millisecond, 0)
		defer x.judge.times(0, 0)
		d := x.custom(v)
		d.connect("lamp-2", shows("?x-amz-customauthorizer-name=door", "good"))
		await[*mqtt.Connack](d)
		x.judge.forgets("good")
		return d.local(), d.end()
	}},
	{"a connection whose authorizer's time is over", 0, func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		x.judge.times(0, time.Millisecond)
		defer x.judge.times(0, 0)
		d := x.custom(v)
		d.connect("lamp-3", shows("?x-amz-customauthorizer-name=door", "good"))
		await[*mqtt.Connack](d)
		d.sees = nil
		end := d.end()
		return "", end // its attempt was no refusal
	}},
	{"another authorizer than the domain configuration's", 0, atDomain(access.Custom, access.SecureMQTT, access.TLS13From12,
		vouched("lamp-1", "?x-amz-customauthorizer-name=signed", "good", named(site)))},
	{"no certificate where a domain configuration wants one besides", once, atDomain(access.CustomX509, access.SecureMQTT, access.TLS13From12, by(site, nobody))},
	{"a domain configuration of another protocol", once, atDomain(access.X509, access.HTTPS, access.TLS13From12, by(site, withDevice))},
	{"a domain configuration for WebSocket, on the MQTT port", once, atDomain(access.Custom, access.WebSocket, access.TLS13From12, by(site, nobody))},
	{"TLS 1.2 where the policy wants 1.3", once, atDomain(access.ByDefault, access.ByDefault, access.TLS13, by(site, withDevice, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))},
	{"TLS 1.3 alone where the policy wants 1.2", once, atDomain(access.ByDefault, access.ByDefault, access.TLS12, by(site, withDevice, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }))},
	{"no server name, where the endpoint has a TLS policy", 0, func(x *scene, v mqtt.Version) (string, string) {
		set := func(d *access.Domain) {
			x.names.mu.Lock()
			defer x.names.mu.Unlock()
			x.names.standing = d
		}
		set(&access.Domain{Name: access.DataEndpoint, TLSPolicy: access.TLS13})
		defer set(nil)
		d := x.raw(x.cert, v, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })
		d.connect("c")
		return d.local(), d.end()
	}},
	{"HTTPS, and no authorizer named", once, func(x *scene, v mqtt.Version) (string, string) {
		x.doors()
		p := x.ask(x.alpn, tls.Certificate{}, "POST", "/topics/lamps/1", "on", "password: good")
		return p.local, p.String()
	}},
	{"HTTPS, and a domain configuration for WebSocket", once, atDomain(access.Custom, access.WebSocket, access.TLS13From12, func(x *scene, v mqtt.Version) (string, string) {
		p := x.visit(x.alpn, tls.Certificate{}, named(site))("POST", "/topics/lamps/1", "on", "password: good")
		return p.local, p.String()
	})},
	{"a DISABLED domain configuration", once, func(x *scene, v mqtt.Version) (string, string) {
		x.configure(access.ByDefault, access.ByDefault, access.TLS13From12)
		x.closeDomain()
		return by(site, withDevice)(x, v)
	}},
}
