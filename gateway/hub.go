package gateway

import (
	"sync"

	"github.com/slipway-iot/slipway/arn"
)

// A hub knows which session is whose. A session stands in credentials, and among
// those that enter, from the moment before its certificate's status is read:
// so a revocation finds it, or the read sees the revocation. It stands in
// clients from CONNECT on.
type hub struct {
	mu          sync.Mutex
	clients     map[clientKey]*session
	credentials map[credential]map[*session]struct{}
	entering    map[*session]struct{} // their rights are being read
	bound       map[*session]struct{} // those whose thing is exclusive
}

type clientKey struct {
	tenant arn.Tenant
	id     string
}

func newHub() *hub {
	return &hub{clients: map[clientKey]*session{}, credentials: map[credential]map[*session]struct{}{},
		entering: map[*session]struct{}{}, bound: map[*session]struct{}{}}
}

// watch makes the session findable by its certificate or access key.
func (h *hub) watch(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := s.credential()
	set := h.credentials[k]
	if set == nil {
		set = map[*session]struct{}{}
		h.credentials[k] = set
	}
	set[s] = struct{}{}
	h.entering[s] = struct{}{}
}

// claim gives the client id to s, atomically. It returns the session that held
// it, already out of the hub, or refuses: a certificate without a thing never
// takes over the session of one that has a thing (DESIGN.md, decision 6).
func (h *hub) claim(s *session) (old *session, refused bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := clientKey{s.tenant, s.clientID}
	old = h.clients[k]
	if old != nil && old.hasThing && !s.hasThing {
		return old, true
	}
	h.clients[k] = s
	delete(h.entering, s)
	if s.rights.Load().exclusive {
		h.bound[s] = struct{}{}
	}
	return old, false
}

// bind notes whether the thing of s is exclusive, which may change while it is
// connected. It is true if that is news.
func (h *hub) bind(s *session, exclusive bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, was := h.bound[s]; was == exclusive || h.clients[clientKey{s.tenant, s.clientID}] != s {
		return false
	}
	if exclusive {
		h.bound[s] = struct{}{}
	} else {
		delete(h.bound, s)
	}
	return true
}

// leave takes s out, once. Another session that took its client id stays.
func (h *hub) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := s.credential()
	if set := h.credentials[of]; set != nil {
		delete(set, s)
		if len(set) == 0 {
			delete(h.credentials, of)
		}
	}
	delete(h.entering, s)
	delete(h.bound, s)
	if k := (clientKey{s.tenant, s.clientID}); h.clients[k] == s {
		delete(h.clients, k)
	}
	s.absent = true
	if s.left != nil {
		close(s.left)
	}
}

// ofCert gives the sessions of a certificate, whether or not past CONNECT.
func (h *hub) ofCert(t arn.Tenant, id arn.CertID) []*session {
	return h.ofCredential(certCredential(t, id))
}

// ofCredential gives the sessions of a certificate or an access key.
func (h *hub) ofCredential(of credential) []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*session
	for s := range h.credentials[of] {
		out = append(out, s)
	}
	return out
}

// ofThing gives the sessions whose thing it may be: the one with the thing's
// name as client id, those bound to a thing exclusively, and those whose rights
// are being read.
func (h *hub) ofThing(t arn.Tenant, thing string) []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.enteringOf(t)
	if s := h.clients[clientKey{t, thing}]; s != nil {
		out = append(out, s)
	}
	for s := range h.bound {
		if r := s.rights.Load(); s.tenant == t && r.thing == thing {
			out = append(out, s)
		}
	}
	return out
}

// of gives the sessions of a tenant, whether or not past CONNECT.
func (h *hub) of(t arn.Tenant) []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.enteringOf(t)
	for k, s := range h.clients {
		if k.tenant == t {
			out = append(out, s)
		}
	}
	return out
}

// enteringOf is those of the tenant whose rights are being read; mu is held.
func (h *hub) enteringOf(t arn.Tenant) (out []*session) {
	for s := range h.entering {
		if s.tenant == t {
			out = append(out, s)
		}
	}
	return out
}

// all gives every session, whether or not past CONNECT.
func (h *hub) all() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*session
	for _, set := range h.credentials {
		for s := range set {
			out = append(out, s)
		}
	}
	return out
}

// holder gives the session that has the client id, nil if none has.
func (h *hub) holder(k clientKey) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clients[k]
}

// gone gives a channel that closes when s has left.
func (h *hub) gone(s *session) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.left == nil {
		s.left = make(chan struct{})
		if s.absent {
			close(s.left)
		}
	}
	return s.left
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}
