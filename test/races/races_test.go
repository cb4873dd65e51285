// Package races asks a control plane many things at once, and whether its
// answers are those of one that is asked one thing at a time.
package races

import (
	"context"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/things"
)

// Few names, so that calls meet. Group y stands below x.
var (
	thingNames   = []string{"t1", "t2"}
	groupNames   = []string{"x", "y", "z"}
	billingNames = []string{"b1", "b2"}
	policyNames  = []string{"p1", "p2"}
	certNames    = []string{"cert-a", "cert-b"}
)

// Rounds are short enough for the search, which is quick up to some thirty
// calls.
const (
	clients = 4
	turns   = 6
)

// TestAnswersAreThoseOfOneAtATime lets clients make random calls at once and
// looks for an order of all of them, one after the other, that explains each
// answer and what the store holds in the end.
func TestAnswersAreThoseOfOneAtATime(t *testing.T) {
	eachStore(t, func(t *testing.T, s *site) {
		rapid.Check(t, func(rt *rapid.T) {
			a, from := s.account(), blank()
			if err := a.furnish(t.Context(), rt, from); err != nil {
				rt.Fatal(err)
			}
			// Few actions on the same records meet more often than all of them do.
			family := rapid.SampledFrom(families).Draw(rt, "family")
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(family), 2, 5, rapid.ID).Draw(rt, "actions")
			programs := rapid.SliceOfN(rapid.SliceOfN(calls(some), 1, turns), 2, clients).Draw(rt, "programs")
			history, err := a.run(t.Context(), programs)
			if err != nil {
				rt.Fatal(err)
			}
			if why := explain(from, history); why != "" {
				rt.Fatal(why)
			}
		})
	})
}

// furnish makes some of what the calls are about, in the account and on paper.
func (a *account) furnish(ctx context.Context, rt *rapid.T, r *registry) error {
	for _, name := range certNames {
		r.Certs[name] = rapid.SampledFrom([]string{"ACTIVE", "INACTIVE"}).Draw(rt, name)
		if err := a.addCertificate(ctx, name, r.Certs[name]); err != nil {
			return err
		}
	}
	some := []call{
		{Do: "CreateThing", X: "t1", By: "setup"}, {Do: "CreateThingGroup", X: "x"}, {Do: "CreateThingGroup", X: "y", Y: "x"},
		{Do: "CreateBillingGroup", X: "b1"}, {Do: "CreatePolicy", X: "p1"}, {Do: "CreatePolicyVersion", X: "p1"},
		{Do: "AttachThingPrincipal", X: "t1", Y: "cert-a", By: things.NonExclusive}, {Do: "AttachPolicy", X: "p1", Y: "cert-a"},
		{Do: "AddThingToThingGroup", X: "y", Y: "t1"}, {Do: "AddThingToBillingGroup", X: "b1", Y: "t1"},
	}
	for _, c := range some {
		if rapid.IntRange(0, 3).Draw(rt, c.Do) == 0 {
			continue
		}
		got, err := a.do(ctx, c)
		if err != nil {
			return err
		}
		if want := r.step(c); got != want {
			rt.Fatalf("alone, %v gave %s and not %s", c, got, want)
		}
	}
	return nil
}

// run lets the clients go, and reads what is stored when all are done.
func (a *account) run(ctx context.Context, programs [][]call) ([]entry, error) {
	var (
		time   clock
		all    sync.WaitGroup
		mu     sync.Mutex
		failed error
		out    []entry
	)
	ask := func(c call) {
		e := entry{call: c, asked: time.now()}
		got, err := a.do(ctx, c)
		e.answer, e.replied = got, time.now()
		mu.Lock()
		defer mu.Unlock()
		out = append(out, e)
		if err != nil {
			failed = err
		}
	}
	start := make(chan struct{})
	for i, program := range programs {
		all.Go(func() {
			<-start
			for j, c := range program {
				if c.By == "own" {
					c.By = string(rune('a'+i)) + string(rune('0'+j))
				}
				ask(c)
			}
		})
	}
	close(start)
	all.Wait()
	ask(call{Do: "everything"})
	return out, failed
}

