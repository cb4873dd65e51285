package provision

import (
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/templates"
)

// bodies keeps parsed templates. A version is immutable, so an entry never
// becomes wrong: a template made anew under an old name has another creation
// time.
type bodies struct {
	mu sync.Mutex
	m  map[bodyKey]*templates.Template
}

type bodyKey struct {
	tenant  arn.Tenant
	name    string
	version int
	created time.Time
}

// maxBodies bounds the cache; when it is full it starts anew.
const maxBodies = 1024

// get gives the record's default version, parsed.
func (b *bodies) get(r *templates.Record) (*templates.Template, error) {
	v := r.Version(r.Default)
	if v == nil {
		return nil, fault.New(fault.Internal, "Template %s has no default version.", r.Name)
	}
	k := bodyKey{r.Tenant, r.Name, v.ID, v.Created}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.m[k]; t != nil {
		return t, nil
	}
	t, err := templates.Parse([]byte(v.Body), templates.Fleet)
	if err != nil {
		return nil, err
	}
	if b.m == nil || len(b.m) >= maxBodies {
		b.m = map[bodyKey]*templates.Template{}
	}
	b.m[k] = t
	return t, nil
}
