package crash

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// audit lets the reaper work as if two hours had passed, then reads the whole
// registry: what is there is exactly what the devices hold.
func (k *killer) audit(t *testing.T, n *node, units []*unit, r *row) {
	db, err := k.backend.open(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	before := read(t, db)
	reap(t, db, 2*time.Hour)
	after := read(t, db)
	r.Reaped = before.count(certs.PendingActivation) - after.count(certs.PendingActivation)
	r.Things, r.Active, r.Pending = len(after.things), after.count(certs.Active), after.count(certs.PendingActivation)

	after.holdsOnly(t, units)
	for _, u := range units {
		after.holds(t, u)
	}
	if len(after.tokens) > 0 {
		t.Errorf("%d ownership tokens outlived their hour", len(after.tokens))
	}
	reap(t, db, 25*time.Hour)
	if left := read(t, db).intents; len(left) > 0 {
		t.Errorf("%d intents are never removed, such as %v", len(left), left[0])
	}
	k.backend.drains(t, n, db)
}

// reap runs the reaper at a later hour until it finds nothing more to do; one
// round of it removes a bounded number of intents.
func reap(t *testing.T, db store.DB, later time.Duration) {
	t.Helper()
	now := func() time.Time { return time.Now().Add(later) }
	s := &provision.Service{DB: db, Now: now, Log: slog.New(slog.DiscardHandler)}
	for range 1 + len(read(t, db).intents)/100 {
		if err := s.ReapOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A registry is everything that the flow writes, read in one transaction.
type registry struct {
	things     map[string]*things.Thing
	certs      map[arn.CertID]*certs.Certificate // but for claims
	claims     map[string]bool                   // by ARN
	principals map[string][]ref.Link             // by thing
	members    []ref.Link                        // of the group
	policies   map[string][]string               // policy names by target
	tokens     []*certs.TokenRecord
	intents    []*certs.Intent
}

func read(t *testing.T, db store.DB) *registry {
	t.Helper()
	var r *registry
	if err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		r = &registry{things: map[string]*things.Thing{}, certs: map[arn.CertID]*certs.Certificate{}, claims: map[string]bool{},
			principals: map[string][]ref.Link{}, policies: map[string][]string{}}
		for _, part := range []func(context.Context, store.Tx) error{r.readThings, r.readCerts, r.readPolicies, r.readWaiting} {
			if err := part(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// every calls each for all entries of a list, page by page.
func every[T any](list func(ref.Page) ([]T, string, error), each func(T) error) error {
	for p := (ref.Page{Limit: 500}); ; {
		some, next, err := list(p)
		if err != nil {
			return err
		}
		for _, one := range some {
			if err := each(one); err != nil {
				return err
			}
		}
		if p.After = next; next == "" {
			return nil
		}
	}
}

func (r *registry) readThings(ctx context.Context, tx store.Tx) error {
	err := every(func(p ref.Page) ([]*things.Thing, string, error) {
		return tx.ListThings(ctx, arn.Default, things.Filter{}, p)
	}, func(th *things.Thing) (err error) {
		r.things[th.Name] = th
		r.principals[th.Name], _, err = tx.Rights(ctx, arn.Default, ref.ThingPrincipal, th.Name, ref.All)
		return err
	})
	if err != nil {
		return err
	}
	return every(func(p ref.Page) ([]ref.Link, string, error) {
		return tx.Rights(ctx, arn.Default, ref.GroupThing, fleetGroup, p)
	}, func(l ref.Link) error {
		r.members = append(r.members, l)
		return nil
	})
}

func (r *registry) readCerts(ctx context.Context, tx store.Tx) error {
	return every(func(p ref.Page) ([]*certs.Certificate, string, error) {
		return tx.ListCertificates(ctx, arn.Default, p)
	}, func(c *certs.Certificate) error {
		if c.Origin == certs.FromClaim {
			r.claims[arn.Default.Cert(c.ID)] = true
		} else {
			r.certs[c.ID] = c
		}
		return nil
	})
}

func (r *registry) readPolicies(ctx context.Context, tx store.Tx) error {
	for _, name := range []string{fleetPolicy, provision.ClaimPolicyName} {
		err := every(func(p ref.Page) ([]ref.Link, string, error) {
			return tx.Rights(ctx, arn.Default, ref.PolicyTarget, name, p)
		}, func(l ref.Link) error {
			r.policies[l.Right] = append(r.policies[l.Right], name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readWaiting reads all tokens and intents, which are those that will have
// expired in a hundred years.
func (r *registry) readWaiting(ctx context.Context, tx store.Tx) (err error) {
	someday := time.Now().AddDate(100, 0, 0)
	if r.tokens, err = tx.ExpiredTokens(ctx, someday, 1_000_000); err != nil {
		return err
	}
	r.intents, err = tx.StaleIntents(ctx, someday, 1_000_000)
	return err
}

func (r *registry) count(s certs.Status) (n int) {
	for _, c := range r.certs {
		if c.Status == s {
			n++
		}
	}
	return n
}

// holds asserts that a device has become one whole thing.
func (r *registry) holds(t *testing.T, u *unit) {
	r.isDevice(t, u.number, arn.CertID(u.device.Progress.CertificateID))
}

// isDevice asserts that a number is one whole thing with the certificate.
func (r *registry) isDevice(t *testing.T, number int, id arn.CertID) {
	name := thingName(number)
	th, target := r.things[name], arn.Default.Cert(id)
	switch {
	case th == nil:
		t.Errorf("%s does not exist, and its device was told that it does", name)
	case th.Type != fleetType || th.Attributes["serial"] != serial(number):
		t.Errorf("%s is half a thing: %+v", name, th)
	}
	if p := r.principals[name]; len(p) != 1 || p[0].Right != target {
		t.Errorf("%s is held by %v, not by %s alone, which its device has", name, p, target)
	}
	if c := r.certs[id]; c == nil || c.Status != certs.Active {
		t.Errorf("the device of %s has the certificate %s, which is not ACTIVE: %+v", name, id, c)
	}
	if !slices.Equal(r.policies[target], []string{fleetPolicy}) {
		t.Errorf("the certificate of %s has the policies %v", name, r.policies[target])
	}
}

// holdsOnly asserts that nothing is there beside what the devices have become.
func (r *registry) holdsOnly(t *testing.T, units []*unit) {
	known := map[string]bool{} // names of things, ids and ARNs of certificates
	for _, u := range units {
		id := u.device.Progress.CertificateID
		known[thingName(u.number)], known[id], known[arn.Default.Cert(arn.CertID(id))] = true, true, true
	}
	for name := range r.things {
		if !known[name] {
			t.Errorf("%s is no device's thing", name)
		}
	}
	for id, c := range r.certs {
		if !known[string(id)] {
			t.Errorf("certificate %s (%s) is no device's", id, c.Status)
		}
	}
	for target, names := range r.policies {
		if !known[target] && !r.claims[target] {
			t.Errorf("policies %v are attached to %s, which is no device's", names, target)
		}
	}
	if len(r.members) != len(r.things) {
		t.Errorf("the group has %d members, and there are %d things", len(r.members), len(r.things))
	}
	for _, l := range r.members {
		if r.things[l.Right] == nil {
			t.Errorf("%s is in the group and does not exist", l.Right)
		}
	}
}

// drains asserts that the outbox empties, that of dead processes included.
func (b backend) drains(t *testing.T, n *node, db store.DB) {
	t.Helper()
	if b.bury != nil {
		if err := b.bury(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		events, position, err := db.Outbox(t.Context(), 1000)
		if err == nil && len(events) == 0 {
			break
		}
		if err == nil {
			err = db.Forget(t.Context(), position)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if b.waiting == nil {
		return
	}
	if left, err := b.waiting(t.Context(), n); left != 0 || err != nil {
		t.Errorf("%d rows of the outbox belong to nobody (%v)", left, err)
	}
}

// adopts asserts that the running server itself carries away the events that
// its earlier lives left in the outbox.
func (b backend) adopts(t *testing.T, n *node) {
	t.Helper()
	if b.bury == nil {
		return // it did so when it started
	}
	if err := b.bury(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	giveUp := time.After(hang)
	for {
		waiting, err := b.waiting(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-giveUp:
			t.Fatalf("%d events of dead nodes are not carried away", waiting)
		}
	}
}
