package provision

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
)

// FuzzVerdict holds what a function answers to two rules: it never brings the
// server down, and it allows only what a plain reader of JSON would, too.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		`{"allowProvisioning":true,"parameterOverrides":{"Site":"lab"}}`, `{"allowProvisioning":"true"}`,
		`{"allowProvisioning":false,"reason":"no"}`, `{"allowProvisioning":false,"allowProvisioning":true}`,
		`[]`, `{`, ``, `{"allowProvisioning":{"a":[[[[]]]]}}`, "{\"allowProvisioning\":true,\"reason\":\"\\ud800\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		overrides, err := verdict("gate", answer)
		if err != nil {
			if _, text := fault.Show(err); !fault.Is(err, fault.Refused) || text == "" || len(text) > 1000 || !utf8.ValidString(text) {
				t.Errorf("refused with %v: %q", fault.Of(err), text)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(answer, &plain); err != nil {
			t.Fatalf("allowed what cannot be read: %v", err)
		}
		if allow := plain["allowProvisioning"]; allow != true && allow != "true" {
			t.Errorf("allowed %v", allow)
		}
		given, _ := plain["parameterOverrides"].(map[string]any)
		for name, value := range overrides {
			if given[name] != value {
				t.Errorf("override %q is %q, the function said %v", name, value, given[name])
			}
		}
	})
}
