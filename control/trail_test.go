package control

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/trail"
)

// looks are the steps of the journey that change nothing.
var looks = []string{"TestAuthorization", "TestInvokeAuthorizer"}

// Every operation of AWS's that changes something leaves a record of it, and
// none that only looks leaves any.
func TestEveryChangeIsRecorded(t *testing.T) {
	mail := &mailbox{}
	s := open(t, func(c *Config) {
		c.Dev, c.Deliver = true, mail.deliver
		c.DB = trail.New(c.DB, time.Now, nil)
		c.Issuer.(*provision.Service).DB = c.DB
	})
	o := newOwner(t, s, mail, 0)
	sdk := newSDK(s, o.tenant.Account)
	known := len(recorded(t, s, o))
	step := func(t *testing.T, name, input string, changes bool) map[string]any {
		t.Helper()
		body := sdk.call(t, name, o.fill(input))
		all := recorded(t, s, o)
		switch {
		case !changes && len(all) != known:
			t.Errorf("it left %+v", all[0])
		case changes && len(all) != known+1:
			t.Errorf("it left %d records", len(all)-known)
		case changes && (all[0].Action != "iot:"+name || len(all[0].Changes) == 0 || all[0].Who.Key != o.tenant.Account || all[0].From == "" || all[0].RequestID == ""):
			t.Errorf("it left %+v", all[0])
		}
		known = len(all)
		return body
	}
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		if reads(name) {
			t.Run(name, func(t *testing.T) { step(t, name, samples[name], false) })
		}
	}
	for _, next := range journey {
		t.Run(next.operation, func(t *testing.T) {
			body := step(t, next.operation, next.input, !reads(next.operation) && !slices.Contains(looks, next.operation))
			for name, member := range next.keep {
				o.names[name] = dig(body, member)
			}
		})
	}
	for _, r := range recorded(t, s, o) {
		for _, c := range r.Changes {
			if text := string(c.Before) + string(c.After); strings.Contains(text, "PRIVATE KEY") {
				t.Errorf("%s told the trail a key: %s", r.Action, text)
			}
		}
	}
}

// recorded are the records of the owner's account, the newest first.
func recorded(t *testing.T, s *site, o *owner) (all []*audit.Record) {
	t.Helper()
	err := s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		found, _, err := tx.FindAudit(ctx, o.tenant, audit.Filter{}, ref.Page{Limit: 10_000})
		all = nil
		for _, e := range found {
			r, err := audit.Open(e.Body)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
