package gateway

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/slipway-iot/slipway/access"
)

// What is spoken on one port, by ALPN (device-gateway.md, section 1). A client
// that offers none speaks HTTP.
const (
	alpnMQTT   = "x-amzn-mqtt-ca" // with a client certificate
	alpnCustom = "mqtt"           // with a custom authorizer
	alpnHTTPS  = "x-amzn-http-ca" // HTTP with a client certificate
	alpnHTTP   = "http/1.1"       // signed, or with a custom authorizer
)

// An entry is one way in: how the handshake goes, what is spoken after it, and
// what proves who the device is.
type entry struct {
	tls  *tls.Config
	mqtt bool // else HTTP
	asks bool // without a signature, an authorizer must vouch for the device
}

// entries gives the ways in at a port, by what a client offers by ALPN. They
// check no chain: identity is the leaf's fingerprint, and its status is in the
// store (DESIGN.md, decision 6). On the plain port there is no ALPN list, since
// the JavaScript SDK offers x-amzn-mqtt-ca there too, and a list without a match
// aborts.
func (g *Gateway) entries(mode Mode) func(offered []string) *entry {
	switch mode {
	case HTTPS: // asked for and not required: SigV4 and device codes share the port
		only := &entry{tls: g.shows(tls.RequestClientCert, alpnHTTP, alpnHTTPS)}
		return func([]string) *entry { return only }
	case ByALPN:
		mqtt := &entry{tls: g.shows(tls.RequireAnyClientCert, alpnMQTT), mqtt: true}
		https := &entry{tls: g.shows(tls.RequireAnyClientCert, alpnHTTPS)}
		custom := &entry{tls: g.shows(tls.NoClientCert, alpnCustom), mqtt: true, asks: true}
		http := &entry{tls: g.shows(tls.NoClientCert, alpnHTTP), asks: true}
		return func(offered []string) *entry {
			switch {
			case slices.Contains(offered, alpnMQTT):
				return mqtt
			case slices.Contains(offered, alpnHTTPS):
				return https
			case slices.Contains(offered, alpnCustom):
				return custom
			}
			return http
		}
	}
	only := &entry{tls: g.shows(tls.RequireAnyClientCert), mqtt: true}
	return func([]string) *entry { return only }
}

// shows is how the server presents itself, and what it wants to be shown.
func (g *Gateway) shows(auth tls.ClientAuthType, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: auth, NextProtos: protocols, SessionTicketsDisabled: true,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := g.Names.Certificate(h.ServerName)
			if hello, ok := h.Context().Value(helloKey{}).(*hello); ok && err == nil {
				hello.shown = c.Leaf
			}
			return c, err
		},
	}
}

// under is an entry as a domain configuration wants it (device-gateway.md,
// section 1.1), or says why the configuration lets nobody in here.
func (g *Gateway) under(d *access.Domain, mode Mode, e *entry) (*entry, string) {
	if why := closed(d); why != "" {
		return nil, why
	}
	own := *e
	if d.Authentication != access.ByDefault {
		own = entry{mqtt: d.Protocol == access.SecureMQTT, asks: d.Authentication == access.Custom || d.Authentication == access.CustomX509}
		if why := misplaced(d, mode); why != "" {
			return nil, why
		}
		auth := tls.NoClientCert
		if d.Authentication == access.X509 || d.Authentication == access.CustomX509 {
			auth = tls.RequireAnyClientCert
		}
		own.tls = g.shows(auth) // the name decides, and no ALPN
	}
	own.tls = limited(own.tls, d.TLSPolicy)
	return &own, ""
}

// closed says why nobody comes in by a configuration's name.
func closed(d *access.Domain) string {
	switch {
	case d.Status != access.Enabled:
		return fmt.Sprintf("The server name (SNI) belongs to domain configuration %s, which is %s. UpdateDomainConfiguration can enable it.", d.Name, d.Status)
	case d.Service != access.Data:
		return fmt.Sprintf("The server name (SNI) belongs to domain configuration %s, which is for the service %s; only DATA is served.", d.Name, d.Service)
	}
	return ""
}

// misplaced says why a configuration's protocol is not spoken on a port.
func misplaced(d *access.Domain, mode Mode) string {
	ports := ""
	switch {
	case d.Protocol == access.SecureMQTT && mode == HTTPS:
		ports = "the MQTT port, or the one shared by ALPN"
	case d.Protocol == access.HTTPS && mode == Plain:
		ports = "the HTTPS port, or the one shared by ALPN"
	case d.Protocol == access.WebSocket && mode != ByALPN:
		ports = "the port shared by ALPN"
	default:
		return ""
	}
	return fmt.Sprintf("Domain configuration %s serves %s, which is spoken on %s, and not here.", d.Name, d.Protocol, ports)
}

// versions are the TLS versions of AWS's policies (device-gateway.md, section
// 2.1).
var versions = map[string][2]uint16{
	access.TLS13From12: {tls.VersionTLS12, tls.VersionTLS13},
	access.TLS13FIPS:   {tls.VersionTLS12, tls.VersionTLS13},
	access.TLS13:       {tls.VersionTLS13, tls.VersionTLS13},
	access.TLS12:       {tls.VersionTLS12, tls.VersionTLS12},
	access.TLS12From10: {tls.VersionTLS10, tls.VersionTLS12},
	access.TLS12Old:    {tls.VersionTLS10, tls.VersionTLS12},
}

// limited is a configuration within a TLS policy. The suites are those that Go
// has of the ones AWS lists with TLS 1.2; those of TLS 1.3 are fixed.
func limited(c *tls.Config, policy string) *tls.Config {
	if policy == access.TLS13From12 {
		return c
	}
	c = c.Clone()
	bounds := versions[policy]
	c.MinVersion, c.MaxVersion = bounds[0], bounds[1]
	c.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	}
	return c
}
