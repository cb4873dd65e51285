package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// A state is a certificate, a thing and a token, nil for none, and what is tied
// to a name.
type state struct {
	Cert  *certs.Certificate
	Thing *things.Thing
	Token *certs.TokenRecord
	Ties  []string
}

// first is the state before any change.
func first() state {
	return state{certificate(1), thing("it"), ticket(), []string{"b", "d"}}
}

// ticket is an ownership token that is not spent.
func ticket() *certs.TokenRecord {
	return &certs.TokenRecord{Tenant: arn.Default, Digest: certs.Digest{1}, CertID: certID(1), Expires: noon.Add(time.Hour)}
}

func (s state) store(ctx context.Context, tx store.Tx) error {
	for _, left := range s.Ties {
		if _, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, tie(left)); err != nil {
			return err
		}
	}
	return errors.Join(tx.InsertCertificate(ctx, s.Cert), tx.InsertThing(ctx, s.Thing), tx.InsertToken(ctx, s.Token))
}

func stateOf(ctx context.Context, tx store.Tx) (s state, err error) {
	if s.Cert, err = tx.Certificate(ctx, arn.Default, certID(1)); err != nil && !fault.Is(err, fault.Missing) {
		return s, err
	}
	if s.Thing, err = tx.Thing(ctx, arn.Default, "it"); err != nil && !fault.Is(err, fault.Missing) {
		return s, err
	}
	if s.Token, err = tx.Token(ctx, arn.Default, ticket().Digest); err != nil && !fault.Is(err, fault.Missing) {
		return s, err
	}
	links, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, "it", ref.All)
	for _, l := range links {
		s.Ties = append(s.Ties, l.Left+l.Data)
	}
	return s, err
}

// A change is one of what was looked up, and what it makes of that.
type change struct {
	name string
	do   func(ctx context.Context, tx store.Tx) error
	want func(*state)
}

func tie(left string) ref.Link { return ref.Link{Left: left, Right: "it", Created: noon} }

var changes = []change{
	{"a changed certificate", func(ctx context.Context, tx store.Tx) error {
		return tx.UpdateCertificate(ctx, later())
	}, func(s *state) { s.Cert = later() }},
	{"a deleted certificate", func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteCertificate(ctx, arn.Default, certID(1))
	}, func(s *state) { s.Cert = nil }},
	{"a certificate that was made anew", func(ctx context.Context, tx store.Tx) error {
		if err := tx.DeleteCertificate(ctx, arn.Default, certID(1)); err != nil {
			return err
		}
		return tx.InsertCertificate(ctx, later())
	}, func(s *state) { s.Cert = later() }},
	{"a changed thing", func(ctx context.Context, tx store.Tx) error {
		return tx.UpdateThing(ctx, laterThing())
	}, func(s *state) { s.Thing = laterThing() }},
	{"a deleted thing", func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteThing(ctx, arn.Default, "it")
	}, func(s *state) { s.Thing = nil }},
	{"a thing that was made anew", func(ctx context.Context, tx store.Tx) error {
		if err := tx.DeleteThing(ctx, arn.Default, "it"); err != nil {
			return err
		}
		return tx.InsertThing(ctx, laterThing())
	}, func(s *state) { s.Thing = laterThing() }},
	{"a spent token", func(ctx context.Context, tx store.Tx) error {
		return tx.SpendToken(ctx, spent())
	}, func(s *state) { s.Token = spent() }},
	{"a deleted token", func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteToken(ctx, arn.Default, ticket().Digest)
	}, func(s *state) { s.Token = nil }},
	{"another link", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, tie("c"))
		return err
	}, func(s *state) { s.Ties = []string{"b", "c", "d"} }},
	{"a link that is there with other data", func(ctx context.Context, tx store.Tx) error {
		l := tie("b")
		l.Data = "!"
		_, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, l)
		return err
	}, func(*state) {}},
	{"a link less", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.DropLink(ctx, arn.Default, ref.PolicyTarget, "b", "it")
		return err
	}, func(s *state) { s.Ties = []string{"d"} }},
}

// again asserts that who looks a second time sees what was changed since, also by
// a driver that remembers what it saw: after every change, made in the
// transaction that looks, before it, or in one of its parts, and undone or not.
func again(t *testing.T, open Open) {
	for _, c := range changes {
		for _, how := range []string{"in one transaction", "in a transaction of its own", "in a part", "undone"} {
			t.Run(c.name+", "+how, func(t *testing.T) { c.seen(t, open(t), how) })
		}
	}
	t.Run("who gets a record may change his copy", func(t *testing.T) { copies(t, open(t)) })
	t.Run("a new certificate has what was tied to it since", func(t *testing.T) { tiesOfNew(t, open(t)) })
	t.Run("a page of a list that is known whole is a page", func(t *testing.T) { pagesOfWhole(t, open(t)) })
}