func calls(actions []string) *rapid.Generator[call] {
	return rapid.Custom(func(rt *rapid.T) call {
		pick := func(names ...string) string { return rapid.SampledFrom(names).Draw(rt, "name") }
		some := func(names []string) string { return pick(names...) }
		c := call{Do: rapid.SampledFrom(actions).Draw(rt, "do")}
		switch c.Do {
		case "CreateThing":
			c.X, c.By = some(thingNames), pick("setup", "own")
		case "UpdateThing":
			c.X, c.N, c.By = some(thingNames), rapid.IntRange(0, 3).Draw(rt, "expected"), "own"
		case "DeleteThing":
			c.X, c.N = some(thingNames), rapid.IntRange(0, 2).Draw(rt, "expected")
		case "ListThings":
			c.By = "setup"
		case "DescribeThing", "ListThingPrincipals":
			c.X = some(thingNames)
		case "AttachThingPrincipal", "DetachThingPrincipal":
			c.X, c.Y = some(thingNames), some(certNames)
			if c.Do == "AttachThingPrincipal" {
				c.By = pick(things.NonExclusive, things.Exclusive)
			}
		case "CreatePolicy", "CreatePolicyVersion", "ListPolicyVersions", "DeletePolicy":
			c.X = some(policyNames)
		case "DeletePolicyVersion":
			c.X, c.N = some(policyNames), rapid.IntRange(1, 3).Draw(rt, "version")
		case "AttachPolicy", "DetachPolicy":
			c.X, c.Y = some(policyNames), pick("cert-a", "cert-b", "x", "y")
		case "ListAttachedPolicies":
			c.Y = pick("cert-a", "cert-b", "x", "y")
		case "UpdateCertificate":
			c.X, c.By = some(certNames), pick("ACTIVE", "INACTIVE", "INACTIVE", "REVOKED")
		case "DeleteCertificate":
			c.X, c.By = some(certNames), pick("", "force")
		case "DescribeCertificate":
			c.X = some(certNames)
		case "CreateThingGroup":
			c.X = some(groupNames)
			if c.X == "y" {
				c.Y = "x"
			}
		case "DeleteThingGroup", "ListThingsInThingGroup":
			c.X = some(groupNames)
		case "AddThingToThingGroup", "RemoveThingFromThingGroup":
			c.X, c.Y = some(groupNames), some(thingNames)
		case "CreateBillingGroup", "DeleteBillingGroup":
			c.X = some(billingNames)
		default:
			c.X, c.Y = some(billingNames), some(thingNames)
		}
		return c
	})
}

// families are the actions that touch the same records.
var families = [][]string{
	{"CreateThing", "UpdateThing", "DeleteThing", "DescribeThing", "ListThings", "AttachThingPrincipal", "DetachThingPrincipal", "ListThingPrincipals"},
	{"UpdateCertificate", "DeleteCertificate", "DescribeCertificate", "AttachThingPrincipal", "DetachThingPrincipal", "AttachPolicy", "DetachPolicy", "ListAttachedPolicies"},
	{"CreatePolicy", "CreatePolicyVersion", "DeletePolicyVersion", "ListPolicyVersions", "DeletePolicy", "AttachPolicy", "DetachPolicy"},
	{"CreateThingGroup", "DeleteThingGroup", "AddThingToThingGroup", "RemoveThingFromThingGroup", "ListThingsInThingGroup", "CreateThing", "DeleteThing", "AttachPolicy"},
	{"CreateBillingGroup", "DeleteBillingGroup", "AddThingToBillingGroup", "RemoveThingFromBillingGroup", "CreateThing", "UpdateThing", "DeleteThing", "DescribeThing", "ListThings"},
}
