package gateway

import (
	"crypto/tls"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/tenants"
)

// handshakeHeaders ask for a WebSocket.
func handshakeHeaders(more ...string) []string {
	return append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: mqtt"}, more...)
}

// opens makes a cause of a request for a WebSocket, by a key of the role.
func opens(role tenants.Role, tenant func(*scene) arn.Tenant, headers ...string) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		x.signers.add(Caller{Tenant: tenant(x), KeyID: "AKIAONE", Role: role})
		p := x.ask(x.https, tls.Certificate{}, "GET", "/mqtt", "", handshakeHeaders(headers...)...)
		return p.local, p.String()
	}
}

func own(*scene) arn.Tenant       { return arn.Default }
func another(x *scene) arn.Tenant { return x.other }

// frames makes a cause of what is sent in a WebSocket that was opened.
func frames(bytes string) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		d := x.webSocket(x.https, mqtt.V5, Caller{Tenant: arn.Default, KeyID: "AKIATWO", Role: tenants.Operator})
		d.frame = nil
		d.hex(bytes)
		return d.local(), d.end()
	}
}

// deactivated is a device whose certificate was switched off.
func deactivated(x *scene) tls.Certificate {
	cert, id := x.device("", allowAll)
	x.setStatus(id, certs.Inactive)
	return cert
}

func narrow(x *scene) tls.Certificate {
	cert, _ := x.device("", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/a"},{"Sid":"OwnTopic","Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/${iot:ClientId}"}]}`)
	return cert
}

// directed makes a cause of a direct message to a device that is made ready.
func directed(query string, ready func(x *scene, name string)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		name := x.name()
		ready(x, name)
		return asks(withDevice, "POST", "/connections/"+name+"/messages?"+query, "{}")(x, v)
	}
}

// httpsSilent end when the time for a handshake is over.
var httpsSilent = []cause{
	{"MQTT without ALPN on the ALPN port", once, func(x *scene, v mqtt.Version) (string, string) {
		d, err := x.handshakeAt(x.alpn, tls.Certificate{})
		must(x.t, err)
		d.version = v
		d.connect("c")
		d.bytes([]byte("\r\n\r\n")) // what was read so far is no request yet
		drain(d.tcp)
		return d.local(), "socket closed"
	}},
	{"silence after the handshake on the HTTPS port", once, func(x *scene, _ mqtt.Version) (string, string) {
		d, err := x.handshakeAt(x.https, tls.Certificate{})
		must(x.t, err)
		drain(d.tcp)
		return d.local(), "socket closed"
	}},
}

