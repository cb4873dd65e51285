package process

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

var granted = Grant{
	KeyID: "ASIAONE", Secret: "hunter2", Token: "sealed", Expires: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC),
	Env: map[string]string{"AWS_ENDPOINT_URL_IOT": "http://127.0.0.1:9000"},
}

func TestAFunctionFetchesItsCredentials(t *testing.T) {
	var asked string
	f := openWith(t, Driver{Grant: func(who arn.Tenant, name string) (Grant, error) {
		asked = who.Account + " " + name
		return granted, nil
	}}, functions.Spec{})
	env := functiontest.Ask(t, f, "env").ParameterOverrides
	if env["AWS_ENDPOINT_URL_IOT"] != "http://127.0.0.1:9000" || asked != "000000000000 gate" {
		t.Errorf("the endpoint is %q, and credentials were asked for %q", env["AWS_ENDPOINT_URL_IOT"], asked)
	}
	for name, value := range env {
		if strings.Contains(value, granted.Secret) || strings.Contains(value, granted.Token) {
			t.Errorf("the environment holds them, where they grow old: %s=%s", name, value)
		}
	}
	where := env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
	resp, err := http.Get(where)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"AccessKeyId": "ASIAONE", "SecretAccessKey": "hunter2", "Token": "sealed", "Expiration": "2026-03-01T13:00:00Z"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}

	secret := strings.Split(strings.TrimPrefix(where, "http://"), "/")[1]
	for _, url := range []string{
		strings.Replace(where, secret, strings.Repeat("0", len(secret)), 1),
		strings.Replace(where, secret+"/", "", 1),
		strings.Replace(where, secret, secret[1:], 1),
	} {
		status(t, http.MethodGet, url, http.StatusForbidden)
	}
	status(t, http.MethodPost, where, http.StatusNotFound)
}

func TestAGrantThatFails(t *testing.T) {
	fails := false
	f := openWith(t, Driver{Grant: func(arn.Tenant, string) (Grant, error) {
		if fails {
			return Grant{}, errors.New("no entropy")
		}
		return granted, nil
	}}, functions.Spec{})
	where := functiontest.Ask(t, f, "env").ParameterOverrides["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
	fails = true
	status(t, http.MethodGet, where, http.StatusInternalServerError)

	f = openWith(t, Driver{Grant: func(arn.Tenant, string) (Grant, error) { return Grant{}, errors.New("no entropy") }}, functions.Spec{})
	if where, ok := functiontest.Ask(t, f, "env").ParameterOverrides["AWS_CONTAINER_CREDENTIALS_FULL_URI"]; ok {
		t.Errorf("the function is sent to %s, which has none", where)
	}
}

func TestWithoutAGrantThereAreNoCredentials(t *testing.T) {
	f := open(t, functions.Spec{})
	env := functiontest.Ask(t, f, "env").ParameterOverrides
	status(t, http.MethodGet, "http://"+env["AWS_LAMBDA_RUNTIME_API"]+"/credentials", http.StatusNotFound)
}
