// Package functiontest is the contract that every driver of functions passes.
//
// A driver's test opens the reference function in its own way: a program, an
// endpoint, a list. The reference function is a pre-provisioning hook named
// "gate" that answers by the parameter SerialNumber: K1 is allowed and gets
// Site=berlin, and any serial that neither the list below nor the harness names
// is refused. K0 to K9 but K1 are allowed without overrides.
package functiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/functions"
)

// Name is the name of the reference function.
const Name = "gate"

// A Harness is what the suite needs to know of a driver.
type Harness struct {
	// Open makes the reference function with the default limits. The suite
	// closes it.
	Open func(t *testing.T) functions.Function

	// Fails names serials at which the reference function goes wrong, and the
	// reason of the failure that this must be. For TimedOut the function
	// stays silent.
	Fails map[string]functions.Reason
}

// An Answer is what a hook answers (hooks-and-events.md, section 1.3).
type Answer struct {
	AllowProvisioning  bool              `json:"allowProvisioning"`
	ParameterOverrides map[string]string `json:"parameterOverrides"`
	Reason             string            `json:"reason"`
}

// Request is the hook request of a device with this serial.
func Request(serial string) []byte {
	b, err := json.Marshal(map[string]any{
		"claimCertificateId": strings.Repeat("a", 64),
		"certificateId":      strings.Repeat("b", 64),
		"certificatePem":     "-----BEGIN CERTIFICATE-----\n",
		"templateArn":        "arn:aws:iot:us-east-1:000000000000:provisioningtemplate/lab",
		"clientId":           "boot-" + serial,
		"parameters":         map[string]string{"SerialNumber": serial},
	})
	if err != nil {
		panic(err) // a map of strings is JSON
	}
	return b
}

// Ask invokes f as for a device with this serial. The test ends if f fails.
func Ask(t *testing.T, f functions.Function, serial string) Answer {
	t.Helper()
	out, err := f.Invoke(t.Context(), Request(serial))
	if err != nil {
		t.Fatalf("serial %s: %v", serial, err)
	}
	var a Answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("serial %s: answer %q: %v", serial, out, err)
	}
	return a
}

// WantFailure checks that err is a failure of the reference function for this
// reason, with a sentence in the form that the house gives them.
func WantFailure(t *testing.T, err error, want functions.Reason) *functions.Failure {
	t.Helper()
	var f *functions.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure: %s", err, want)
	}
	if f.Reason != want {
		t.Errorf("got reason %s (%v), want %s", f.Reason, err, want)
	}
	if !strings.HasPrefix(f.Text, "Function "+Name+" ") || !strings.HasSuffix(f.Text, ".") || strings.ContainsAny(f.Text, "\n\r") {
		t.Errorf("%q is not a sentence about the function", f.Text)
	}
	return f
}

// Run holds a driver to the contract.
func Run(t *testing.T, h Harness) {
	t.Run("a known serial is allowed with its attributes", h.allows)
	t.Run("an unknown serial is refused, which is no failure", h.refuses)
	t.Run("concurrent calls get each its own answer", h.concurrent)
	t.Run("a caller that gave up gets a failure, and the next one an answer", h.canceled)
	t.Run("a payload above 6 MiB is not handed over", h.oversized)
	t.Run("after Close every call fails, and Close may be repeated", h.closed)
	t.Run("Close ends the calls that are under way", h.closedWhileBusy)
	t.Run("Close gives back every goroutine", h.leaves)
	for serial, reason := range h.Fails {
		t.Run(fmt.Sprintf("a function that goes wrong (%s) refuses the call and serves the next", reason), func(t *testing.T) {
			h.fails(t, serial, reason)
		})
	}
}

