package attempts

import (
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
)

// Bounds of one attempt: what a device can make us keep.
const (
	maxSteps = 64
	maxText  = 1024
	maxKeys  = 40
	maxKey   = 256
)

// A Recorder gathers one connection's attempt. It is safe for several
// goroutines. A nil Recorder gathers nothing.
type Recorder struct {
	now func() time.Time

	mu   sync.Mutex
	a    Attempt
	keep bool
}

// Open starts an attempt at accept().
func Open(id, remote, address string, now func() time.Time) *Recorder {
	r := &Recorder{now: now}
	r.a = Attempt{ID: id, Opened: now(), Door: "connect", Remote: remote, Count: 1, Tenant: arn.Default}
	r.key(address)
	return r
}

func (r *Recorder) key(k string) {
	if k == "" || len(r.a.Keys) >= maxKeys {
		return
	}
	k = arn.Clip(k, maxKey)
	for _, have := range r.a.Keys {
		if have == k {
			return
		}
	}
	r.a.Keys = append(r.a.Keys, k)
}

func (r *Recorder) step(name, text string, refused bool) {
	if len(r.a.Steps) >= maxSteps {
		return
	}
	r.a.Steps = append(r.a.Steps, Step{
		After: r.now().Sub(r.a.Opened), Name: name, Text: arn.Clip(text, maxText), Refused: refused,
	})
}

// Step adds an entry to the timeline.
func (r *Recorder) Step(name, text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step(name, text, false)
}

// Refuse adds an entry that says which rule refused, and marks the attempt as
// refused and worth keeping.
func (r *Recorder) Refuse(name, text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step(name, text, true)
	r.a.Outcome, r.a.Reason, r.keep = Refused, arn.Clip(text, maxText), true
}

// Who says which tenant, certificate and client the connection is.
func (r *Recorder) Who(t arn.Tenant, cert arn.CertID, clientID string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Tenant, r.a.CertID, r.a.ClientID = t, cert, arn.Clip(clientID, maxKey)
	r.key(string(cert))
	r.key(clientID)
}

// Through names the door and the template, and makes the attempt worth
// keeping: it asked for provisioning.
func (r *Recorder) Through(door, template string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Door, r.keep = door, true
	if template != "" {
		r.a.Template = template
	}
}

// Find adds values that the attempt can be found by.
func (r *Recorder) Find(values map[string]string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range values {
		r.key(v)
	}
}

// Made says which certificate was made for the device.
func (r *Recorder) Made(id arn.CertID) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.NewCert = id
	r.key(string(id))
}

// Became says which thing came of it: the attempt is provisioned.
func (r *Recorder) Became(thing string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Thing, r.a.Outcome, r.a.Reason, r.keep = thing, Provisioned, "", true
	r.key(thing)
}

// Close ends the attempt and says whether it is worth keeping. An attempt that
// asked for provisioning and came to no end is failed, with the given reason.
func (r *Recorder) Close(reason string) (a *Attempt, keep bool) {
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Closed = r.now()
	if r.a.Outcome == "" {
		r.a.Outcome = Connected
		if r.keep {
			r.a.Outcome, r.a.Reason = Failed, arn.Clip(reason, maxText)
		}
	}
	if reason != "" {
		r.step("end", reason, false)
	}
	return r.snapshot(), r.keep
}

// Snapshot is the attempt as it is now, for one that goes on.
func (r *Recorder) Snapshot() *Attempt {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Closed = r.now()
	return r.snapshot()
}

func (r *Recorder) snapshot() *Attempt {
	a := r.a
	a.Steps = append([]Step(nil), r.a.Steps...)
	a.Keys = append([]string(nil), r.a.Keys...)
	return &a
}