var httpsCauses = []cause{
	{"bytes that are no request", once, func(x *scene, _ mqtt.Version) (string, string) {
		d, err := x.handshakeAt(x.https, tls.Certificate{})
		must(x.t, err)
		d.bytes([]byte("HELLO\r\n\r\n"))
		drain(d.tcp)
		return d.local(), "400, socket closed"
	}},
	{"neither certificate nor signature", once, asks(nobody, "POST", "/topics/a?qos=1", "{}")},
	{"a certificate that is not registered", once, asks(foreign, "POST", "/topics/a", "{}")},
	{"an INACTIVE certificate", once, asks(deactivated, "POST", "/topics/a?qos=1", "{}")},
	{"a topic that no statement allows", once, asks(narrow, "POST", "/topics/b?qos=1", "{}")},
	{"a statement about a client id, which HTTPS has not", once, asks(narrow, "POST", "/topics/lock-0?qos=1", "{}")},
	{"a retained message without iot:RetainPublish", once, asks(narrow, "POST", "/topics/a?retain=true", "{}")},
	{"a reserved topic", once, asks(withDevice, "POST", "/topics/$aws/events/presence/connected/c", "{}")},
	{"another method", once, asks(withDevice, "GET", "/topics/a", "")},
	{"a topic with wildcards", once, asks(withDevice, "POST", "/topics/a%2F%23", "{}")},
	{"a topic of 8 slashes", once, asks(withDevice, "POST", "/topics/1/2/3/4/5/6/7/8/9", "{}")},
	{"QoS 2", once, asks(withDevice, "POST", "/topics/a?qos=2", "{}")},
	{"a retain that is no word for it", once, asks(withDevice, "POST", "/topics/a?retain=yes", "{}")},
	{"an expiry that is no number", once, asks(withDevice, "POST", "/topics/a?messageExpiry=soon", "{}")},
	{"a response topic with wildcards", once, asks(withDevice, "POST", "/topics/a?responseTopic=b%2F%2B", "{}")},
	{"user properties that are no base64", once, asks(withDevice, "POST", "/topics/a", "{}", "x-amz-mqtt5-user-properties: [{}]")},
	{"user properties that are no list", once, asks(withDevice, "POST", "/topics/a", "{}", "x-amz-mqtt5-user-properties: e30=")},
	{"a user property that is no text", once, asks(withDevice, "POST", "/topics/a", "{}", "x-amz-mqtt5-user-properties: W3siYSI6MX1d")},
	{"correlation data that is no base64", once, asks(withDevice, "POST", "/topics/a", "{}", "x-amz-mqtt5-correlation-data: ???")},
	{"an unknown payload format", once, asks(withDevice, "POST", "/topics/a", "{}", "x-amz-mqtt5-payload-format-indicator: JSON")},
	{"a payload of 128 KB and a byte", once, asks(withDevice, "POST", "/topics/a", strings.Repeat("x", 131_073))},
	{"a compressed payload", once, asks(withDevice, "POST", "/topics/a", "x", "Content-Encoding: gzip")},

	{"a content type that is no text", once, asks(withDevice, "POST", "/topics/a?contentType=%00", "{}")},

	{"a direct message that no statement allows", once, asks(narrow, "POST", "/connections/lock-1/messages?topic=a", "{}")},
	{"a direct message to nobody", once, asks(withDevice, "POST", "/connections/nobody/messages?topic=a", "{}")},
	{"a direct message to a device that is away", once, directed("topic=a", func(x *scene, name string) { x.online(x.cert, name, mqtt.V5, lasts).leaves() })},
	{"a direct message that its receiver may not receive", once, directed("topic=a", func(x *scene, name string) { x.online(under(onlyConnect)(x), name, mqtt.V5) })},
	{"a direct message that is not confirmed", once, directed("topic=a&confirmation=true&timeout=1", func(x *scene, name string) { x.online(x.cert, name, mqtt.V5) })},
	{"a direct message to a device that has enough to acknowledge", once, directed("topic=a&confirmation=true", func(x *scene, name string) {
		d := x.online(x.cert, name, mqtt.V5, func(p *mqtt.Connect) { p.Properties.ReceiveMaximum = mqtt.Some(uint16(1)) })
		d.listen(name)
		x.connected(x.cert, mqtt.V5).says(name, nil)
	})},
	{"a direct message larger than the device takes", once, directed("topic="+strings.Repeat("t", 256)+"&contentType="+strings.Repeat("c", 256), func(x *scene, name string) {
		x.online(x.cert, name, mqtt.V5, func(p *mqtt.Connect) { p.Properties.MaximumPacketSize = mqtt.Some(uint32(minClientPacket)) })
	})},
	{"a direct message without a topic", once, asks(withDevice, "POST", "/connections/lock-1/messages", "{}")},
	{"a direct message on a reserved topic", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=%24aws%2Frules%2Fr%2Ft", "{}")},
	{"a direct message on a topic with wildcards", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=a%2F%23", "{}")},
	{"a direct message on a topic of 8 slashes", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=1/2/3/4/5/6/7/8/9", "{}")},
	{"a direct message to a client id that begins with $", once, asks(withDevice, "POST", "/connections/%24GEN%2Fx/messages?topic=a", "{}")},
	{"a direct message to a client id of 129 bytes", once, asks(withDevice, "POST", "/connections/"+strings.Repeat("c", 129)+"/messages?topic=a", "{}")},
	{"a confirmation that is no word for it", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=a&confirmation=yes", "{}")},
	{"a timeout of 16 seconds", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=a&confirmation=true&timeout=16", "{}")},
	{"a direct message of 128 KB and a byte", once, asks(withDevice, "POST", "/connections/lock-1/messages?topic=a", strings.Repeat("x", 131_073))},
	{"a direct message by another method", once, asks(withDevice, "PUT", "/connections/lock-1/messages?topic=a", "{}")},
	{"a direct message without certificate or signature", once, asks(nobody, "POST", "/connections/lock-1/messages?topic=a", "{}")},

	{"a WebSocket without a signature", once, asks(nobody, "GET", "/mqtt", "", handshakeHeaders()...)},
	{"a WebSocket with a certificate alone", once, asks(withDevice, "GET", "/mqtt", "", handshakeHeaders()...)},
	{"a WebSocket by an unknown key", once, asks(nobody, "GET", "/mqtt?X-Amz-Credential=AKIANONE&X-Amz-Signature=0", "", handshakeHeaders()...)},
	{"a WebSocket by a key of role auditor", once, opens(tenants.Auditor, own, "Authorization: AWS4-TEST AKIAONE")},
	{"a WebSocket at another account's host", once, opens(tenants.Admin, another, "Authorization: AWS4-TEST AKIAONE")},
	{"a WebSocket of another subprotocol", once, asks(nobody, "GET", "/mqtt", "", append(handshakeHeaders()[:4], "Sec-WebSocket-Protocol: wamp")...)},
	{"no WebSocket at /mqtt", once, asks(withDevice, "GET", "/mqtt", "")},
	{"a WebSocket that says something else than CONNECT", once, frames("8282 00000000 c000")},
	{"a WebSocket of text", once, frames("8182 00000000 c000")},
	{"a WebSocket of frames without a mask", once, frames("8202 c000")},
	{"a WebSocket that is closed before CONNECT", once, frames("8882 00000000 03e8")},
}