func (h Harness) open(t *testing.T) functions.Function {
	f := h.Open(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func (h Harness) allows(t *testing.T) {
	f := h.open(t)
	a := Ask(t, f, "K1")
	if !a.AllowProvisioning || len(a.ParameterOverrides) != 1 || a.ParameterOverrides["Site"] != "berlin" {
		t.Errorf("got %+v, want allowed with Site=berlin", a)
	}
	if a := Ask(t, f, "K2"); !a.AllowProvisioning || len(a.ParameterOverrides) != 0 {
		t.Errorf("got %+v, want allowed without overrides", a)
	}
}

func (h Harness) refuses(t *testing.T) {
	if a := Ask(t, h.open(t), "X9"); a.AllowProvisioning || len(a.ParameterOverrides) != 0 {
		t.Errorf("got %+v, want refused", a)
	}
}

func (h Harness) concurrent(t *testing.T) {
	f := h.open(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for _, serial := range []string{fmt.Sprintf("K%d", i), "X1"} {
				out, err := f.Invoke(t.Context(), Request(serial))
				var a Answer
				if err != nil || json.Unmarshal(out, &a) != nil {
					t.Errorf("serial %s: %q, %v", serial, out, err)
					continue
				}
				if a.AllowProvisioning != (serial != "X1") || (a.ParameterOverrides["Site"] == "berlin") != (serial == "K1") {
					t.Errorf("serial %s got another's answer: %+v", serial, a)
				}
			}
		})
	}
	wg.Wait()
}

func (h Harness) canceled(t *testing.T) {
	f := h.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Invoke(ctx, Request("K1"))
	WantFailure(t, err, functions.Canceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not hold its cause", err)
	}
	Ask(t, f, "K1")
}

func (h Harness) oversized(t *testing.T) {
	f := h.open(t)
	_, err := f.Invoke(t.Context(), make([]byte, functions.MaxBytes+1))
	WantFailure(t, err, functions.TooLarge)
	Ask(t, f, "K1")
}

func (h Harness) closed(t *testing.T) {
	f := h.open(t)
	Ask(t, f, "K1")
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := f.Invoke(t.Context(), Request("K1"))
		WantFailure(t, err, functions.Closed)
	}
}

// closedWhileBusy closes the function while calls of every sort run against
// it. Each ends in an answer or in a failure, and none is left behind.
func (h Harness) closedWhileBusy(t *testing.T) {
	f := h.open(t)
	Ask(t, f, "K1")
	serials := []string{"K1", "X9"}
	for s := range h.Fails {
		serials = append(serials, s)
	}
	begun := make(chan struct{}, len(serials))
	var wg sync.WaitGroup
	for _, serial := range serials {
		wg.Go(func() {
			begun <- struct{}{}
			_, err := f.Invoke(t.Context(), Request(serial))
			if err != nil && functions.ReasonOf(err) == "" {
				t.Errorf("serial %s: %v is not a failure", serial, err)
			}
		})
	}
	for range serials {
		<-begun
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// leaves waits until no more goroutines run than before Open. A connection's
// other end may need a moment to notice.
func (h Harness) leaves(t *testing.T) {
	before := runtime.NumGoroutine()
	f := h.open(t)
	Ask(t, f, "K1")
	for serial, reason := range h.Fails {
		if reason != functions.TimedOut {
			f.Invoke(t.Context(), Request(serial))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-ctx.Done():
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after Close:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// fails meets the function going wrong twice, so that a pool of one or two is
// worn out by it, and then asks it something sensible.
func (h Harness) fails(t *testing.T, serial string, reason functions.Reason) {
	f := h.open(t)
	Ask(t, f, "K1")
	for range 2 {
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if reason == functions.TimedOut {
			ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
		}
		out, err := f.Invoke(ctx, Request(serial))
		cancel()
		if out != nil {
			t.Errorf("a failed call answered %q", out)
		}
		WantFailure(t, err, reason)
	}
	if a := Ask(t, f, "K1"); a.ParameterOverrides["Site"] != "berlin" {
		t.Errorf("after the failures: %+v", a)
	}
}
