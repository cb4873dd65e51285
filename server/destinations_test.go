package server

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
)

// A destination's URL is an operator's text that may lead anywhere: it is
// dialled under the guard that functions have, and what came of it is told.
func TestAConfirmationMessageGoesUnderTheGuard(t *testing.T) {
	called := false
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	t.Cleanup(endpoint.Close)
	s := start(t, t.TempDir(), func(c *Config) { c.PrivateEndpoints = []string{"localhost"} }) // another name for it
	answer, err := call(s.admin(), http.MethodPost, "/destinations", `{"destinationConfiguration":{"httpUrlConfiguration":{"confirmationUrl":"`+endpoint.URL+`/in"}}}`)
	must(t, err)
	d := read[struct {
		Destination struct{ Status, StatusReason string } `json:"topicRuleDestination"`
	}](t, answer).Destination
	if d.Status != "IN_PROGRESS" || !strings.Contains(d.StatusReason, "The endpoint") || !strings.Contains(d.StatusReason, "loopback") || called {
		t.Errorf("got %+v, called %t", d, called)
	}
}

// An endpoint whose name the server was told is reached at a private address,
// and then has to be who it says; the ports of the server are not.
func TestAConfirmationMessageReachesNamedPrivateEndpoints(t *testing.T) {
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	endpoint.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(endpoint.Close)
	s := start(t, t.TempDir(), func(c *Config) { c.PrivateEndpoints = []string{"127.0.0.1"} })
	for url, want := range map[string]string{endpoint.URL: "certificate", "https://" + strings.TrimPrefix(s.Endpoints().Control, "http://"): "a port of this server"} {
		answer, err := call(s.admin(), http.MethodPost, "/destinations", `{"destinationConfiguration":{"httpUrlConfiguration":{"confirmationUrl":"`+url+`/in"}}}`)
		must(t, err)
		d := read[struct {
			Destination struct{ Status, StatusReason string } `json:"topicRuleDestination"`
		}](t, answer).Destination
		if !strings.Contains(d.StatusReason, want) || strings.Contains(d.StatusReason, "loopback") {
			t.Errorf("%s: %+v, want a word of %q", url, d, want)
		}
		if err := s.post(t.Context(), arn.Default, url, http.Header{}, []byte("{}")); err == nil || strings.Contains(err.Error(), "loopback") {
			t.Errorf("an action at %s: %v", url, err)
		}
	}
}
