package provision

import (
	"sync"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/templates"
)

// bodies keeps parsed templates by their text, so that an entry never becomes
// wrong, whatever is deleted and made anew under an old name.
type bodies struct {
	mu sync.Mutex
	m  map[string]*templates.Template
}

// maxBodies bounds the cache; when it is full it starts anew.
const maxBodies = 1024

// get gives the record's default version, parsed.
func (b *bodies) get(r *templates.Record) (*templates.Template, error) {
	v := r.Version(r.Default)
	if v == nil {
		return nil, fault.New(fault.Internal, "Template %s has no default version.", r.Name)
	}
	if t := b.find(v.Body); t != nil {
		return t, nil
	}
	t, err := templates.Parse([]byte(v.Body), templates.Fleet)
	if err == nil {
		b.keep(v.Body, t)
	}
	return t, err
}

func (b *bodies) find(body string) *templates.Template {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m[body]
}

func (b *bodies) keep(body string, t *templates.Template) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil || len(b.m) >= maxBodies {
		b.m = map[string]*templates.Template{}
	}
	b.m[body] = t
}
