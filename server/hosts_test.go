package server

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
)

// A nameplate is the names of a server with the default tenant and another.
type nameplate struct {
	*hosts
	t  *testing.T
	db *storeLever

	mu  sync.Mutex
	now time.Time
}

func newNameplate(t *testing.T, configured ...string) *nameplate {
	t.Helper()
	n := &nameplate{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.now
	}
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	n.db = &storeLever{DB: db}
	dir := t.TempDir()
	key, _, err := seal.Open(dir, "", nil)
	must(t, err)
	authority, err := ca.Open(ca.Config{Dir: dir + "/ca", Seal: key, Now: clock})
	must(t, err)
	n.hosts = newHosts(authority, n.db, configured, clock)
	for _, tn := range []arn.Tenant{arn.Default, other} {
		n.update(func(ctx context.Context, tx store.Tx) error {
			_, err := tenants.Ensure(ctx, tx, tn, n.now)
			return err
		})
	}
	must(t, n.load(context.Background()))
	return n
}

func (n *nameplate) update(f func(context.Context, store.Tx) error) {
	n.t.Helper()
	must(n.t, n.db.Update(context.Background(), f))
}

// set switches a tenant on or off and tells the names of it.
func (n *nameplate) set(tn arn.Tenant, disabled bool) error {
	n.t.Helper()
	n.update(func(ctx context.Context, tx store.Tx) error {
		return tenants.SetDisabled(ctx, tx, tn, disabled, n.now)
	})
	return n.follow(context.Background(), event.Event{Kind: event.TenantChanged, Tenant: tn, ID: tn.Account})
}

