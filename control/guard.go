package control

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// guard refuses what a browser was tricked into: a name that somebody pointed
// at us (DNS rebinding), and a page of another origin (DESIGN.md, decision
// 11).
func (s *Server) guard(r *http.Request) error {
	host := plainHost(r.Host)
	if !s.ours(host) && !loopback(host) {
		return fault.New(fault.AccessDenied, "The request is for host %q, which is no name of this server.", arn.Clip(host, 100))
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(u.Host, r.Host) {
		return fault.New(fault.AccessDenied, "The request comes from a page of %q; the control plane serves no page but its own.", arn.Clip(origin, 100))
	}
	return nil
}

// ours says whether a name is one of ours or below one, as the hosts of
// accounts are: nobody else can point such a name at us.
func (s *Server) ours(host string) bool {
	for below := true; below; _, host, below = strings.Cut(host, ".") {
		if s.hosts[host] {
			return true
		}
	}
	return false
}

// plainHost takes port, brackets and a final dot from a host.
func plainHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
