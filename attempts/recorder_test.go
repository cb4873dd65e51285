package attempts

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
)

// clock moves a millisecond at each look.
func clock() func() time.Time {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Millisecond); return at }
}

func open() *Recorder { return Open("id", "192.0.2.1:4711", "192.0.2.1", clock()) }

func TestWhichAttemptsAreKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		run     func(*Recorder)
		keep    bool
		outcome Outcome
		reason  string
	}{
		{"an ordinary connection is not", func(r *Recorder) { r.Step("connect", "accepted") }, false, Connected, ""},
		{"one that was refused is", func(r *Recorder) { r.Refuse("connect", "no") }, true, Refused, "no"},
		{"one that asked and came to nothing is", func(r *Recorder) { r.Through("claim", "") }, true, Failed, "No thing came of it. gone"},
		{"one that became a thing is", func(r *Recorder) { r.Through("claim", "t"); r.Became("thing") }, true, Provisioned, ""},
		{"a refusal before success is forgotten", func(r *Recorder) { r.Refuse("register", "no"); r.Became("thing") }, true, Provisioned, ""},
		{"a refusal after success does not undo it", func(r *Recorder) { r.Became("thing"); r.Refuse("publish", "no") }, true, Provisioned, ""},
		{"the next request is judged anew", func(r *Recorder) { r.Became("one"); r.Through("claim", "t"); r.Refuse("register", "no") }, true, Refused, "no"},
		{"the server's failure is no refusal", func(r *Recorder) { r.Through("claim", ""); r.Fail("create", "sorry") }, true, Failed, "sorry"},
	} {
		r := open()
		c.run(r)
		a, keep := r.Close("gone")
		if keep != c.keep || a.Outcome != c.outcome || a.Reason != c.reason {
			t.Errorf("%s: got keep %v, %s, %q", c.name, keep, a.Outcome, a.Reason)
		}
		if last := a.Steps[len(a.Steps)-1]; last.Name != "end" || last.Text != "gone" {
			t.Errorf("%s: the last step is %+v", c.name, last)
		}
	}
}

func TestATimelineIsBoundedAndKeepsWhatMatters(t *testing.T) {
	r := open()
	for i := range 1000 {
		r.Step("subscribe", strings.Repeat("x", 5000))
		r.Find(map[string]string{fmt.Sprint(i): strings.Repeat("k", i)})
	}
	if !r.Refuse("register", "the reason") {
		t.Error("a refusal found no room")
	}
	for range 100 {
		r.Refuse("publish", "again")
	}
	if r.Refuse("publish", "the last") {
		t.Error("the timeline is never full")
	}
	a, _ := r.Close("the end")
	size, refused := 0, 0
	for _, s := range a.Steps {
		size += len(s.Text)
		if s.Text == "the reason" {
			refused++
		}
	}
	for _, k := range a.Keys {
		size += len(k)
	}
	if len(a.Steps) != maxSteps || refused != 1 || a.Steps[maxSteps-1].Text != "the end" || a.Reason != "the last" || size > 80_000 {
		t.Errorf("%d steps, %d bytes, reason %q, end %+v", len(a.Steps), size, a.Reason, a.Steps[len(a.Steps)-1])
	}
}

func TestASnapshotIsACopy(t *testing.T) {
	r := open()
	r.Step("a", "1")
	before := r.Snapshot()
	r.Step("b", "2")
	r.Who(arn.Default, "cert", "client")
	if len(before.Steps) != 1 || len(before.Keys) != 1 || before.CertID != "" {
		t.Errorf("the snapshot moved: %+v", before)
	}
}

func TestANilRecorderGathersNothing(t *testing.T) {
	var r *Recorder
	r.Step("a", "b")
	r.Refuse("a", "b")
	r.Fail("a", "b")
	r.Who(arn.Default, "", "")
	r.Through("a", "b")
	r.Find(map[string]string{"a": "b"})
	r.Made("x")
	r.Became("x")
	if a, keep := r.Close(""); a != nil || keep || r.Snapshot() != nil {
		t.Error("it gathered something")
	}
}

func TestForeignTextIsPlain(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"ü 日本":            "ü 日本",
		"a\x1b[31mred":    `a\u001b[31mred`,
		"line\nnext\ttab": `line\u000anext\u0009tab`,
		"right\u202eleft": `right\u202eleft`,
		"bad\xffbyte":     "bad\uFFFDbyte",
		"\x00\x7f\u0085":  `\u0000\u007f\u0085`,
	} {
		if got := Plain(in, 100); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := Plain(strings.Repeat("é", 100), 51); len(got) > 54 || !utf8.ValidString(got) {
		t.Errorf("clipped to %q", got)
	}
}
