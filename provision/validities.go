package provision

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/wire"
)

// A known keeps what was read, so that the create operations need not read the
// registry. An entry goes when a template changes that it is about (Follow). One
// that was read while a change was on its way is not kept: the epoch, which
// counts changes, has moved on.
type known[K comparable, V any] struct {
	mu    sync.Mutex
	epoch uint64
	m     map[K]V
}

type templateKey struct {
	tenant arn.Tenant
	name   string
}

func (c *known[K, V]) get(k K) (v V, ok bool, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok = c.m[k]
	return v, ok, c.epoch
}

func (c *known[K, V]) put(k K, v V, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch {
		return
	}
	if c.m == nil || len(c.m) >= maxBodies {
		c.m = map[K]V{}
	}
	c.m[k] = v
}

func (c *known[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	delete(c.m, k)
}

// Follow learns what happened in the registry, after its commit.
func (s *Service) Follow(e event.Event) {
	if e.Kind == event.TemplateChanged {
		s.validities.drop(templateKey{e.Tenant, e.ID})
		s.fleets.drop(e.Tenant)
	}
}

// validity is how long the template's certificates last; zero, as long as
// AWS's, also for a template that does not exist: RegisterThing will say so.
func (s *Service) validity(ctx context.Context, k templateKey) (time.Duration, error) {
	d, ok, epoch := s.validities.get(k)
	if ok {
		return d, nil
	}
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.TemplateRecord(ctx, k.tenant, k.name)
		if fault.Is(err, fault.Missing) {
			return nil
		}
		if err == nil {
			d, _ = templates.Validity(rec)
		}
		return err
	})
	if err == nil {
		s.validities.put(k, d, epoch)
	}
	return d, err
}

// onlyTemplate is the one template that the caller's policies let it register
// with. It is empty if there are several, or if no template of the account sets
// a validity.
func (s *Service) onlyTemplate(ctx context.Context, who Caller) (only string, err error) {
	if who.MayPublish == nil {
		return "", nil
	}
	names, err := s.fleet(ctx, who.Tenant)
	for _, name := range names {
		if !who.MayPublish(wire.RegisterTopic(name, wire.JSON)) && !who.MayPublish(wire.RegisterTopic(name, wire.CBOR)) {
			continue
		}
		if only != "" {
			return "", nil
		}
		only = name
	}
	return only, err
}

// fleet names the account's templates for fleet provisioning, or none if none
// of them sets a validity.
func (s *Service) fleet(ctx context.Context, t arn.Tenant) ([]string, error) {
	names, ok, epoch := s.fleets.get(t)
	if ok {
		return names, nil
	}
	set := false
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		all, _, err := tx.ListTemplates(ctx, t, ref.All)
		for _, rec := range all {
			if rec.Type != templates.FleetProvisioning {
				continue
			}
			names = append(names, rec.Name)
			_, sets := templates.Validity(rec)
			set = set || sets
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !set {
		names = nil
	}
	s.fleets.put(t, names, epoch)
	return names, nil
}
