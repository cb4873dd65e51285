package races

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/things"
)

// runners is how many calls meet in one contest. The limits on versions, of
// five, and on policies, of ten, lie below it.
const runners = 12

// A contest is what runners do at the same moment, each in its own way.
type contest struct {
	say     string
	before  []request
	run     func(i int) request
	winners int
	others  string // what the rest is refused with
}

func attributes(i int) object {
	return object{"attributes": object{"by": fmt.Sprint(i)}}
}

func many(make func(i int) request) (out []request) {
	for i := range runners {
		out = append(out, make(i))
	}
	return out
}

func (a *account) contests() []contest {
	put := func(path string, body object) request { return request{method: http.MethodPut, path: path, body: body} }
	post := func(path string, body object) request {
		return request{method: http.MethodPost, path: path, body: body}
	}
	patch := func(path string, body object) request {
		return request{method: http.MethodPatch, path: path, body: body}
	}
	numbered := func(path string) func(int) request {
		return func(i int) request { return post(fmt.Sprint(path, i), object{}) }
	}
	described := func(member string, i int) object {
		return object{member + "Properties": object{member + "Description": fmt.Sprint(i)}}
	}
	return []contest{
		{"one thing is made", nil,
			func(i int) request { return post("/things/t", object{"attributePayload": attributes(i)}) }, 1, exists},
		{"one policy is made", nil,
			func(int) request { return post("/policies/p", object{"policyDocument": document}) }, 1, exists},
		{"one thing type is made", nil,
			func(i int) request { return post("/thing-types/t", described("thingType", i)) }, 1, exists},
		{"one thing group is made", nil,
			func(i int) request { return post("/thing-groups/g", described("thingGroup", i)) }, 1, exists},
		{"one billing group is made", nil,
			func(i int) request { return post("/billing-groups/g", described("billingGroup", i)) }, 1, exists},
		{"one update meets the version of a thing that it expects", []request{post("/things/t", object{})},
			func(i int) request {
				return patch("/things/t", object{"expectedVersion": 1, "attributePayload": attributes(i)})
			}, 1, version},
		{"one update meets the version of a thing group that it expects", []request{post("/thing-groups/g", object{})},
			func(i int) request {
				body := described("thingGroup", i)
				body["expectedVersion"] = 1
				return patch("/thing-groups/g", body)
			}, 1, version},
		{"one update meets the version of a billing group that it expects", []request{post("/billing-groups/g", object{})},
			func(i int) request {
				body := described("billingGroup", i)
				body["expectedVersion"] = 1
				return patch("/billing-groups/g", body)
			}, 1, version},
		{"one thing holds an exclusive principal", many(numbered("/things/t")),
			func(i int) request {
				return request{method: http.MethodPut, path: fmt.Sprintf("/things/t%d/principals", i), principal: a.target("cert-a"),
					query: map[string][]string{"thingPrincipalType": {things.Exclusive}}}
			}, 1, invalid},
		{"one billing group takes a thing", append(many(numbered("/billing-groups/g")), post("/things/t", object{})),
			func(i int) request {
				return put("/billing-groups/addThingToBillingGroup", object{"billingGroupName": fmt.Sprint("g", i), "thingName": "t"})
			}, 1, invalid},
		{"one group of a hierarchy takes a thing",
			append([]request{post("/things/t", object{}), post("/thing-groups/top", object{})},
				many(func(i int) request { return post(fmt.Sprint("/thing-groups/g", i), object{"parentGroupName": "top"}) })...),
			func(i int) request {
				return put("/thing-groups/addThingToThingGroup", object{"thingGroupName": fmt.Sprint("g", i), "thingName": "t"})
			}, 1, invalid},
		{"four versions join the first", []request{post("/policies/p", object{"policyDocument": document})},
			func(int) request { return post("/policies/p/version", object{"policyDocument": document}) }, 4, versions},
		{"ten policies are attached to a certificate",
			many(func(i int) request { return post(fmt.Sprint("/policies/p", i), object{"policyDocument": document}) }),
			func(i int) request {
				return put(fmt.Sprint("/target-policies/p", i), object{"target": a.target("cert-a")})
			}, 10, "LimitExceededException"},
		{"one deletes a policy", []request{post("/policies/p", object{"policyDocument": document})},
			func(int) request { return request{method: http.MethodDelete, path: "/policies/p"} }, 1, missing},
		{"one deletes a certificate", nil,
			func(int) request {
				return request{method: http.MethodDelete, path: api.Path("certificates", string(certID("cert-a")))}
			}, 1, missing},
	}
}

// TestWinners asserts how many of the calls that meet succeed, and that all
// others hear why they did not.
func TestWinners(t *testing.T) {
	eachStore(t, func(t *testing.T, s *site) {
		for i := range s.account().contests() {
			a := s.account()
			c := a.contests()[i]
			t.Run(c.say, func(t *testing.T) {
				if err := a.addCertificate(t.Context(), "cert-a", "INACTIVE"); err != nil {
					t.Fatal(err)
				}
				for _, q := range c.before {
					if got, err := a.send(t.Context(), q); got != ok {
						t.Fatal(q.path, got, err)
					}
				}
				want := map[string]int{ok: c.winners, c.others: runners - c.winners}
				if got := a.meet(t, c.run); !maps.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	})
}

// meet lets the runners go and counts what they were answered.
func (a *account) meet(t *testing.T, run func(int) request) map[string]int {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		count = map[string]int{}
		start = make(chan struct{})
	)
	for i := range runners {
		all.Go(func() {
			<-start
			got, err := a.send(t.Context(), run(i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			count[got]++
		})
	}
	close(start)
	all.Wait()
	return count
}