func (c change) seen(t *testing.T, db store.DB, how string) {
	want := first()
	update(t, db, want.store)
	seen(t, db, want)
	if how != "undone" {
		c.want(&want)
	}
	err := db.Update(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if how != "in a transaction of its own" {
			if _, err := stateOf(ctx, tx); err != nil {
				return err
			}
		}
		if how == "in a part" {
			return tx.Each(ctx, 1, func(ctx context.Context, part store.Tx, _ int) error { return c.do(ctx, part) })
		}
		if err := c.do(ctx, tx); err != nil {
			return err
		}
		got, err := stateOf(ctx, tx)
		if err == nil && how == "undone" {
			return errMind
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("before the commit (-want +got)\n%s", d)
		}
		return err
	})
	if err != nil && err != errMind {
		t.Fatal(err)
	}
	seen(t, db, want)
}

func copies(t *testing.T, db store.DB) {
	put := first()
	update(t, db, put.store)
	put.Thing.Attributes["serial"] = "changed after it was put"
	answered := spent()
	update(t, db, func(ctx context.Context, tx store.Tx) error { return tx.SpendToken(ctx, answered) })
	answered.Answer[0]++
	want := first()
	want.Token = spent()
	for range 2 {
		seen(t, db, want)
		if err := db.Peek(t.Context(), func(ctx context.Context, tx store.Tx) error {
			got, err := stateOf(ctx, tx)
			if err != nil {
				return err
			}
			got.Cert.PEM, got.Cert.Status = "", certs.Revoked
			got.Thing.Attributes["serial"] = "other"
			got.Token.Answer[0]++
			links, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, "it", ref.All)
			links[0].Left = "other"
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func tiesOfNew(t *testing.T, db store.DB) {
	name := arn.Default.Cert(certID(1))
	update(t, db, func(ctx context.Context, tx store.Tx) error {
		return tx.InsertCertificate(ctx, certificate(1))
	})
	for i, k := range []ref.Kind{ref.PolicyTarget, ref.ThingPrincipal} {
		for n := range 2 {
			if err := db.Peek(t.Context(), func(ctx context.Context, tx store.Tx) error {
				links, _, err := tx.Lefts(ctx, arn.Default, k, name, ref.All)
				if len(links) != n {
					t.Errorf("%s: %d are tied to it, expected %d", k, len(links), n)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			update(t, db, func(ctx context.Context, tx store.Tx) error {
				_, err := tx.PutLink(ctx, arn.Default, k, ref.Link{Left: string(rune('a' + i)), Right: name, Created: noon})
				return err
			})
		}
	}
}

func pagesOfWhole(t *testing.T, db store.DB) {
	update(t, db, func(ctx context.Context, tx store.Tx) error {
		for _, left := range []string{"a", "b", "c"} {
			if _, err := tx.PutLink(ctx, arn.Default, ref.PolicyTarget, tie(left)); err != nil {
				return err
			}
		}
		return nil
	})
	var got []string
	if err := db.Peek(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if _, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, "it", ref.All); err != nil {
			return err
		}
		for p := (ref.Page{Limit: 2}); ; {
			links, next, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, "it", p)
			if err != nil {
				return err
			}
			for _, l := range links {
				got = append(got, l.Left)
			}
			if p.After = next; next == "" {
				break
			}
		}
		links, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, "it", ref.Page{Limit: 9, Descending: true})
		for _, l := range links {
			got = append(got, l.Left)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "c", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// later is the certificate as it is after its change.
func later() *certs.Certificate {
	c := certificate(1)
	c.Status, c.Version, c.Modified = certs.Active, 2, noon.Add(time.Minute)
	return c
}

// laterThing is the thing as it is after its change.
func laterThing() *things.Thing {
	th := thing("it")
	th.Type, th.BillingGroup, th.Attributes, th.Version = "", "south", map[string]string{"a": "b"}, 2
	return th
}

// spent is the token as it is after its change.
func spent() *certs.TokenRecord {
	r := ticket()
	r.Spent, r.Request, r.Answer = true, certs.Digest{2}, []byte("answer")
	return r
}

// seen looks twice, in both ways in which a device is looked up.
func seen(t *testing.T, db store.DB, want state) {
	t.Helper()
	for range 2 {
		for name, look := range map[string]func(context.Context, func(context.Context, store.Tx) error) error{"Peek": db.Peek, "Update": db.Update} {
			var got state
			if err := look(t.Context(), func(ctx context.Context, tx store.Tx) (err error) {
				got, err = stateOf(ctx, tx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got)\n%s", name, d)
			}
		}
	}
}
