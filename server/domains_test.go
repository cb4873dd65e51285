package server

import (
	"context"
	"slices"
	"testing"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// configure makes a domain configuration, for a host name unless that is empty,
// and tells the names of it.
func (n *nameplate) configure(tn arn.Tenant, name, host string) *access.Domain {
	n.t.Helper()
	d := &access.Domain{Name: name, DomainName: host}
	if host != "" {
		d.Certificates = []string{"arn:aws:acm:us-east-1:000000000000:certificate/1"}
	}
	n.now = n.now.Add(1) // the older one keeps a name
	n.change(tn, name, func(ctx context.Context, tx store.Tx) error { return access.CreateDomain(ctx, tx, tn, d, n.now) })
	return d
}

// change writes, and tells the names that a configuration changed.
func (n *nameplate) change(tn arn.Tenant, name string, f func(context.Context, store.Tx) error) {
	n.t.Helper()
	n.update(f)
	must(n.t, n.follow(context.Background(), event.Event{Kind: event.DomainChanged, Tenant: tn, ID: name}))
}

func (n *nameplate) setStatus(tn arn.Tenant, name, status string) {
	n.t.Helper()
	n.change(tn, name, func(ctx context.Context, tx store.Tx) error {
		_, err := access.UpdateDomain(ctx, tx, tn, name, access.DomainChange{Status: status}, n.now)
		return err
	})
}

func (n *nameplate) leads(name string, want arn.Tenant) {
	n.t.Helper()
	if got, known := n.Tenant(name); !known || got != want {
		n.t.Errorf("%s leads to %v, %t; want %v", name, got, known, want)
	}
}

func (n *nameplate) leadsNowhere(name string) {
	n.t.Helper()
	if got, known := n.Tenant(name); known {
		n.t.Errorf("%s leads to %v", name, got)
	}
}

func TestNamesOfDomainConfigurations(t *testing.T) {
	n := newNameplate(t, "example.org", "192.0.2.7")
	n.configure(other, "shop", "things.shop.example")
	made := n.configure(other, "made", "")
	t.Run("a domain's name leads to its tenant, under a certificate of its own", func(t *testing.T) {
		n.leads("Things.Shop.Example", other)
		c, err := n.Certificate("things.shop.example")
		must(t, err)
		if !slices.Equal(c.Leaf.DNSNames, []string{"things.shop.example"}) {
			t.Errorf("it shows %v", c.Leaf.DNSNames)
		}
		if d := n.Domain("things.shop.example"); d == nil || d.Name != "shop" {
			t.Errorf("its configuration is %+v", d)
		}
	})
	t.Run("one without a name gets one below the tenant's endpoint", func(t *testing.T) {
		name := made.Tail + ".111122223333.us-east-1.example.org"
		n.leads(name, other)
		if got := n.DomainName(other, made); got != name {
			t.Errorf("it is told as %s", got)
		}
	})
	t.Run("names that have no configuration have none", func(t *testing.T) {
		if n.Domain("example.org") != nil || n.Domain("nowhere.example") != nil || n.Standing(arn.Default) != nil {
			t.Error("one was found")
		}
	})
	t.Run("while it is DISABLED, or serves something else, a name leads nowhere and stays taken", func(t *testing.T) {
		n.setStatus(other, "shop", access.Disabled)
		n.leadsNowhere("things.shop.example")
		if d := n.Domain("things.shop.example"); d == nil || d.Status != access.Disabled {
			t.Errorf("its configuration is %+v", d)
		}
		if err := n.Available(arn.Default, "things.shop.example"); !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("another tenant may have it: %v", err)
		}
		n.setStatus(other, "shop", access.Enabled)
		n.leads("things.shop.example", other)
	})
	t.Run("an account that is switched off takes its names along", func(t *testing.T) {
		must(t, n.set(other, true))
		n.leadsNowhere("things.shop.example")
		must(t, n.set(other, false))
		n.leads("things.shop.example", other)
	})
	t.Run("a deleted one's name is free", func(t *testing.T) {
		n.setStatus(other, "shop", access.Disabled)
		n.change(other, "shop", func(ctx context.Context, tx store.Tx) error {
			return access.DeleteDomain(ctx, tx, other, "shop", n.now)
		})
		n.leadsNowhere("things.shop.example")
		must(t, n.Available(arn.Default, "things.shop.example"))
	})
}

func TestNobodyTakesAName(t *testing.T) {
	n := newNameplate(t, "example.org")
	n.configure(other, "shop", "things.shop.example")
	for name, refused := range map[string]bool{
		"": false, "things.example": false, "example.org": true, "Example.ORG": true, "x.example.org": true,
		"222233334444.us-east-1.example.org": true, "localhost": true, "a.localhost": true, "127.0.0.1": true,
		"things.shop.example": true, "more.things.shop.example": false,
	} {
		if err := n.Available(arn.Default, name); fault.Is(err, fault.InvalidRequest) != refused {
			t.Errorf("%q: %v", name, err)
		}
	}
	t.Run("its holder is told so by the write", func(t *testing.T) {
		must(t, n.Available(other, "things.shop.example"))
	})
	t.Run("of two that got it at the same moment the older one has it", func(t *testing.T) {
		n.configure(arn.Default, "thief", "things.shop.example")
		n.leads("things.shop.example", other)
	})
	t.Run("no device's certificate may carry it", func(t *testing.T) {
		if !n.Reserved("things.shop.example") {
			t.Error("it may")
		}
	})
}

func TestTheEndpointsOwnConfiguration(t *testing.T) {
	n := newNameplate(t, "example.org")
	n.change(other, access.DataEndpoint, func(ctx context.Context, tx store.Tx) error {
		_, err := access.UpdateDomain(ctx, tx, other, access.DataEndpoint, access.DomainChange{TLSPolicy: access.TLS13}, n.now)
		return err
	})
	if d := n.Domain("111122223333.us-east-1.example.org"); d == nil || d.TLSPolicy != access.TLS13 {
		t.Errorf("the endpoint's configuration is %+v", d)
	}
	if d := n.Standing(other); d == nil || d.TLSPolicy != access.TLS13 {
		t.Errorf("without SNI it is %+v", d)
	}
	if d := n.Domain("example.org"); d != nil {
		t.Errorf("another tenant's is %+v", d)
	}
}
