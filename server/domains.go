package server

import (
	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// configured gives what a tenant says of its endpoint, nil if nothing, and the
// places of its domain configurations; mu is held.
func (h *hosts) configured(t arn.Tenant) (standing *access.Domain, made []place) {
	for _, d := range h.domains[t] {
		switch d.Type() {
		case access.Endpoint:
			if d.Name == access.DataEndpoint {
				standing = d
			}
		case access.CustomerManaged:
			made = append(made, place{t, d, canonical(d.DomainName)})
		default:
			for _, name := range h.namesOf(t) {
				if !isAddress(name) {
					made = append(made, place{t, d, below(d, name)})
				}
			}
		}
	}
	return standing, made
}

// below is the name of a configuration that has none of its own, below one of
// its tenant's: the five characters that end its ARN.
func below(d *access.Domain, name string) string { return d.Tail + "." + name }

// Domain gives the domain configuration of a server name, also one by which
// nobody may come in; nil for the endpoint of a tenant that changed nothing
// about it, and for names that lead nowhere.
func (h *hosts) Domain(name string) *access.Domain {
	p, _ := h.place(name)
	return p.domain
}

// Standing gives the configuration of a tenant's endpoint, for devices that
// send no server name; nil if nothing about it was changed.
func (h *hosts) Standing(t arn.Tenant) *access.Domain {
	h.mu.RLock()
	defer h.mu.RUnlock()
	standing, _ := h.configured(t)
	return standing
}

// DomainName is the host name of a configuration. One without a name of its own
// lies below the tenant's endpoint; below an address there is no name.
func (h *hosts) DomainName(t arn.Tenant, d *access.Domain) string {
	endpoint := h.Endpoint(t)
	switch {
	case d.DomainName != "":
		return d.DomainName
	case d.Type() == access.AWSManaged && !isAddress(endpoint):
		return below(d, endpoint)
	}
	return endpoint
}

// Available says why a tenant may not have a name for a domain configuration:
// nobody may have one of the server's own, or one that another tenant has.
// Whether the tenant has it itself is checked with the write. Of two that ask
// for a name at the same moment both may be told that it is available; index
// then gives it to the older configuration.
func (h *hosts) Available(t arn.Tenant, name string) error {
	name = canonical(name)
	h.mu.RLock()
	holders := h.holders(name)
	h.mu.RUnlock()
	for _, holder := range holders {
		if holder != t {
			return fault.New(fault.InvalidRequest, "Domain %s belongs to another account of this server.", arn.Clip(name, 253))
		}
	}
	if name != "" && len(holders) == 0 && h.Reserved(name) {
		return fault.New(fault.InvalidRequest, "Domain %s is a name of this server itself, or below one.", arn.Clip(name, 253))
	}
	return nil
}

// holders lists the tenants that have a domain configuration for a name; mu is
// held.
func (h *hosts) holders(name string) (out []arn.Tenant) {
	for t, all := range h.domains {
		for _, d := range all {
			if d.DomainName != "" && d.DomainName == name {
				out = append(out, t)
			}
		}
	}
	return out
}
