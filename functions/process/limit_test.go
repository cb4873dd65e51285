package process

import (
	"testing"

	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

// TestFiveSeconds waits for the limit that AWS gives a hook
// (hooks-and-events.md, section 1.1).
func TestFiveSeconds(t *testing.T) {
	f := open(t, functions.Spec{})
	_, err := f.Invoke(t.Context(), functiontest.Request("hang"))
	got := functiontest.WantFailure(t, err, functions.TimedOut)
	if got.Text != "Function gate did not answer within 5 s." {
		t.Errorf("got %q", got.Text)
	}
	functiontest.Ask(t, f, "K1")
}
