package server

import (
	"cmp"
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

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// hosts says which name belongs to which tenant, and what the server shows
// under it (DESIGN.md, decision 14). The default tenant is reached under every
// configured and bound name, another one as ACCOUNT.REGION.HOST; both also under
// the names of their domain configurations.
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
	profile map[arn.Tenant]tenants.Profile  // of those that have one of their own
	domains map[arn.Tenant][]*access.Domain // of every tenant, also one that is switched off; written by load alone
	names   map[string]place
	shown   map[string]*tls.Certificate // by place.key
}

// A place is what a name leads to.
type place struct {
	tenant arn.Tenant
	domain *access.Domain // the configuration that says how; nil: one that nobody made or changed
	alone  string         // the name, if it has a certificate to itself; else it shares its tenant's
}

// open says whether devices may come in by the name.
func (p place) open() bool {
	return p.domain == nil || p.domain.Status == access.Enabled && p.domain.Service == access.Data
}

// key names the certificate.
func (p place) key() string { return cmp.Or(p.alone, p.tenant.String()) }

func newHosts(authority *ca.CA, db store.DB, configured []string, now func() time.Time) *hosts {
	h := &hosts{ca: authority, db: db, now: now, shown: map[string]*tls.Certificate{}}
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

// noted reads the tenants again, of whom one was made or changed.
func (h *hosts) noted(ctx context.Context) error {
	return h.reload(ctx, func(arn.Tenant) bool { return false })
}

// load reads the tenants and all their domain configurations.
func (h *hosts) load(ctx context.Context) error {
	return h.reload(ctx, func(arn.Tenant) bool { return true })
}

// reload reads the tenants again, and the domain configurations of those that
// are new or concerned.
func (h *hosts) reload(ctx context.Context, concerned func(arn.Tenant) bool) error {
	h.loading.Lock()
	defer h.loading.Unlock()
	var found []arn.Tenant
	var own map[arn.Tenant]tenants.Profile
	var domains map[arn.Tenant][]*access.Domain
	err := h.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		found, own, domains = nil, map[arn.Tenant]tenants.Profile{}, map[arn.Tenant][]*access.Domain{}
		return everyTenant(ctx, tx, func(r *tenants.Record) (err error) {
			if !r.Disabled {
				found = append(found, r.Tenant)
			}
			if r.Settings.Profile != "" {
				own[r.Tenant] = r.Settings.Profile
			}
			known, ok := h.domains[r.Tenant]
			if !ok || concerned(r.Tenant) {
				known, err = access.Placed(ctx, tx, r.Tenant)
			}
			domains[r.Tenant] = known
			return err
		})
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tenants, h.profile, h.domains = found, own, domains
	h.index()
	return nil
}

func everyTenant(ctx context.Context, tx store.Tx, f func(*tenants.Record) error) error {
	for page := (ref.Page{Limit: 500}); ; {
		records, next, err := tx.ListTenants(ctx, page)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := f(r); err != nil {
				return err
			}
		}
		if page.After = next; next == "" {
			return nil
		}
	}
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

// index makes the table of names; mu is held. The server's own names come
// first, then domain configurations by age, so that no later one takes a name.
func (h *hosts) index() {
	h.names = map[string]place{}
	h.shown = map[string]*tls.Certificate{}
	var more []place
	for _, t := range h.tenants {
		standing, made := h.configured(t)
		for _, name := range h.namesOf(t) {
			h.names[name] = place{tenant: t, domain: standing}
		}
		more = append(more, made...)
	}
	slices.SortStableFunc(more, func(a, b place) int { return a.domain.Created.Compare(b.domain.Created) })
	for _, p := range more {
		if _, taken := h.names[p.alone]; !taken {
			h.names[p.alone] = p
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
	p, ok := h.place(name)
	return p.tenant, ok && p.open()
}

func (h *hosts) place(name string) (place, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	p, ok := h.names[canonical(name)]
	return p, ok
}

// Known lists all names by which devices may come in.
func (h *hosts) Known() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]string, 0, len(h.names))
	for n, p := range h.names {
		if p.open() {
			out = append(out, n)
		}
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
	if p := h.names[name]; p.alone != "" || slices.Contains(h.bound, name) { // also while no tenant goes by it
		return true
	}
	return slices.ContainsFunc(h.base, func(b string) bool { return name == b || strings.HasSuffix(name, "."+b) })
}
