package attempts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/slipway-iot/slipway/arn"
)

// Bounds of one attempt: what a device can make us keep. The last steps are
// kept for refusals and for the end, so that a device which subscribes in a
// loop does not hide what was refused later.
const (
	maxSteps   = 64
	maxRefused = maxSteps - 1
	maxOrdered = maxSteps - 16
	maxText    = 1024
	maxKeys    = 40
	maxKey     = 256
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

// ID names the attempt; it never changes.
func (r *Recorder) ID() string {
	if r == nil {
		return ""
	}
	return r.a.ID
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

// step adds an entry unless as many as limit are there, and says whether it did.
func (r *Recorder) step(limit int, name, text string, refused bool) bool {
	if len(r.a.Steps) >= limit {
		return false
	}
	r.a.Steps = append(r.a.Steps, Step{
		After: r.now().Sub(r.a.Opened), Name: name, Text: Plain(text, maxText), Refused: refused,
	})
	return true
}

// Plain makes foreign text fit for a line on a terminal: at most max bytes of
// well-formed UTF-8, with control characters written as escapes.
func Plain(text string, max int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.IndexFunc(text, control) < 0 {
		return arn.Clip(text, max)
	}
	var b strings.Builder
	for _, c := range text {
		if control(c) {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return arn.Clip(b.String(), max)
}

// control is what a terminal may obey: control characters, and the marks that
// change the direction of text.
func control(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) }

// Step adds an entry to the timeline.
func (r *Recorder) Step(name, text string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step(maxOrdered, name, text, false)
}

// Refuse adds an entry that says which rule refused, and marks the attempt as
// refused and worth keeping; one that became a thing stays provisioned. It is
// false when the timeline is full, and the entry only in the reason.
func (r *Recorder) Refuse(name, text string) bool { return r.against(Refused, name, text) }

// Fail is Refuse for a failure of the server's own.
func (r *Recorder) Fail(name, text string) bool { return r.against(Failed, name, text) }

func (r *Recorder) against(o Outcome, name, text string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep = true
	if r.a.Outcome != Provisioned {
		r.a.Outcome, r.a.Reason = o, Plain(text, maxText)
	}
	return r.step(maxRefused, name, text, true)
}

// Who says which tenant, certificate and client the connection is.
func (r *Recorder) Who(t arn.Tenant, cert arn.CertID, clientID string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Tenant, r.a.CertID, r.a.ClientID = t, cert, Plain(clientID, maxKey)
	r.key(string(cert))
	r.key(clientID)
}

// Through names the door and the template, and makes the attempt worth
// keeping: it asked for provisioning. A station that became one thing and asks
// for the next is judged by the next.
func (r *Recorder) Through(door, template string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Door, r.keep = door, true
	if r.a.Outcome == Provisioned {
		r.a.Outcome = ""
	}
	if template != "" {
		r.a.Template = template
	}
}

// Find adds values that the attempt can be found by, in the order of their
// names: which of too many are kept is no accident.
func (r *Recorder) Find(values map[string]string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		r.key(values[name])
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
			r.a.Outcome, r.a.Reason = Failed, Plain("No thing came of it. "+reason, maxText)
		}
	}
	if reason != "" {
		r.step(maxSteps, "end", reason, false)
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
