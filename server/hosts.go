package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// hosts says which name belongs to which tenant, and what the server shows
// under it (DESIGN.md, decision 14). The default tenant is reached under every
// configured and bound name, another one as ACCOUNT.REGION.HOST.
type hosts struct {
	ca  *ca.CA
	db  store.DB
	now func() time.Time

	stale   atomic.Bool // the tenants changed and could not be read again
	loading sync.Mutex  // held while they are read, so that an older look never replaces a newer one

	mu      sync.RWMutex
	base    []string // configured, first first
	bound   []string // addresses that were bound
	tenants []arn.Tenant
	profile map[arn.Tenant]tenants.Profile // of those that have one of their own
	names   map[string]arn.Tenant
	shown   map[arn.Tenant]*tls.Certificate
}

func newHosts(authority *ca.CA, db store.DB, configured []string, now func() time.Time) *hosts {
	h := &hosts{ca: authority, db: db, now: now, shown: map[arn.Tenant]*tls.Certificate{}}
	for _, name := range configured {
		h.base = append(h.base, canonical(name))
	}
	return h
}

// canonical writes a name in the one way in which names are compared: in lower
// case, without the dot that may end it, an address as Go writes it.
func canonical(name string) string {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// load reads the tenants; it is called again when one was made or switched off.
func (h *hosts) load(ctx context.Context) error {
	h.loading.Lock()
	defer h.loading.Unlock()
	var found []arn.Tenant
	var own map[arn.Tenant]tenants.Profile
	err := h.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		found, own = nil, map[arn.Tenant]tenants.Profile{}
		for page := (ref.Page{Limit: 500}); ; {
			records, next, err := tx.ListTenants(ctx, page)
			if err != nil {
				return err
			}
			for _, r := range records {
				if !r.Disabled {
					found = append(found, r.Tenant)
				}
				if r.Settings.Profile != "" {
					own[r.Tenant] = r.Settings.Profile
				}
			}
			if page.After = next; next == "" {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tenants, h.profile = found, own
	h.index()
	return nil
}

// bind adds the address of a listener: one address, or for a wildcard every
// address of this machine.
func (h *hosts) bind(a net.Addr) {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return
	}
	add := []netip.Addr{ap.Addr().Unmap()}
	if ap.Addr().IsUnspecified() {
		add = localAddresses()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ip := range add {
		if s := ip.WithZone("").String(); !slices.Contains(h.bound, s) {
			h.bound = append(h.bound, s)
		}
	}
	h.index()
}

func localAddresses() (out []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// index makes the table of names; mu is held.
func (h *hosts) index() {
	h.names = map[string]arn.Tenant{}
	h.shown = map[arn.Tenant]*tls.Certificate{}
	for _, t := range h.tenants {
		for _, name := range h.namesOf(t) {
			h.names[name] = t
		}
	}
}

// namesOf lists the names of a tenant; mu is held.
func (h *hosts) namesOf(t arn.Tenant) []string {
	var out []string
	if t == arn.Default {
		return append(append(out, h.base...), h.bound...)
	}
	for _, b := range h.base {
		if !isAddress(b) {
			out = append(out, t.Account+"."+t.Region+"."+b)
		}
	}
	return out
}

// Endpoint is the host name that DescribeEndpoint answers for a tenant. Where
// every host is an address, another tenant than the default one has no name of
// its own; its devices use the address and are known by their certificates.
func (h *hosts) Endpoint(t arn.Tenant) string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if t != arn.Default {
		for _, b := range h.base {
			if !isAddress(b) {
				return t.Account + "." + t.Region + "." + b
			}
		}
	}
	return h.base[0]
}

// Machine lists the names of the server itself: those configured, and the
// addresses that were bound.
func (h *hosts) Machine() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Concat(h.base, h.bound)
}

// Tenant gives the tenant that a server name belongs to.
func (h *hosts) Tenant(name string) (arn.Tenant, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	t, ok := h.names[canonical(name)]
	return t, ok
}

// Known lists all names.
func (h *hosts) Known() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]string, 0, len(h.names))
	for n := range h.names {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Tenants lists the tenants that are not switched off.
func (h *hosts) Tenants() []arn.Tenant {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.tenants)
}

// Profile is the account's own; empty if it has none.
func (h *hosts) Profile(t arn.Tenant) tenants.Profile {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.profile[t]
}

// Reserved says whether a name belongs to this server, so that no device's
// certificate may carry it.
func (h *hosts) Reserved(name string) bool {
	name = canonical(name)
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsLoopback() {
		return true
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if slices.Contains(h.bound, name) { // also while no tenant goes by it
		return true
	}
	return slices.ContainsFunc(h.base, func(b string) bool { return name == b || strings.HasSuffix(name, "."+b) })
}

// renewBefore is how long before its end a server certificate is made anew.
const renewBefore = 30 * 24 * time.Hour

// Certificate gives what the server shows under a name; without a name, what
// the default tenant's devices see. It is made when first asked for, and anew
// in time; one that is still good is shown if that fails.
func (h *hosts) Certificate(name string) (*tls.Certificate, error) {
	t, known := h.Tenant(name)
	if !known {
		t = arn.Default
	}
	h.mu.RLock()
	c := h.shown[t]
	h.mu.RUnlock()
	if c != nil && !h.due(c) {
		return c, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c = h.shown[t]; c != nil && !h.due(c) { // another connection was faster
		return c, nil
	}
	fresh, err := h.ca.ServerCertificate(h.namesOf(t))
	switch {
	case err == nil:
		h.shown[t] = fresh
		return fresh, nil
	case c != nil && h.now().Before(c.Leaf.NotAfter):
		return c, nil
	}
	return nil, err
}

// due says whether a certificate should be made anew: a month before its end,
// or in the last third of a life that its authority's end cut short.
func (h *hosts) due(c *tls.Certificate) bool {
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return c.Leaf.NotAfter.Sub(h.now()) < min(renewBefore, life/3)
}

// follow reads the tenants again when they changed. If that fails, repair does
// it later.
func (h *hosts) follow(ctx context.Context, e event.Event) error {
	if e.Kind != event.TenantChanged {
		return nil
	}
	h.stale.Store(true)
	return h.repair(ctx)
}

// repair reads the tenants if an earlier try failed.
func (h *hosts) repair(ctx context.Context) error {
	if h.repaired() {
		return nil
	}
	if err := h.load(ctx); err != nil {
		return err
	}
	h.stale.Store(false)
	return nil
}

func (h *hosts) repaired() bool { return !h.stale.Load() }
