package control

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control/internal/model"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/tenants"
)

func TestRateQuotas(t *testing.T) {
	began := time.Now()
	var passed atomic.Int64 // nanoseconds; the clock stands still otherwise
	clock := func(c *Config) { c.Now = func() time.Time { return began.Add(time.Duration(passed.Load())) } }
	list := func(s *site, key string) answer { return s.sendAs(key, "GET", "/rules", "") } // 2 a second
	const throttled = "Rate exceeded: ListTopicRules is granted 2 requests a second to account 000000000000 in us-east-1 (profile aws)."
	admin := keyOf(tenants.Admin)

	t.Run("there are none unless somebody asks for them", func(t *testing.T) {
		s := open(t, clock)
		for range 20 {
			list(s, admin).expect(t, 200, "", "")
		}
	})
	t.Run("with the profile aws a call over the quota is throttled, until its time comes", func(t *testing.T) {
		s := open(t, clock)
		s.set(tenants.AWS, nil)
		list(s, admin).expect(t, 200, "", "")
		list(s, admin).expect(t, 200, "", "")
		list(s, admin).expect(t, 400, "ThrottlingException", throttled)
		list(s, keyOf(tenants.Auditor)).expect(t, 400, "ThrottlingException", throttled)
		s.send("GET", "/things", "").expect(t, 200, "", "")
		list(s, "AKIAOTHERADMIN").expect(t, 200, "", "")
		passed.Add(int64(500 * time.Millisecond))
		list(s, admin).expect(t, 200, "", "")
		list(s, admin).expect(t, 400, "ThrottlingException", throttled)
		t.Run("an idle minute saves up one second's worth", func(t *testing.T) {
			passed.Add(int64(time.Minute))
			for _, status := range []int{200, 200, 400} {
				if got := list(s, admin); got.status != status {
					t.Errorf("got %d, want %d", got.status, status)
				}
			}
		})
		s.set(tenants.None, nil)
		list(s, admin).expect(t, 200, "", "")
	})
	t.Run("a server may hold every account to them, and one may be let off", func(t *testing.T) {
		s := open(t, func(c *Config) { clock(c); c.Profile = tenants.AWS })
		for _, status := range []int{200, 200, 400} {
			if got := list(s, "AKIAOTHERADMIN"); got.status != status {
				t.Errorf("got %d, want %d", got.status, status)
			}
		}
		s.set(tenants.None, nil)
		for range 5 {
			list(s, admin).expect(t, 200, "", "")
		}
	})
}

func TestQuotasNameOperations(t *testing.T) {
	known := map[string]bool{}
	for _, o := range model.Operations {
		known[o.Name] = true
	}
	for name := range perSecond {
		if !known[name] {
			t.Errorf("%s is no operation", name)
		}
	}
}

func TestQuotasForgetWhoStoppedAsking(t *testing.T) {
	q := &quotas{}
	now := time.Now()
	for second := range 5 {
		for i := range fewBuckets {
			tenant := arn.Tenant{Account: fmt.Sprintf("%012d", second*fewBuckets+i), Region: "us-east-1"}
			if err := q.spend(tenant, "iot:CreateThing", now); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Second)
	}
	if n := len(q.buckets); n > 2*fewBuckets {
		t.Errorf("%d buckets are kept of one second in which there were %d", n, fewBuckets)
	}
	if err := q.spend(arn.Default, "slipway:CreateClaim", now); err != nil {
		t.Errorf("an operation of ours: %v", err)
	}
	for range 2 {
		_ = q.spend(arn.Default, "iot:ListTopicRules", now)
	}
	if err := q.spend(arn.Default, "iot:ListTopicRules", now.Add(-time.Hour)); !fault.Is(err, fault.Throttled) {
		t.Errorf("with a clock that went back: %v", err)
	}
}
