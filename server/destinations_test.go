package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A destination's URL is an operator's text that may lead anywhere: it is
// dialled under the guard that functions have, and what came of it is told.
func TestAConfirmationMessageGoesUnderTheGuard(t *testing.T) {
	called := false
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	t.Cleanup(endpoint.Close)
	s := start(t, t.TempDir())
	answer, err := call(s.admin(), http.MethodPost, "/destinations", `{"destinationConfiguration":{"httpUrlConfiguration":{"confirmationUrl":"`+endpoint.URL+`/in"}}}`)
	must(t, err)
	d := read[struct {
		Destination struct{ Status, StatusReason string } `json:"topicRuleDestination"`
	}](t, answer).Destination
	if d.Status != "IN_PROGRESS" || !strings.Contains(d.StatusReason, "The endpoint") || !strings.Contains(d.StatusReason, "loopback") || called {
		t.Errorf("got %+v, called %t", d, called)
	}
}
