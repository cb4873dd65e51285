package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// A step is one small thing to do to a registry.
type step struct {
	Op    string
	Name  string
	Other string
	Apart bool // in a part of the transaction (store.Tx.Each)
}

var ops = []string{"insert", "update", "delete", "get", "link", "drop", "lefts", "list", "issue", "stamp", "burn", "read", "fail"}

// A trace is what one transaction did and saw. Turn is its place among all,
// since every transaction counts one counter up.
type trace struct {
	Turn  int64
	Steps []step
	Saw   []string
}

// model runs random transactions at once and asserts that what they saw is
// what they would have seen one by one, in the order of the counter.
func model(t *testing.T, open Open) {
	db := open(t)
	account := 0
	rapid.Check(t, func(rt *rapid.T) {
		account++
		tenant := arn.Tenant{Account: fmt.Sprintf("%012d", account), Region: "us-east-1"}
		runs := rapid.SliceOfN(rapid.SliceOfN(steps(), 1, 4), 1, 5)
		clients := rapid.SliceOfN(runs, 1, 4).Draw(rt, "clients")
		var (
			mu     sync.Mutex
			traces []trace
		)
		together(len(clients), func(i int) {
			for _, steps := range clients[i] {
				tr := trace{Steps: steps}
				err := db.Update(context.Background(), func(ctx context.Context, tx tx) (err error) {
					tr.Turn, tr.Saw, err = perform(ctx, tx, tenant, steps)
					return err
				})
				mu.Lock()
				if err == nil {
					traces = append(traces, tr)
				} else if err != errMind {
					rt.Errorf("Update: %v", err)
				}
				mu.Unlock()
			}
		})
		slices.SortFunc(traces, func(a, b trace) int { return int(a.Turn - b.Turn) })
		m := newPaper()
		for i, tr := range traces {
			if tr.Turn != int64(i+1) {
				rt.Fatalf("transaction %d has turn %d", i+1, tr.Turn)
			}
			if d := cmp.Diff(m.perform(tr.Steps), tr.Saw); d != "" {
				rt.Fatalf("turn %d, %v (-one by one +store)\n%s", tr.Turn, tr.Steps, d)
			}
		}
	})
}

func steps() *rapid.Generator[step] {
	return rapid.Custom(func(rt *rapid.T) step {
		some := rapid.SampledFrom([]string{"a", "b", "c"})
		return step{rapid.SampledFrom(ops).Draw(rt, "op"), some.Draw(rt, "name"), some.Draw(rt, "other"), rapid.IntRange(0, 7).Draw(rt, "apart") == 7}
	})
}

// perform does the steps on a store, after counting up.
func perform(ctx context.Context, tx store.Tx, tenant arn.Tenant, steps []step) (turn int64, saw []string, err error) {
	th, err := tx.Thing(ctx, tenant, "turn")
	if fault.Is(err, fault.Missing) {
		th = &things.Thing{Tenant: tenant, Name: "turn", Version: 1}
		err = tx.InsertThing(ctx, th)
	} else if err == nil {
		th.Version++
		err = tx.UpdateThing(ctx, th)
	}
	if err != nil {
		return 0, nil, err
	}
	for _, s := range steps {
		if s.Op == "fail" {
			return 0, nil, errMind
		}
		var got string
		if s.Apart {
			err = tx.Each(ctx, 1, func(ctx context.Context, part store.Tx, _ int) (err error) {
				got, err = s.on(ctx, part, tenant)
				return err
			})
		} else {
			got, err = s.on(ctx, tx, tenant)
		}
		switch {
		case fault.Is(err, fault.Missing), fault.Is(err, fault.Exists):
			got = fault.Of(err).String()
		case err != nil:
			return 0, nil, err
		}
		saw = append(saw, got)
	}
	return th.Version, saw, nil
}

func (s step) on(ctx context.Context, tx store.Tx, tenant arn.Tenant) (string, error) {
	th := &things.Thing{Tenant: tenant, Name: s.Name, Attributes: map[string]string{"by": s.Other}}
	c := &certs.Certificate{Tenant: tenant, ID: arn.CertID(s.Name), PEM: s.Name, Status: certs.Status(s.Other)}
	switch s.Op {
	case "insert":
		return "ok", tx.InsertThing(ctx, th)
	case "update":
		return "ok", tx.UpdateThing(ctx, th)
	case "delete":
		return "ok", tx.DeleteThing(ctx, tenant, s.Name)
	case "get":
		th, err := tx.Thing(ctx, tenant, s.Name)
		if err != nil {
			return "", err
		}
		return th.Attributes["by"], nil
	case "link":
		created, err := tx.PutLink(ctx, tenant, ref.GroupThing, ref.Link{Left: s.Name, Right: s.Other})
		return fmt.Sprint(created), err
	case "drop":
		existed, err := tx.DropLink(ctx, tenant, ref.GroupThing, s.Name, s.Other)
		return fmt.Sprint(existed), err
	case "issue":
		return "ok", tx.InsertCertificate(ctx, c)
	case "stamp":
		return "ok", tx.UpdateCertificate(ctx, c)
	case "burn":
		return "ok", tx.DeleteCertificate(ctx, tenant, c.ID)
	case "read":
		c, err := tx.Certificate(ctx, tenant, c.ID)
		if err != nil {
			return "", err
		}
		return string(c.Status), nil
	case "lefts":
		links, _, err := tx.Lefts(ctx, tenant, ref.GroupThing, s.Other, ref.All)
		out := []string{}
		for _, l := range links {
			out = append(out, l.Left)
		}
		return fmt.Sprint(out), err
	default:
		all, _, err := tx.ListThings(ctx, tenant, things.Filter{}, ref.All)
		out := []string{}
		for _, th := range all {
			if th.Name != "turn" {
				out = append(out, th.Name)
			}
		}
		return fmt.Sprint(out), err
	}
}

// A paper is the registry as one would keep it on paper.
type paper struct {
	things, certs map[string]string
	links         map[[2]string]bool
}

func newPaper() *paper {
	return &paper{things: map[string]string{}, certs: map[string]string{}, links: map[[2]string]bool{}}
}

func (p *paper) perform(steps []step) []string {
	var saw []string
	for _, s := range steps {
		saw = append(saw, p.step(s))
	}
	return saw
}

func put(on map[string]string, s step) string {
	if _, known := on[s.Name]; known {
		return fault.Exists.String()
	}
	on[s.Name] = s.Other
	return "ok"
}

// look looks a record up that is to be read, changed or deleted.
func look(on map[string]string, s step) string {
	by, known := on[s.Name]
	if !known {
		return fault.Missing.String()
	}
	switch s.Op {
	case "get", "read":
		return by
	case "delete", "burn":
		delete(on, s.Name)
	default:
		on[s.Name] = s.Other
	}
	return "ok"
}

func (p *paper) step(s step) string {
	link := [2]string{s.Name, s.Other}
	switch s.Op {
	case "insert":
		return put(p.things, s)
	case "issue":
		return put(p.certs, s)
	case "update", "delete", "get":
		return look(p.things, s)
	case "stamp", "burn", "read":
		return look(p.certs, s)
	case "link", "drop":
		was := p.links[link]
		if s.Op == "drop" {
			delete(p.links, link)
			return fmt.Sprint(was)
		}
		p.links[link] = true
		return fmt.Sprint(!was)
	case "lefts":
		out := []string{}
		for l := range p.links {
			if l[1] == s.Other {
				out = append(out, l[0])
			}
		}
		slices.Sort(out)
		return fmt.Sprint(out)
	default:
		return fmt.Sprint(slices.Sorted(maps.Keys(p.things)))
	}
}
