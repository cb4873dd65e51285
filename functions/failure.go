package functions

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Reason is a class of failure of a call. Its text is a label for metrics
// and attempts.
type Reason string

const (
	TimedOut    Reason = "timed-out"   // no answer in time
	Crashed     Reason = "crashed"     // the process ended during the call
	InitFailed  Reason = "init-failed" // the function never became ready
	Threw       Reason = "threw"       // the function reported an error
	TooLarge    Reason = "too-large"   // payload or answer above MaxBytes
	Unreachable Reason = "unreachable" // the endpoint cannot or may not be reached
	BadStatus   Reason = "bad-status"  // the endpoint answered other than 200
	Busy        Reason = "busy"        // no free process or connection in time
	Canceled    Reason = "canceled"    // the caller gave up
	Closed      Reason = "closed"      // the function was closed during or before the call
)

// A Failure is why a call has no answer.
type Failure struct {
	Reason Reason
	Text   string // a sentence for a stranger; may quote what the function reported
	Err    error  // for the log: the cause, if there is one
	Output string // for the log: the last lines the program printed
}

// Fail makes a failure of the function named name. The formatted text
// continues the sentence "Function NAME …" and ends it.
func Fail(r Reason, name string, err error, format string, args ...any) *Failure {
	return &Failure{Reason: r, Text: "Function " + name + " " + fmt.Sprintf(format, args...), Err: err}
}

// Error is for the log: it holds the cause and the program's last lines, which
// Text never does.
func (f *Failure) Error() string {
	s := f.Text
	if f.Err != nil {
		s += " (" + f.Err.Error() + ")"
	}
	if f.Output != "" {
		s += " Its last output: " + strconv.Quote(f.Output)
	}
	return s
}

func (f *Failure) Unwrap() error { return f.Err }

// As makes a failure a fault for the edges, which show its Text: whatever goes
// wrong with a function refuses (DESIGN.md, decision 9), but for our own stop.
func (f *Failure) As(target any) bool {
	e, ok := target.(**fault.Error)
	if !ok {
		return false
	}
	kind := fault.Refused
	if f.Reason == Closed {
		kind = fault.Unavailable
	}
	*e = fault.Wrap(kind, f.Err, "%s", f.Text)
	return true
}

// ReasonOf gives the reason of the failure in err's chain, or "".
func ReasonOf(err error) Reason {
	var f *Failure
	if errors.As(err, &f) {
		return f.Reason
	}
	return ""
}

// span writes a duration for a sentence: "5 s", "300 ms".
func span(d time.Duration) string {
	if d >= time.Second {
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	}
	return strconv.FormatInt(max(d.Round(time.Millisecond).Milliseconds(), 1), 10) + " ms"
}

// Oversized is the failure of a payload or an answer of n bytes; the verb is
// "answered" or "was given".
func Oversized(name, verb string, n int64) *Failure {
	return Fail(TooLarge, name, nil, "%s %d bytes; at most 6 MiB are allowed.", verb, n)
}

// Quote makes foreign text fit for a sentence: one line, printable, of
// bounded length.
func Quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	return arn.Clip(strings.Join(strings.Fields(s), " "), 200)
}
