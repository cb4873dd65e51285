package gateway

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/mqtt"
)

const (
	lampPolicy = `{"Version":"2012-10-17","Statement":[
	 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/lamp*"},
	 {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/lamps/*"},
	 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/lamps/*"}]}`
	bareConnect = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
)

// took says whether a message on the topic is accepted, on MQTT 5.
func (d *raw) took(topic string) bool {
	d.t.Helper()
	d.send(publish(topic, []byte("on")))
	return !await[*mqtt.Puback](d).Code.Failed()
}

func TestAnAuthorizerVouchesOverMQTT(t *testing.T) {
	x := newScene(t, Limits{})
	x.authorizer("door", false)
	x.judge.says("good", "bearer7", lampPolicy)
	const user = "ada?x-amz-customauthorizer-name=door&Token=t"
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			x.within(t)
			x.judge.questions()
			d := x.custom(v)
			if !d.admitted("lamp-1", user, "good") {
				t.Fatal("CONNECT was refused")
			}
			asked := x.judge.questions()
			if len(asked) != 1 {
				t.Fatalf("the function was asked %d times", len(asked))
			}
			for _, part := range []string{`"token":"t"`, `"signatureVerified":false`, `"protocols":["tls","mqtt"]`, `"tls":{"serverName":"localhost"}`,
				`"mqtt":{"username":"ada?x-amz-customauthorizer-name=door\u0026Token=t","password":"Z29vZA==","clientId":"lamp-1"}`} {
				if !strings.Contains(asked[0], part) {
					t.Errorf("it was asked without %s: %s", part, asked[0])
				}
			}
			if v == mqtt.V5 && (!d.took("lamps/1") || d.took("pumps/1")) {
				t.Error("its documents do not decide")
			}
		})
	}
	t.Run("its principal stands in lifecycle events", func(t *testing.T) {
		x.within(t)
		watcher := x.online(x.cert, "watcher", mqtt.V5)
		watcher.send(subscribe("$aws/events/presence/connected/lamp-2"))
		await[*mqtt.Suback](watcher)
		if !x.custom(mqtt.V5).admitted("lamp-2", user, "good") {
			t.Fatal("CONNECT was refused")
		}
		if got := told(watcher); !strings.Contains(got, `"principalIdentifier":"bearer7"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("its documents decide about CONNECT too", func(t *testing.T) {
		x.within(t)
		if x.custom(mqtt.V5).admitted("pump-1", user, "good") {
			t.Error("it was admitted under another client id")
		}
	})
	t.Run("a password that the function does not take is refused", func(t *testing.T) {
		x.within(t)
		if x.custom(mqtt.V5).admitted("lamp-1", user, "bad") {
			t.Error("it was admitted")
		}
	})
	t.Run("the port of certificates asks no authorizer", func(t *testing.T) {
		x.within(t)
		x.judge.questions()
		d := x.raw(x.cert, mqtt.V5)
		if !d.admitted("lamp-3", user, "bad") || len(x.judge.questions()) > 0 {
			t.Error("it did")
		}
	})
}

func TestAnAuthorizerVouchesOverWebSocket(t *testing.T) {
	x := newScene(t, Limits{})
	open := func(headers ...string) (*raw, *reply) {
		d, err := x.handshakeAt(x.alpn, tls.Certificate{})
		must(t, err)
		d.version = mqtt.V5
		in := bufio.NewReader(d.conn)
		d.bytes([]byte("GET /mqtt?a=b HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(handshakeHeaders(headers...), "\r\n") + "\r\n\r\n"))
		p := readReply(t, in, d)
		d.frame = func(b []byte) []byte { return clientFrame(0x82, b) }
		d.r = mqtt.NewReader(&unframed{in: in, d: d}, 1<<20)
		return d, p
	}
	t.Run("without an authorizer in the account the upgrade is refused", func(t *testing.T) {
		if _, p := open(); p.status != http.StatusForbidden {
			t.Errorf("got %s", p)
		}
	})
	x.authorizer("door", false)
	x.judge.says("good", "bearer7", lampPolicy)
	t.Run("named in a header, which the function sees", func(t *testing.T) {
		d, p := open("X-Amz-CustomAuthorizer-Name: door", "password: good")
		if p.status != http.StatusSwitchingProtocols {
			t.Fatalf("got %s", p)
		}
		if d.connect("lamp-1"); !d.accepted() || !d.took("lamps/1") {
			t.Error("it was refused")
		}
		asked := x.judge.questions()
		for _, part := range []string{`"protocols":["tls","http","mqtt"]`, `"queryString":"?a=b"`, `"x-amz-customauthorizer-name":"door"`, `"clientId":"lamp-1"`} {
			if !strings.Contains(asked[0], part) {
				t.Errorf("it was asked without %s: %s", part, asked[0])
			}
		}
	})
	t.Run("named in the user name, as the AWS SDKs do", func(t *testing.T) {
		d, _ := open()
		if !d.admitted("lamp-2", "?x-amz-customauthorizer-name=door", "good") {
			t.Error("it was refused")
		}
	})
	t.Run("refused at CONNECT", func(t *testing.T) {
		d, _ := open()
		if d.admitted("lamp-2", "?x-amz-customauthorizer-name=door", "bad") {
			t.Error("it was admitted")
		}
	})
}

func TestAnAuthorizerVouchesOverHTTPS(t *testing.T) {
	x := newScene(t, Limits{})
	x.authorizer("door", false)
	x.authorizer("keeper", true)
	x.judge.says("good", "bearer7", lampPolicy)
	t.Run("named in a header or in the query", func(t *testing.T) {
		x.within(t)
		send := x.visit(x.alpn, tls.Certificate{})
		for _, p := range []*reply{
			send("POST", "/topics/lamps/1?qos=1", "on", "x-amz-customauthorizer-name: door", "password: good"),
			send("POST", "/topics/lamps/1?qos=1&x-amz-customauthorizer-name=door", "on", "password: good"),
		} {
			if p.status != http.StatusOK {
				t.Errorf("got %s", p)
			}
		}
		if n := len(x.judge.questions()); n != 2 {
			t.Errorf("the function was asked %d times", n)
		}
		if p := send("POST", "/topics/pumps/1", "on", "x-amz-customauthorizer-name: door", "password: good"); p.status != http.StatusForbidden {
			t.Errorf("against its documents: %s", p)
		}
		if p := send("POST", "/topics/lamps/1", "on", "x-amz-customauthorizer-name: door", "password: bad"); p.status != http.StatusForbidden {
			t.Errorf("unauthenticated: %s", p)
		}
	})
	t.Run("kept for a connection where enableCachingForHttp is set, and for what is shown alike", func(t *testing.T) {
		x.within(t)
		x.judge.questions()
		send := x.visit(x.alpn, tls.Certificate{})
		for _, body := range []string{"1", "22", "333"} {
			if p := send("POST", "/topics/lamps/1", body, "x-amz-customauthorizer-name: keeper", "password: good"); p.status != http.StatusOK {
				t.Errorf("got %s", p)
			}
		}
		if n := len(x.judge.questions()); n != 1 {
			t.Errorf("the function was asked %d times", n)
		}
		if p := send("POST", "/topics/lamps/1", "1", "x-amz-customauthorizer-name: keeper", "password: bad"); p.status != http.StatusForbidden {
			t.Errorf("another's request passed: %s", p)
		}
	})
	t.Run("not on the port of certificates", func(t *testing.T) {
		x.within(t)
		if p := x.ask(x.https, tls.Certificate{}, "POST", "/topics/lamps/1", "on", "x-amz-customauthorizer-name: door", "password: good"); p.status != http.StatusForbidden {
			t.Errorf("got %s", p)
		}
	})
}

func TestWhatAnAuthorizerSaysEnds(t *testing.T) {
	x := newScene(t, Limits{})
	x.authorizer("door", false)
	const user = "?x-amz-customauthorizer-name=door"
	watch := func(id string) *raw {
		w := x.online(x.cert, x.name(), mqtt.V5)
		w.send(subscribe("$aws/events/presence/disconnected/" + id))
		await[*mqtt.Suback](w)
		return w
	}
	t.Run("with the time it gives the connection", func(t *testing.T) {
		x.within(t)
		w := watch("lamp-1")
		x.judge.says("good", "bearer7", lampPolicy)
		x.judge.times(0, time.Millisecond)
		d := x.custom(mqtt.V5)
		if !d.admitted("lamp-1", user, "good") {
			t.Fatal("CONNECT was refused")
		}
		if got := d.end(); !strings.Contains(got, "authorizer door gave it until") {
			t.Errorf("it saw %s", got)
		}
		if got := told(w); !strings.Contains(got, `"disconnectReason":"CUSTOMAUTH_TTL_EXPIRATION"`) {
			t.Errorf("the event says %s", got)
		}
	})
	t.Run("when it is asked again and says other policies", func(t *testing.T) {
		x.within(t)
		x.judge.says("good", "bearer7", lampPolicy)
		x.judge.times(time.Millisecond, 0)
		d := x.custom(mqtt.V5)
		if !d.admitted("lamp-2", user, "good") || !d.took("lamps/1") {
			t.Fatal("it was refused")
		}
		x.judge.says("good", "bearer7", bareConnect)
		for end := time.Now().Add(patience); d.took("lamps/1"); {
			if time.Now().After(end) {
				t.Fatal("the new policies never came")
			}
		}
	})
	t.Run("when it is asked again and refuses", func(t *testing.T) {
		x.within(t)
		w := watch("lamp-3")
		x.judge.says("good", "bearer7", lampPolicy)
		x.judge.times(time.Millisecond, 0)
		d := x.custom(mqtt.V5)
		if !d.admitted("lamp-3", user, "good") {
			t.Fatal("CONNECT was refused")
		}
		x.judge.forgets("good")
		if got := d.end(); !strings.Contains(got, "does not vouch for principal bearer7 any more") {
			t.Errorf("it saw %s", got)
		}
		if got := told(w); !strings.Contains(got, `"disconnectReason":"AUTH_ERROR"`) {
			t.Errorf("the event says %s", got)
		}
	})
}

func TestCertificateAndAuthorizerTogether(t *testing.T) {
	x := newScene(t, Limits{})
	x.authorizer("door", false)
	x.judge.says("good", "bearer7", lampPolicy)
	x.configure(access.CustomX509, access.SecureMQTT, access.TLS13From12)
	connect := func(cert tls.Certificate, password string) bool {
		d := x.raw(cert, mqtt.V5, named(site))
		return d.admitted("lamp-1", "", password)
	}
	x.judge.questions()
	if !connect(x.cert, "good") {
		t.Error("it was refused with both")
	}
	if asked := x.judge.questions(); len(asked) != 1 || !strings.Contains(asked[0], `"x509CertificatePem":"-----BEGIN CERTIFICATE`) {
		t.Errorf("the function did not see the certificate: %v", asked)
	}
	if connect(x.cert, "bad") {
		t.Error("it was admitted by its certificate alone")
	}
	x.judge.questions()
	if connect(deactivated(x), "good") || len(x.judge.questions()) > 0 {
		t.Error("the function was asked about a certificate that is not accepted")
	}
	if _, err := x.handshake(tls.Certificate{}, named(site)); err == nil {
		if x.custom(mqtt.V5, named(site), alpn()).admitted("lamp-1", "", "good") {
			t.Error("it was admitted without a certificate")
		}
	}
	t.Run("over HTTPS too", func(t *testing.T) {
		x.within(t)
		x.configure(access.CustomX509, access.HTTPS, access.TLS13From12)
		publish := func(password string) int {
			return x.visit(x.https, x.cert, named(site))("POST", "/topics/lamps/1", "on", "password: "+password).status
		}
		if got := []int{publish("good"), publish("bad")}; !slices.Equal(got, []int{http.StatusOK, http.StatusForbidden}) {
			t.Errorf("got %v", got)
		}
	})
}
