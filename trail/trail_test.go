package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/things"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A rig is a recorded store and a caller of it.
type rig struct {
	*DB
	t   *testing.T
	ctx context.Context
}

var caller = Cause{
	Tenant: arn.Default, Who: audit.Who{Key: "AKIAEXAMPLE1", Name: "ci", Role: "operator"},
	From: "192.0.2.7:4711", Action: "iot:Something", RequestID: "request-1",
}

func recorded(t *testing.T, under store.DB) *rig {
	views := map[string]Viewer{"sealed": func(body []byte) (any, error) {
		if string(body) == "damaged" {
			return nil, errors.New("damaged")
		}
		return map[string]string{"kind": "http"}, nil
	}}
	return &rig{New(under, func() time.Time { return noon }, views), t, With(context.Background(), caller)}
}

func (r *rig) do(f func(context.Context, store.Tx) error) {
	r.t.Helper()
	if err := r.Update(r.ctx, f); err != nil {
		r.t.Fatal(err)
	}
}

// trail gives the records so far, the oldest first.
func (r *rig) trail() (out []*audit.Record) {
	r.t.Helper()
	err := r.View(r.ctx, func(ctx context.Context, tx store.Tx) error {
		entries, err := tx.UnsealedAudit(ctx, 1000)
		for _, e := range entries {
			rec, err := audit.Open(e.Body)
			if err != nil {
				return err
			}
			out = append(out, rec)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// last is the newest record's changes in short.
func (r *rig) last() string {
	r.t.Helper()
	all := r.trail()
	if len(all) == 0 {
		return ""
	}
	var out []string
	for _, c := range all[len(all)-1].Changes {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s > %s", c.Kind, c.Name, c.To, c.Before, c.After)))
	}
	return strings.Join(out, "\n")
}

func thing(room string, version int64) *things.Thing {
	return &things.Thing{Tenant: arn.Default, Name: "lamp", ID: "id", Attributes: map[string]string{"room": room}, Version: version, Created: noon}
}

func TestARecordSaysWhoWhatWhenAndFromWhere(t *testing.T) {
	r := recorded(t, open(t))
	r.do(func(ctx context.Context, tx store.Tx) error { return tx.InsertThing(ctx, thing("hall", 1)) })
	all := r.trail()
	if len(all) != 1 {
		t.Fatalf("%d records", len(all))
	}
	got := all[0]
	if got.Who != caller.Who || got.Action != caller.Action || got.RequestID != caller.RequestID || got.From != "192.0.2.7" || !got.At.Equal(noon) || got.Tenant() != arn.Default || got.Outcome != audit.Done {
		t.Errorf("got %+v", got)
	}
	select {
	case <-r.Recorded():
	default:
		t.Error("nobody was told")
	}
}

func TestResourcesBeforeAndAfter(t *testing.T) {
	r := recorded(t, open(t))
	for _, c := range []struct {
		name string
		do   func(context.Context, store.Tx) error
		want string
	}{
		{"made", func(ctx context.Context, tx store.Tx) error { return tx.InsertThing(ctx, thing("hall", 1)) },
			`thing lamp : null > {"attributes":{"room":"hall"},"created":"2026-03-01T12:00:00Z","id":"id","name":"lamp","version":1}`},
		{"changed twice in one call", func(ctx context.Context, tx store.Tx) error {
			return errors.Join(tx.UpdateThing(ctx, thing("cellar", 2)), tx.UpdateThing(ctx, thing("attic", 3)))
		}, `thing lamp : {"attributes":{"room":"hall"},"created":"2026-03-01T12:00:00Z","id":"id","name":"lamp","version":1}` +
			` > {"attributes":{"room":"attic"},"created":"2026-03-01T12:00:00Z","id":"id","name":"lamp","version":3}`},
		{"tied together", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.PutLink(ctx, arn.Default, ref.ThingPrincipal, ref.Link{Left: "lamp", Right: "arn:x", Data: things.Exclusive, Created: noon})
			return err
		}, `thing-principal lamp arn:x: null > {"created":"2026-03-01T12:00:00Z","type":"EXCLUSIVE_THING"}`},
		{"untied and removed", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.DropLink(ctx, arn.Default, ref.ThingPrincipal, "lamp", "arn:x")
			return errors.Join(err, tx.DeleteThing(ctx, arn.Default, "lamp"))
		}, `thing-principal lamp arn:x: {"created":"2026-03-01T12:00:00Z","type":"EXCLUSIVE_THING"} > null` + "\n" +
			`thing lamp : {"attributes":{"room":"attic"},"created":"2026-03-01T12:00:00Z","id":"id","name":"lamp","version":3} > null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.do(c.do)
			if got := r.last(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	if n := len(r.trail()); n != 4 {
		t.Errorf("%d records of 4 calls", n)
	}
}

func TestWhatChangesNothingLeavesNoRecord(t *testing.T) {
	r := recorded(t, open(t))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(r.Update(context.Background(), func(ctx context.Context, tx store.Tx) error { return tx.InsertThing(ctx, thing("hall", 1)) }))
	for name, f := range map[string]func(context.Context, store.Tx) error{
		"a device's transaction, which has no cause, aside": func(context.Context, store.Tx) error { return nil },
		"reading": func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Thing(ctx, arn.Default, "lamp")
			return err
		},
		"writing what is there": func(ctx context.Context, tx store.Tx) error { return tx.UpdateThing(ctx, thing("hall", 1)) },
		"a name that was taken": func(ctx context.Context, tx store.Tx) error {
			if err := tx.InsertThing(ctx, thing("attic", 1)); !fault.Is(err, fault.Exists) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
		"made and removed again": func(ctx context.Context, tx store.Tx) error {
			return errors.Join(tx.PutDocument(ctx, arn.Default, "rule", "x", []byte("{}")), tx.DeleteDocument(ctx, arn.Default, "rule", "x"))
		},
		"a link that is not there": func(ctx context.Context, tx store.Tx) error {
			_, err := tx.DropLink(ctx, arn.Default, ref.GroupThing, "a", "b")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { r.do(f) })
	}
	sorry := errors.New("sorry")
	err := r.Update(r.ctx, func(ctx context.Context, tx store.Tx) error {
		return errors.Join(tx.UpdateThing(ctx, thing("attic", 2)), sorry)
	})
	if !errors.Is(err, sorry) {
		t.Errorf("got %v", err)
	}
	if all := r.trail(); len(all) != 0 {
		t.Errorf("got %+v", all[0])
	}
}

// twice is a store whose every transaction loses its first conflict.
type twice struct{ store.DB }

func (d twice) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	lost := errors.New("lost")
	if err := d.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error { return errors.Join(f(ctx, tx), lost) }); !errors.Is(err, lost) {
		return err
	}
	return d.DB.Update(ctx, f)
}

func TestAFunctionThatRunsAgainLeavesOneRecordOfItsLastRun(t *testing.T) {
	r := recorded(t, twice{open(t)})
	run := int64(0)
	r.do(func(ctx context.Context, tx store.Tx) error {
		run++
		return tx.InsertThing(ctx, thing(fmt.Sprint("room ", run), run))
	})
	if got := r.last(); len(r.trail()) != 1 || !strings.Contains(got, "room 2") || strings.Contains(got, "room 1") {
		t.Errorf("%d records, the last: %s", len(r.trail()), got)
	}
}

func TestARecordOfAnotherAccountsResourceNamesIt(t *testing.T) {
	r := recorded(t, open(t))
	other := arn.Tenant{Account: "111122223333", Region: "eu-west-1"}
	r.do(func(ctx context.Context, tx store.Tx) error {
		return errors.Join(tx.InsertTenant(ctx, &tenants.Record{Tenant: other, Created: noon}),
			tx.InsertAccessKey(ctx, &tenants.AccessKey{ID: "AKIAEXAMPLE2", Account: other.Account, Role: tenants.Auditor, Sealed: []byte("hush")}))
	})
	got := r.trail()[0]
	if got.Tenant() != arn.Default || got.Changes[0].Account != other.Account || got.Changes[0].Region != other.Region || got.Changes[1].Account != other.Account || got.Changes[1].Region != "" {
		t.Errorf("got %+v", got)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	r := recorded(t, open(t))
	const hush = "hush-hush"
	token := &certs.TokenRecord{Tenant: arn.Default, Digest: certs.Digest([]byte(hush + strings.Repeat("x", 32-len(hush)))), CertID: "c", Expires: noon}
	spent := *token
	spent.Spent, spent.Answer, spent.Request = true, []byte(hush), token.Digest
	key := &tenants.AccessKey{ID: "AKIAEXAMPLE2", Account: arn.Default.Account, Role: tenants.Auditor, Sealed: []byte(hush), Name: "eve"}
	resealed := *key
	resealed.Sealed = []byte(hush + " again")
	for name, c := range map[string]struct {
		do   func(context.Context, store.Tx) error
		want string
	}{
		"an access key": {func(ctx context.Context, tx store.Tx) error { return tx.InsertAccessKey(ctx, key) },
			`key AKIAEXAMPLE2 : null > {"account":"000000000000","id":"AKIAEXAMPLE2","name":"eve","role":"auditor","sealed":"(hidden)"}`},
		"an ownership token": {func(ctx context.Context, tx store.Tx) error {
			return errors.Join(tx.InsertToken(ctx, token), tx.SpendToken(ctx, &spent))
		}, `ownership-token c : null > {"answer":"(hidden)","certId":"c","digest":"(hidden)","expires":"2026-03-01T12:00:00Z","request":"(hidden)","spent":true}`},
		"a document that is sealed": {func(ctx context.Context, tx store.Tx) error {
			return tx.PutDocument(ctx, arn.Default, "sealed", "a", []byte(hush))
		}, `sealed a : null > {"kind":"http"}`},
		"one that does not open": {func(ctx context.Context, tx store.Tx) error {
			return tx.PutDocument(ctx, arn.Default, "sealed", "b", []byte("damaged"))
		}, `sealed b : null > {"content":"(hidden)"}`},
		"a document that is one text": {func(ctx context.Context, tx store.Tx) error {
			return tx.PutDocument(ctx, arn.Default, "registration-code", "code", []byte(`"`+hush+`"`))
		}, `registration-code code : null > {"content":"(hidden)"}`},
		"a member of a document": {func(ctx context.Context, tx store.Tx) error {
			return tx.PutDocument(ctx, arn.Default, "destination", "d", []byte(`{"url":"https://me:`+hush+`@a.example/?k=`+hush+`","challenge":"`+hush+`"}`))
		}, `destination d : null > {"challenge":"(hidden)","url":"https://hidden@a.example/?hidden"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r.do(c.do)
			if got := r.last(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	t.Run("that a secret changed is seen all the same", func(t *testing.T) {
		r.do(func(ctx context.Context, tx store.Tx) error { return tx.UpdateAccessKey(ctx, &resealed) })
		if got := r.last(); !strings.Contains(got, `> {"hidden":"changed","shown":{"account"`) {
			t.Errorf("got %s", got)
		}
	})
	for _, rec := range r.trail() {
		if text, _ := json.Marshal(rec); strings.Contains(string(text), hush) || strings.Contains(string(text), "aHVzaC") {
			t.Errorf("a secret was kept: %s", text)
		}
	}
}

func TestWhatStaysTheSameIsNotKeptTwice(t *testing.T) {
	r := recorded(t, open(t))
	long := strings.Repeat("x", 500)
	p := &policy.Record{Tenant: arn.Default, Name: "p", Default: "1", Next: 2, Versions: []policy.VersionRecord{{ID: "1", Document: long}}}
	c := &certs.Certificate{Tenant: arn.Default, ID: "c", PEM: long, Status: certs.Active}
	r.do(func(ctx context.Context, tx store.Tx) error {
		return errors.Join(tx.PutPolicy(ctx, p), tx.InsertCertificate(ctx, c))
	})
	if n := strings.Count(r.last(), long); n != 2 {
		t.Errorf("the texts stand %d times in the record of their making", n)
	}
	p.Versions, p.Next = append(p.Versions, policy.VersionRecord{ID: "2", Document: long + "2"}), 3
	c.Status = certs.Revoked
	r.do(func(ctx context.Context, tx store.Tx) error {
		return errors.Join(tx.PutPolicy(ctx, p), tx.UpdateCertificate(ctx, c))
	})
	got := r.last()
	if n := strings.Count(got, long); n != 1 || !strings.Contains(got, long+"2") || !strings.Contains(got, `"pem":"sha256 `) || !strings.Contains(got, `"status":"REVOKED"`) {
		t.Errorf("got %s", got)
	}
}

func TestAGroupOfManyLeavesARecordOfBoundedSize(t *testing.T) {
	r := recorded(t, open(t))
	const members = maxLinks + 50
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		for i := range members {
			if _, err := tx.PutLink(ctx, arn.Default, ref.GroupThing, ref.Link{Left: "hall", Right: fmt.Sprint("lamp-", i)}); err != nil {
				return err
			}
		}
		return tx.PutGroup(ctx, arn.Default, &things.Group{Name: "hall"})
	}))
	r.do(func(ctx context.Context, tx store.Tx) error {
		return things.DeleteGroup(ctx, tx, arn.Default, "hall", 0, noon)
	})
	got := r.trail()[0]
	if last := got.Changes[len(got.Changes)-1]; len(got.Changes) != maxLinks+1 || got.More != 50 || last.Kind != "thinggroup" {
		t.Errorf("%d changes and %d more, the last of %s", len(got.Changes), got.More, last.Kind)
	}
}

func TestDenialsAreRecordedAndBounded(t *testing.T) {
	now := noon
	r := recorded(t, open(t))
	r.now = func() time.Time { return now }
	deny := func(c Cause) {
		t.Helper()
		if err := r.Denied(r.ctx, c, "User: eve is not authorized."); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		deny(caller)
	}
	now = now.Add(denialWindow)
	deny(caller)
	all := r.trail()
	if len(all) != 2 || all[0].Outcome != audit.Denied || all[0].Reason != "User: eve is not authorized." || !strings.Contains(all[1].Reason, "499 times more") {
		t.Fatalf("%d records: %+v", len(all), all)
	}
	t.Run("by many keys too", func(t *testing.T) {
		now = now.Add(denialWindow)
		for i := range 3 * denialLimit {
			c := caller
			c.Who.Key = fmt.Sprint("AKIA", i)
			deny(c)
		}
		if n := len(r.trail()); n != 2+denialLimit {
			t.Errorf("%d records", n)
		}
	})
}