func TestNamesOfTenants(t *testing.T) {
	n := newNameplate(t, "Devices.Example.org", "192.0.2.7", "2001:DB8:0::1")
	n.bind(&net.TCPAddr{IP: net.ParseIP("198.51.100.4"), Port: 8883})
	n.bind(&net.TCPAddr{IP: net.ParseIP("::ffff:198.51.100.4"), Port: 8884})
	n.bind(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"})
	for name, want := range map[string]arn.Tenant{
		"devices.example.org": arn.Default, "DEVICES.example.ORG": arn.Default, "devices.example.org.": arn.Default,
		"192.0.2.7": arn.Default, "2001:db8::1": arn.Default, "2001:DB8:0:0::1": arn.Default, "198.51.100.4": arn.Default, "fe80::1": arn.Default,
		"111122223333.us-east-1.devices.example.org": other, "111122223333.US-EAST-1.Devices.Example.Org": other,
	} {
		if got, known := n.Tenant(name); !known || got != want {
			t.Errorf("%s is %v, %t", name, got, known)
		}
	}
	for _, name := range []string{
		"", "example.org", "x.devices.example.org", "000000000000.us-east-1.devices.example.org", "*.devices.example.org",
		"111122223333.eu-west-1.devices.example.org", "111122223333.us-east-1.192.0.2.7", "999999999999.us-east-1.devices.example.org", "localhost",
	} {
		if got, known := n.Tenant(name); known {
			t.Errorf("%q is %v's", name, got)
		}
	}
	if got := n.Endpoint(arn.Default); got != "devices.example.org" {
		t.Errorf("the default endpoint is %s", got)
	}
	if got := n.Endpoint(other); got != "111122223333.us-east-1.devices.example.org" {
		t.Errorf("the other endpoint is %s", got)
	}
	if got := n.Known(); !slices.IsSorted(got) || len(got) != 6 {
		t.Errorf("known: %v", got)
	}
}

func TestHostsThatAreAddresses(t *testing.T) {
	n := newNameplate(t, "192.0.2.7", "::1")
	if got := n.Endpoint(arn.Default); got != "192.0.2.7" {
		t.Errorf("the default endpoint is %s", got)
	}
	t.Run("another tenant has no name below an address", func(t *testing.T) {
		if got := n.Endpoint(other); got != "192.0.2.7" {
			t.Errorf("its endpoint is %s", got)
		}
		if got := n.Known(); len(got) != 2 {
			t.Errorf("known: %v", got)
		}
	})
	t.Run("a name further on is used before an address", func(t *testing.T) {
		n := newNameplate(t, "192.0.2.7", "example.org")
		if got := n.Endpoint(other); got != "111122223333.us-east-1.example.org" {
			t.Errorf("its endpoint is %s", got)
		}
	})
	t.Run("they are in the certificate that devices without SNI see", func(t *testing.T) {
		c, err := n.Certificate("")
		must(t, err)
		for _, name := range []string{"192.0.2.7", "::1"} {
			if err := c.Leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestACertificateForExactNames(t *testing.T) {
	n := newNameplate(t, "example.org")
	for name, want := range map[string][]string{
		"":                                   {"example.org"},
		"example.org":                        {"example.org"},
		"nobody":                             {"example.org"},
		"111122223333.us-east-1.example.org": {"111122223333.us-east-1.example.org"},
	} {
		c, err := n.Certificate(name)
		must(t, err)
		if !slices.Equal(c.Leaf.DNSNames, want) {
			t.Errorf("under %q: %v", name, c.Leaf.DNSNames)
		}
		again, err := n.Certificate(strings.ToUpper(name))
		must(t, err)
		if again != c {
			t.Errorf("another certificate under %q", strings.ToUpper(name))
		}
	}
}

func TestManyConnectionsShareACertificate(t *testing.T) {
	n := newNameplate(t, "example.org")
	const many = 32
	got := make([]*tls.Certificate, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { got[i], _ = n.Certificate("example.org") })
	}
	wg.Wait()
	for _, c := range got {
		if c == nil || c != got[0] {
			t.Fatal("two connections at once saw different certificates")
		}
	}
}

func TestACertificateIsMadeAnewInTime(t *testing.T) {
	n := newNameplate(t, "example.org")
	first, err := n.Certificate("")
	must(t, err)
	later := func(at time.Time) *tls.Certificate {
		t.Helper()
		n.mu.Lock()
		n.now = at
		n.mu.Unlock()
		c, err := n.Certificate("")
		must(t, err)
		return c
	}
	if later(first.Leaf.NotAfter.AddDate(0, 0, -30)) != first {
		t.Error("it was made anew too early")
	}
	second := later(first.Leaf.NotAfter.AddDate(0, 0, -30).Add(time.Second))
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("it was not made anew a month before its end")
	}
	t.Run("and not at every connection when the authority's own end is near", func(t *testing.T) {
		near := n.ca.ServerRoot().NotAfter.AddDate(0, 0, -20)
		c := later(near)
		if later(near.Add(time.Minute)) != c {
			t.Error("a certificate of twenty days was made anew after a minute")
		}
	})
}

func TestReservedNames(t *testing.T) {
	n := newNameplate(t, "example.org", "192.0.2.7")
	n.bind(&net.TCPAddr{IP: net.ParseIP("198.51.100.4")})
	ours := []string{
		"example.org", "EXAMPLE.org", "example.org.", "a.example.org", "111122223333.us-east-1.example.org", "999999999999.us-east-1.example.org.",
		"localhost", "x.localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7", "198.51.100.4",
	}
	for _, name := range ours {
		if !n.Reserved(name) {
			t.Errorf("%s may be a device's", name)
		}
	}
	for _, name := range []string{"", "device", "notexample.org", "example.org.evil", "192.0.2.8", "localhost.evil"} {
		if n.Reserved(name) {
			t.Errorf("%s is reserved", name)
		}
	}
	t.Run("also while every account is switched off", func(t *testing.T) {
		must(t, n.set(arn.Default, true))
		must(t, n.set(other, true))
		for _, name := range ours {
			if !n.Reserved(name) {
				t.Errorf("%s may be a device's", name)
			}
		}
	})
}

func TestATenantIsSwitchedOff(t *testing.T) {
	n := newNameplate(t, "example.org")
	const name = "111122223333.us-east-1.example.org"
	must(t, n.set(other, true))
	if _, known := n.Tenant(name); known {
		t.Error("its name still leads to it")
	}
	if got := n.Tenants(); !slices.Equal(got, []arn.Tenant{arn.Default}) {
		t.Errorf("tenants: %v", got)
	}
	must(t, n.set(other, false))
	if _, known := n.Tenant(name); !known {
		t.Error("it did not come back")
	}
	t.Run("nobody is left", func(t *testing.T) {
		must(t, n.set(other, true))
		must(t, n.set(arn.Default, true))
		if got := n.Known(); len(got) != 0 {
			t.Errorf("known: %v", got)
		}
		if c, err := n.Certificate(""); err != nil || len(c.Leaf.DNSNames) != 1 {
			t.Errorf("a device cannot even be told: %v", err)
		}
	})
}

// The look at the tenants may fail; until one succeeds the names are not
// trusted to be whole.
func TestATenantIsSwitchedOffWhileTheStoreFails(t *testing.T) {
	n := newNameplate(t, "example.org")
	n.db.set(&n.db.noViews, true)
	if err := n.set(other, true); err == nil || n.repaired() {
		t.Errorf("got %v", err)
	}
	if err := n.repair(context.Background()); err == nil || n.repaired() {
		t.Errorf("got %v", err)
	}
	n.db.set(&n.db.noViews, false)
	must(t, n.repair(context.Background()))
	if _, known := n.Tenant("111122223333.us-east-1.example.org"); known || !n.repaired() {
		t.Error("the change was lost")
	}
}

func TestAWildcardAddressIsEveryAddress(t *testing.T) {
	n := newNameplate(t, "example.org")
	n.bind(&net.TCPAddr{IP: net.IPv4zero, Port: 8883})
	for _, a := range localAddresses() {
		if _, known := n.Tenant(a.WithZone("").String()); !known {
			t.Errorf("%s is nobody's", a)
		}
	}
	if _, known := n.Tenant("0.0.0.0"); known {
		t.Error("the wildcard itself became a name")
	}
	if !slices.Contains(n.Machine(), "127.0.0.1") {
		t.Errorf("the machine's names: %v", n.Machine())
	}
}
