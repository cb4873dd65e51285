package functions

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Lookup gives the spec of a function, or nil if the tenant has none of that
// name. It reads the store.
type Lookup func(ctx context.Context, t arn.Tenant, name string) (*Spec, error)

// A Set holds the live functions of all tenants of a node. A function is
// opened when it is first called and stays until its spec changes.
type Set struct {
	lookup  Lookup
	drivers map[string]Opener // by kind

	mu     sync.Mutex // guards all below, and entry.users and entry.retired
	live   map[key]*entry
	open   map[*entry]struct{} // the live ones, and old ones still in a call
	epoch  uint64              // counts invalidations: a spec read before one is stale
	closed bool
}

type key struct {
	tenant arn.Tenant
	name   string
}

// An entry is one opened function. The last user of a retired entry closes it,
// so that a call under way ends on the function it began on.
type entry struct {
	Function
	users   int
	retired bool
}

// NewSet makes an empty set. Drivers are named by kind: Process, HTTP and
// Allowlist.
func NewSet(lookup Lookup, drivers map[string]Opener) *Set {
	return &Set{lookup: lookup, drivers: drivers, live: map[key]*entry{}, open: map[*entry]struct{}{}}
}

// Resolve gives the function that a Lambda ARN or a bare name means in tenant
// t. Its Invoke calls whatever the name means at that moment; its Close does
// nothing, since the set owns the function.
func (s *Set) Resolve(ctx context.Context, t arn.Tenant, arnOrName string) (Function, error) {
	name, err := Name(arnOrName)
	if err != nil {
		return nil, err
	}
	f := &named{s, key{t, name}}
	e, err := s.acquire(ctx, f.key)
	if err != nil {
		return nil, err
	}
	s.release(e)
	return f, nil
}

// Invalidate makes the next call of a function read its spec again. Calls
// under way end on the old function, which is then closed.
func (s *Set) Invalidate(t arn.Tenant, name string) {
	k := key{t, name}
	s.mu.Lock()
	s.epoch++
	e := s.live[k]
	delete(s.live, k)
	if e != nil {
		e.retired = true
	}
	unused := e != nil && e.users == 0
	s.mu.Unlock()
	if unused {
		s.end(e)
	}
}

// Close closes every function, which ends its calls, also the old ones that
// are still in a call. Nothing resolves afterwards.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	var errs []error
	for _, e := range open {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// acquire gives the entry of k with one user more, and opens it if need be.
func (s *Set) acquire(ctx context.Context, k key) (*entry, error) {
	for {
		e, epoch, err := s.peek(k)
		if e != nil || err != nil {
			return e, err
		}
		f, err := s.make(ctx, k)
		if err != nil {
			return nil, err
		}
		if e := s.install(k, f, epoch); e != nil {
			return e, nil
		}
		f.Close() // a spec changed meanwhile, another caller was faster, or the set closed
	}
}

// peek gives the live entry of k with one user more, or nil and the epoch.
func (s *Set) peek(k key) (*entry, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, Fail(Closed, k.name, nil, "is not available: the server is stopping.")
	}
	e := s.live[k]
	if e != nil {
		e.users++
	}
	return e, s.epoch, nil
}

// make opens the function of k from its stored spec.
func (s *Set) make(ctx context.Context, k key) (Function, error) {
	spec, err := s.lookup(ctx, k.tenant, k.name)
	if err != nil {
		return nil, err
	}
	if spec == nil {
		return nil, fault.New(fault.Missing, "Function %s does not exist in account %s, region %s.", k.name, k.tenant.Account, k.tenant.Region)
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	open := s.drivers[spec.Kind]
	if open == nil {
		return nil, fault.New(fault.NotImplemented, "Function %s is of kind %s, which this server does not run.", k.name, spec.Kind)
	}
	return open(k.tenant, spec.WithDefaults())
}

// install makes f the entry of k with one user, unless the world has changed
// since epoch.
func (s *Set) install(k key, f Function, epoch uint64) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.epoch != epoch || s.live[k] != nil {
		return nil
	}
	e := &entry{Function: f, users: 1}
	s.live[k] = e
	s.open[e] = struct{}{}
	return e
}

func (s *Set) release(e *entry) {
	s.mu.Lock()
	e.users--
	last := e.retired && e.users == 0
	s.mu.Unlock()
	if last {
		s.end(e)
	}
}

// end closes a retired entry that nobody uses. A failure to close concerns
// nobody any more.
func (s *Set) end(e *entry) {
	e.Close()
	s.mu.Lock()
	delete(s.open, e)
	s.mu.Unlock()
}

// named is a function by its name.
type named struct {
	set *Set
	key key
}

func (n *named) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	e, err := n.set.acquire(ctx, n.key)
	if err != nil {
		return nil, err
	}
	defer n.set.release(e)
	return e.Invoke(ctx, payload)
}

func (n *named) Close() error { return nil }
