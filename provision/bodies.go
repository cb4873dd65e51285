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
	m  map[bodyKey]*templates.Template
}

type bodyKey struct {
	text string
	kind templates.Kind
}

// maxBodies bounds each cache; when it is full it starts anew.
const maxBodies = 1024

// get gives the record's default version, parsed as a fleet template.
func (b *bodies) get(r *templates.Record) (*templates.Template, error) {
	v, err := current(r)
	if err != nil {
		return nil, err
	}
	return b.parse(v.Body, templates.Fleet)
}

// current is the record's default version.
func current(r *templates.Record) (*templates.VersionRecord, error) {
	if v := r.Version(r.Default); v != nil {
		return v, nil
	}
	return nil, fault.New(fault.Internal, "Template %s has no default version.", r.Name)
}

// parse gives the text as a template of the kind.
func (b *bodies) parse(text string, kind templates.Kind) (*templates.Template, error) {
	k := bodyKey{text, kind}
	if t := b.find(k); t != nil {
		return t, nil
	}
	t, err := templates.Parse([]byte(text), kind)
	if err == nil {
		b.keep(k, t)
	}
	return t, err
}

func (b *bodies) find(k bodyKey) *templates.Template {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m[k]
}

func (b *bodies) keep(k bodyKey, t *templates.Template) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil || len(b.m) >= maxBodies {
		b.m = map[bodyKey]*templates.Template{}
	}
	b.m[k] = t
}
