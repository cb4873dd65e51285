package functions_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
)

func TestAFailureRefusesAndShowsItsSentenceOnly(t *testing.T) {
	f := functions.Fail(functions.Crashed, "gate", errors.New("open /srv/key"), "exited with code %d during the call.", 3)
	f.Output = "password is hunter2"
	face, text := fault.Show(fmt.Errorf("asking: %w", f))
	if face.MQTT != 403 || text != "Function gate exited with code 3 during the call." {
		t.Errorf("got %d %q", face.MQTT, text)
	}
	for _, private := range []string{"/srv/key", "hunter2"} {
		if !strings.Contains(f.Error(), private) {
			t.Errorf("the log gets %q, without %s", f, private)
		}
	}
}

func TestAFunctionClosedByOurStopIsNoRefusal(t *testing.T) {
	f := functions.Fail(functions.Closed, "gate", nil, "is not available: the server is stopping.")
	if !fault.Is(f, fault.Unavailable) {
		t.Errorf("got %s", fault.Of(f))
	}
}

func TestQuoteMakesForeignTextFit(t *testing.T) {
	for in, want := range map[string]string{
		"no database":                  "no database",
		" a\r\n\tb\x1b[31m\x00c ":      "a b [31m c",
		"Gr\u00fc\u00dfe\u202e\ufeff!": "Gr\u00fc\u00dfe !",
		"\xff\xfe":                     "",
		strings.Repeat("x", 1<<20):     strings.Repeat("x", 200) + "…",
	} {
		if got := functions.Quote(in); got != want {
			t.Errorf("%.40q became %q, want %q", in, got, want)
		}
	}
}
