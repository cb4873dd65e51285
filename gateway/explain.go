package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
)

// greeting is the line of the timeline for a handshake that succeeded.
func greeting(st tls.ConnectionState, id arn.CertID) string {
	name := st.ServerName
	if name == "" {
		name = "none"
	}
	if len(st.PeerCertificates) == 0 {
		return fmt.Sprintf("%s, server name %s, no client certificate.", tls.VersionName(st.Version), name)
	}
	return fmt.Sprintf("%s, server name %s, certificate %s (%s).", tls.VersionName(st.Version), name, id, arn.Clip(st.PeerCertificates[0].Subject.String(), 120))
}

// explainHandshake turns a failed handshake into a cause, a short fixed word,
// and a sentence that says what it usually means.
func explainHandshake(h *hello, err error, known []string) (cause, text string) {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !h.heard:
		return "silent", "The connection said nothing until the handshake's time was over: no TLS ClientHello arrived."
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "slow", "The TLS handshake was begun and not finished in time."
	case h.refused != "":
		return "domain", h.refused
	case h.seen && h.name != "" && strings.Contains(err.Error(), "no certificates configured"):
		return "sni", fmt.Sprintf("The device asked for server name %s (SNI), which is no endpoint of this server. It must connect to one of: %s.", quoted(h.name), knownNames(known))
	case strings.Contains(err.Error(), "client didn't provide a certificate"):
		return "no-certificate", "The device sent no client certificate. It must present its claim or device certificate with the private key."
	case strings.Contains(err.Error(), "no application protocol"), strings.Contains(err.Error(), "unsupported application protocols"):
		return "alpn", refusedALPN(h.protocols)
	case h.domain != nil && (strings.Contains(err.Error(), "unsupported versions") || strings.Contains(err.Error(), "no cipher suite")):
		return "tls-policy", outsidePolicy(h)
	case strings.Contains(err.Error(), "unsupported versions"):
		return "version", "The device speaks only TLS versions before 1.2; this server needs TLS 1.2 or 1.3."
	case strings.Contains(err.Error(), "no cipher suite"):
		return "cipher", fmt.Sprintf("Device and server share no cipher suite. The server takes TLS 1.3, and ECDHE with AES-GCM, ChaCha20-Poly1305 or AES-CBC-SHA of TLS 1.2; the device offered %s.", suiteNames(h.suites))
	case strings.Contains(err.Error(), "invalid signature by the client certificate"):
		return "key", "The device's signature does not fit its certificate: the private key it uses belongs to another certificate."
	case errors.As(err, &alert) || strings.HasPrefix(err.Error(), "remote error"):
		return "alert", explainAlert(err.Error()) + h.dates()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isReset(err):
		if h.heard {
			return "broken-off", "The device closed the connection in the middle of the TLS handshake. Often it does not trust the server's certificate: does it hold this server's root-ca.pem?"
		}
		return "broken-off", "The connection was closed before a TLS ClientHello arrived."
	case errors.As(err, &record):
		return "not-tls", notTLS(record.RecordHeader)
	}
	return "handshake", "The TLS handshake failed: " + arn.Clip(strings.TrimPrefix(err.Error(), "tls: "), 200) + "."
}

// outsidePolicy explains a handshake that a domain configuration's TLS policy
// refused.
func outsidePolicy(h *hello) string {
	bounds := versions[h.domain.TLSPolicy]
	needs := tls.VersionName(bounds[0])
	if bounds[0] != bounds[1] {
		needs += " to " + tls.VersionName(bounds[1])
	}
	offered := make([]string, len(h.versions))
	for i, v := range h.versions {
		offered[i] = tls.VersionName(v)
	}
	return fmt.Sprintf("Domain configuration %s has the TLS policy %s, which needs %s; the device offered %s, with %s. UpdateDomainConfiguration can choose another policy.",
		h.domain.Name, h.domain.TLSPolicy, needs, strings.Join(offered, ", "), suiteNames(h.suites))
}

// notTLS says what the first five bytes look like that begin no TLS record.
func notTLS(first [5]byte) string {
	method, _, _ := strings.Cut(string(first[:]), " ")
	switch {
	case first[0] == 0x10:
		return "What arrived is MQTT without TLS: a CONNECT in the clear. Let the device use TLS (mqtts, ssl or tls in its settings) with its certificate; nothing is served without."
	case slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELET", "OPTIO", "CONNE"}, method):
		return "What arrived is HTTP without TLS. This port is for devices, over TLS; the control API, the console and the metrics have a port of their own."
	}
	return "What arrived is not TLS. Devices must use MQTT over TLS on this port."
}

// suiteNames lists the first few of the cipher suites that a device offered.
func suiteNames(ids []uint16) string {
	var names []string
	for i, id := range ids {
		if i == 5 {
			names = append(names, fmt.Sprintf("and %d more", len(ids)-i))
			break
		}
		names = append(names, strings.TrimPrefix(tls.CipherSuiteName(id), "TLS_"))
	}
	return strings.Join(names, ", ")
}

// knownNames lists the first few endpoints that a server name can name:
// addresses are none (RFC 6066, section 3).
func knownNames(known []string) string {
	known = slices.DeleteFunc(slices.Clone(known), func(name string) bool { return net.ParseIP(name) != nil })
	if len(known) > 5 {
		known = append(known[:5:5], fmt.Sprintf("and %d more", len(known)-5))
	}
	return strings.Join(known, ", ")
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// explainAlert says what a device's TLS alert usually means.
func explainAlert(text string) string {
	meaning := "The device ended the handshake."
	switch {
	case strings.Contains(text, "unknown certificate authority"):
		meaning = "The device does not trust this server: it must hold this server's root-ca.pem as its root."
	case strings.Contains(text, "bad certificate"), strings.Contains(text, "unknown certificate"):
		meaning = "The device refused the server's certificate: its clock is outside the certificate's dates (after a power cut it may say 1970, and the certificate is not valid yet), it holds another root, or it connects under another name."
	case strings.Contains(text, "expired certificate"):
		meaning = "The device believes that the server's certificate has expired; usually the device's clock is wrong, such as 1970 after a power cut."
	case strings.Contains(text, "handshake failure"), strings.Contains(text, "protocol version"):
		meaning = "Device and server share no TLS version or cipher suite."
	}
	return fmt.Sprintf("The device sent a TLS alert (%s). %s", arn.Clip(strings.TrimPrefix(text, "remote error: "), 80), meaning)
}

// dates says when the certificate is valid that the device refused.
func (h *hello) dates() string {
	if h.shown == nil {
		return ""
	}
	return fmt.Sprintf(" The server's certificate is valid from %s to %s.", stamp(h.shown.NotBefore), stamp(h.shown.NotAfter))
}

func refusedALPN(offered []string) string {
	return fmt.Sprintf("The device offered ALPN %s, of which nothing is served on this port. MQTT with a certificate needs %s there, MQTT with a custom authorizer %s; HTTPS with a certificate %s, else %s.",
		arn.Clip(strings.Join(offered, ", "), 120), alpnMQTT, alpnCustom, alpnHTTPS, alpnHTTP)
}
