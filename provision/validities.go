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

// validities keeps how long each template's certificates last, so that the
// create operations need not read the template. An entry goes when its
// template changes (Follow). One that was read while a change was on its way
// is not kept: the epoch, which counts changes, has moved on.
type validities struct {
	mu     sync.Mutex
	epoch  uint64
	m      map[templateKey]time.Duration
	fleets map[arn.Tenant][]string // the templates for fleet provisioning; none, if none of them sets a validity
}

type templateKey struct {
	tenant arn.Tenant
	name   string
}

func (v *validities) get(k templateKey) (d time.Duration, ok bool, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, ok = v.m[k]
	return d, ok, v.epoch
}

func (v *validities) put(k templateKey, d time.Duration, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if epoch != v.epoch {
		return
	}
	if v.m == nil || len(v.m) >= maxBodies {
		v.m = map[templateKey]time.Duration{}
	}
	v.m[k] = d
}

func (v *validities) drop(k templateKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch++
	delete(v.m, k)
	delete(v.fleets, k.tenant)
}

func (v *validities) getFleet(t arn.Tenant) (names []string, ok bool, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	names, ok = v.fleets[t]
	return names, ok, v.epoch
}

func (v *validities) putFleet(t arn.Tenant, names []string, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if epoch != v.epoch {
		return
	}
	if v.fleets == nil || len(v.fleets) >= maxBodies {
		v.fleets = map[arn.Tenant][]string{}
	}
	v.fleets[t] = names
}

// Follow learns what happened in the registry, after its commit.
func (s *Service) Follow(e event.Event) {
	if e.Kind == event.TemplateChanged {
		s.validities.drop(templateKey{e.Tenant, e.ID})
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
	names, ok, epoch := s.validities.getFleet(t)
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
	s.validities.putFleet(t, names, epoch)
	return names, nil
}
