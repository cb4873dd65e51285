package control

import (
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// perSecond is how many requests a second AWS grants an account for an
// operation (rest-api.md, section 7.11). For the others it is usualQuota.
var perSecond = quotaTable(map[float64]string{
	100: "CreateThing UpdateThing DeleteThing AttachThingPrincipal AddThingToThingGroup RemoveThingFromThingGroup ListThingGroupsForThing",
	60:  "AddThingToBillingGroup",
	30:  "RemoveThingFromBillingGroup",
	25:  "ListThingsInThingGroup ListThingsInBillingGroup CreateThingGroup CreateBillingGroup",
	20:  "ListThingPrincipals ListThingPrincipalsV2",
	15: "AttachPolicy AttachPrincipalPolicy CreateCertificateFromCsr CreateThingType DeleteThingType UpdateThingType " +
		"DeleteThingGroup UpdateThingGroup DeleteBillingGroup UpdateBillingGroup",
	5: "CreateTopicRule GetTopicRule ReplaceTopicRule DeleteTopicRule EnableTopicRule DisableTopicRule " +
		"CreateTopicRuleDestination GetTopicRuleDestination UpdateTopicRuleDestination DeleteTopicRuleDestination " +
		"CreateDynamicThingGroup UpdateDynamicThingGroup DeleteDynamicThingGroup",
	2: "ListTopicRules SetLoggingOptions SetV2LoggingOptions SetV2LoggingLevel",
	1: "CreateDomainConfiguration ListTopicRuleDestinations CreateCertificateProvider DescribeCertificateProvider " +
		"UpdateCertificateProvider DeleteCertificateProvider ListCertificateProviders",
})

// dataPerSecond is the same of the data plane's operations.
var dataPerSecond = quotaTable(map[float64]string{
	20_000: "Publish SendDirectMessage",
	500:    "GetRetainedMessage",
	100:    "DeleteConnection GetConnection ListSubscriptions",
})

const usualQuota = 10.0

func quotaTable(byRate map[float64]string) map[string]float64 {
	table := map[string]float64{}
	for rate, names := range byRate {
		for name := range strings.FieldsSeq(names) {
			table[name] = rate
		}
	}
	return table
}

// fewBuckets is how many buckets are kept before those that are full again are
// dropped. A bucket fills in a second, so memory is bounded by the requests of
// a second, or by this number.
const fewBuckets = 4096

// quotas hold what each tenant may still ask, operation by operation.
type quotas struct {
	mu      sync.Mutex
	buckets map[quotaKey]bucket
	room    int // buckets before the next look for full ones
}

type quotaKey struct {
	tenant arn.Tenant
	name   string
}

// A bucket held tokens at a moment; it gains its rate each second and holds no
// more than one second's worth.
type bucket struct {
	tokens, rate float64
	at           time.Time
}

func (b bucket) later(now time.Time) bucket {
	// A clock that was set back takes nothing away.
	b.tokens = min(b.rate, b.tokens+b.rate*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	return b
}

// spend takes one request from what the tenant has left for an operation of
// AWS's API. Slipway's own operations have no quota.
func (q *quotas) spend(t arn.Tenant, action string, now time.Time) error {
	name, ours := strings.CutPrefix(action, "iot:")
	if !ours {
		return nil
	}
	rate, listed := perSecond[name]
	if !listed {
		rate, listed = dataPerSecond[name]
	}
	if !listed {
		rate = usualQuota
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	key := quotaKey{t, name}
	b, known := q.buckets[key]
	if !known {
		b = bucket{tokens: rate, rate: rate, at: now}
		q.makeRoom(now)
	}
	b = b.later(now)
	if b.tokens < 1 {
		q.buckets[key] = b
		return fault.New(fault.Throttled, "Rate exceeded: %s is granted %g requests a second to account %s in %s (profile aws).", name, rate, t.Account, t.Region)
	}
	b.tokens--
	q.buckets[key] = b
	return nil
}

// makeRoom drops buckets that are full again, since a new one is the same.
func (q *quotas) makeRoom(now time.Time) {
	if q.buckets == nil {
		q.buckets, q.room = map[quotaKey]bucket{}, fewBuckets
	}
	if len(q.buckets) < q.room {
		return
	}
	for key, b := range q.buckets {
		if b.later(now).tokens >= b.rate {
			delete(q.buckets, key)
		}
	}
	q.room = max(fewBuckets, 2*len(q.buckets))
}
