// Package server puts the parts together: it is the one place that knows them
// all. New checks the whole configuration and opens what must be there; Run
// serves until its context ends, and what was opened last is closed first.
package server

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/gateway"
	"github.com/slipway-iot/slipway/tenants"
)

// Config says how the server runs. Its comments are the manual; zero values
// work, but for Data.
type Config struct {
	// Data is the folder that holds everything: database, keys, endpoints.json.
	// It is made with mode 0700.
	Data string
	// Store is "sqlite", the default, which lives in Data, or a postgres:// URL.
	Store string
	// Passphrase unlocks keys at rest. Empty: DATA/unlock.key does.
	Passphrase string

	// MQTT is where devices connect with MQTT over mutual TLS; default :8883.
	MQTT string
	// ALPN is one port for MQTT and HTTPS, with or without a certificate, told
	// apart by ALPN as on AWS's port 443. Empty: none.
	ALPN string
	// HTTPS is where devices speak HTTPS: messages with a certificate, MQTT over
	// WebSocket, device codes. Empty: nowhere.
	HTTPS string
	// Control is where the control API, metrics and health are served; default
	// 127.0.0.1:8080. Off loopback it speaks TLS with the server's certificate.
	Control string
	// Hosts are the names and IP addresses that devices use; default localhost.
	// The first is what DescribeEndpoint answers.
	Hosts []string

	// Dev takes any access key. It is refused off loopback.
	Dev bool
	// Profile is that of accounts without one of their own: aws holds them to
	// AWS's requests a second. Default none.
	Profile tenants.Profile
	// JITPInline admits a device at the very CONNECT at which it was provisioned
	// just in time; AWS closes that connection, and the device comes again.
	JITPInline bool
	// PrivateEndpoints are host names, as URLs have them, whose endpoints topic
	// rules may reach at private, link-local and loopback addresses. Default none.
	PrivateEndpoints []string
	// AdminKeyID and AdminSecret are the first admin's access key; empty: one
	// is made at the first start.
	AdminKeyID, AdminSecret string

	// Pool is how many RSA-2048 keys are made ahead for devices without a key
	// of their own; default 32.
	Pool int
	// Limits bound what connections may cost; zero fields take defaults.
	Limits gateway.Limits
	// ReapEvery is how often expired tokens are looked for; default a minute.
	ReapEvery time.Duration

	Log  *slog.Logger     // default: discard
	Now  func() time.Time // default: time.Now
	Rand io.Reader        // default: crypto/rand
}

func (c Config) withDefaults() Config {
	or := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	or(&c.Store, "sqlite")
	or(&c.MQTT, ":8883")
	or(&c.Control, "127.0.0.1:8080")
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost"}
	}
	if c.Pool == 0 {
		c.Pool = 32
	}
	if c.ReapEvery == 0 {
		c.ReapEvery = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c
}

// maxPool is more keys than an hour makes.
const maxPool = 10_000

// check finds what cannot work before anything is opened.
func (c Config) check() error {
	if c.Data == "" {
		return fault.New(fault.InvalidRequest, "--data is empty: name the folder that holds the server's data.")
	}
	if c.Store != "sqlite" && !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://") {
		return fault.New(fault.InvalidRequest, "--store: expected sqlite or a postgres:// URL.")
	}
	for _, p := range c.ports() {
		if _, _, err := net.SplitHostPort(p.address); p.address != "" && err != nil {
			return fault.New(fault.InvalidRequest, "--%s %q: expected HOST:PORT or :PORT.", p.flag, p.address)
		}
	}
	for _, h := range c.Hosts {
		if !validHost(h) {
			return fault.New(fault.InvalidRequest, "--host %q: expected a host name or an IP address, without a port.", h)
		}
	}
	if c.Dev && !loopbackAddress(c.Control) {
		return fault.New(fault.InvalidRequest, "--dev takes any access key, so it is refused unless --control is on loopback; %s is not.", c.Control)
	}
	if (c.AdminKeyID == "") != (c.AdminSecret == "") {
		return fault.New(fault.InvalidRequest, "--admin-key-id and --admin-secret belong together: give both or neither.")
	}
	if _, err := tenants.ParseProfile(string(c.Profile)); err != nil {
		return err
	}
	if c.Pool < 0 || c.Pool > maxPool {
		return fault.New(fault.InvalidRequest, "--pool %d: expected a number of keys, at most %d.", c.Pool, maxPool)
	}
	for flag, v := range map[string]float64{"handshake": float64(c.Limits.Handshake), "connections": float64(c.Limits.Connections),
		"strangers": float64(c.Limits.Strangers), "failures": c.Limits.Failures, "burst": float64(c.Limits.Burst)} {
		if v < 0 {
			return fault.New(fault.InvalidRequest, "--%s is negative; a limit has to be more than nothing.", flag)
		}
	}
	if c.ReapEvery < 0 {
		return fault.New(fault.InvalidRequest, "The reaper cannot run every %v: expected a time.", c.ReapEvery)
	}
	return nil
}

// A port is an address to listen on, by its flag.
type port struct{ flag, address string }

func (c Config) ports() []port {
	return []port{{"mqtt", c.MQTT}, {"alpn", c.ALPN}, {"https", c.HTTPS}, {"control", c.Control}}
}

// validHost says whether h may be a --host: an address without zone, or an
// exact DNS name (RFC 1123, section 2.1).
func validHost(h string) bool {
	if ip, err := netip.ParseAddr(h); err == nil {
		return ip.Zone() == ""
	}
	if len(h) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.ToLower(h), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// loopbackAddress says whether only this machine can reach the address.
func loopbackAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
