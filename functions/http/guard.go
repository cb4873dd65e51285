package httpfn

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// A guard judges each address just before a connection to it is made. The name
// was resolved by then, so a name that changes its address between a check and
// its use gains nothing.
type guard struct {
	allowPrivate bool
	ownPorts     func() []int
}

// A refusal is the guard's error. What is the kind of address, for the
// sentence; the address itself is for the log.
type refusal struct {
	what, addr string
}

func (r *refusal) Error() string { return "dialling " + r.addr + " is refused: " + r.what }

// control is a net.Dialer's Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusal{"an address that is not IP", address}
	}
	if what := g.judge(to); what != "" {
		return &refusal{what, address}
	}
	return nil
}

// judge says what is wrong with an address, or nothing.
func (g guard) judge(to netip.AddrPort) string {
	ip := meant(to.Addr())
	switch {
	case ip.IsUnspecified() || ip.IsMulticast() || inAny(ip, unusable):
		return "an address that no endpoint can have"
	case g.isOurs(ip, int(to.Port())):
		return "a port of this server"
	case g.allowPrivate:
		return ""
	case ip.IsLoopback():
		return "a loopback address, which needs allowPrivate"
	case ip.IsLinkLocalUnicast():
		return "a link-local address, which needs allowPrivate"
	case ip.IsPrivate() || inAny(ip, private):
		return "a private address, which needs allowPrivate"
	}
	return ""
}

// isOurs says whether a connection to this address would end at one of our own
// listeners.
func (g guard) isOurs(ip netip.Addr, port int) bool {
	if g.ownPorts == nil || !slices.Contains(g.ownPorts(), port) {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}

// private holds what a public endpoint never has and netip does not call
// private (the IANA special-purpose address registries).
var private = prefixes(
	"100.64.0.0/10", // shared by carriers, RFC 6598
	"192.0.0.0/24",  // protocol assignments
	"198.18.0.0/15", // benchmarks
	"fec0::/10",     // site-local, deprecated
	"64:ff9b:1::/48",
)

// unusable holds what no host has.
var unusable = prefixes("0.0.0.0/8", "240.0.0.0/4")

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func inAny(ip netip.Addr, ps []netip.Prefix) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(ip) })
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
	sixTo4  = netip.MustParsePrefix("2002::/16")    // RFC 3056, section 2
	compat4 = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1
)

// meant gives the address that packets to ip end at: the IPv4 address inside
// an IPv6 one, if there is one.
func meant(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip), compat4.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixTo4.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}
