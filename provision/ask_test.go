package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/wire"
)

// The whole table of hooks-and-events.md, sections 1.3 and 1.4.
func TestVerdicts(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(attributes), true)
	for _, test := range []struct {
		answer string
		refuse string // empty: allowed
	}{
		{`{"allowProvisioning":true}`, ""},
		{`{"allowProvisioning":"true"}`, ""},
		{`{"allowProvisioning":true,"parameterOverrides":null,"unknown":[1]}`, ""},
		{`{"allowProvisioning":true,"reason":5}`, ""},
		{`{"allowProvisioning":false}`, "Function gate refused this device."},
		{`{"allowProvisioning":"false"}`, "Function gate refused this device."},
		{`{"allowProvisioning":false,"reason":"A1 is not on the list"}`, "A1 is not on the list"},
		{`{"allowProvisioning":false,"reason":"two\nlines\u0000"}`, "two lines"},
		{`{"allowProvisioning":false,"reason":["no"]}`, "Function gate refused this device."},
		{`{}`, "answered without allowProvisioning"},
		{`{"AllowProvisioning":true}`, "answered without allowProvisioning"},
		{`{"parameters":{"allowProvisioning":true}}`, "answered without allowProvisioning"},
		{`{"allowProvisioning":false,"ALLOWPROVISIONING":true}`, "Function gate refused this device."},
		{`{"allowProvisioning":false,"allowProvisioning":true}`, "did not answer with a JSON object"},
		{`{"allowProvisioning":null}`, "answered allowProvisioning with null"},
		{`{"allowProvisioning":1}`, "answered allowProvisioning with a number"},
		{`{"allowProvisioning":"TRUE"}`, "answered allowProvisioning with a string that is not true"},
		{`{"allowProvisioning":[true]}`, "answered allowProvisioning with a list"},
		{`[{"allowProvisioning":true}]`, "answered with a list"},
		{`true`, "answered with a boolean"},
		{`null`, "answered with null"},
		{`{"allowProvisioning":true`, "did not answer with a JSON object"},
		{`{"allowProvisioning":true} {}`, "did not answer with a JSON object"},
		{` `, "did not answer with a JSON object"},
		{`<html>`, "did not answer with a JSON object"},
		{"{\"allowProvisioning\":true,\"x\":\"\xff\"}", "did not answer with a JSON object"},
		{`{"allowProvisioning":true,"parameterOverrides":[]}`, "answered parameterOverrides with a list"},
		{`{"allowProvisioning":true,"parameterOverrides":{"Site":5}}`, `overrides parameter "Site" with a number`},
		{`{"allowProvisioning":true,"parameterOverrides":{"Site":null}}`, `overrides parameter "Site" with null`},
		{`{"allowProvisioning":true,"parameterOverrides":{"Site":{}}}`, `overrides parameter "Site" with an object`},
	} {
		t.Run(test.answer, func(t *testing.T) {
			r.function.answer = test.answer
			token, id := r.token()
			before := r.snapshot()
			_, err := r.register(token, "1")
			if test.refuse == "" {
				must(t, err)
				r.wantStatus(id, "ACTIVE")
				return
			}
			wantFault(t, err, fault.Refused, test.refuse)
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
			r.function.answer = ""
			r.registered(token, "1")
		})
	}
	t.Run("a reason is a sentence, not a book", func(t *testing.T) {
		r.function.answer = `{"allowProvisioning":false,"reason":"` + strings.Repeat("no ", 1<<20) + `"}`
		token, _ := r.token()
		_, err := r.register(token, "1")
		if _, text := fault.Show(err); len(text) > 300 {
			t.Errorf("the device is told %d bytes", len(text))
		}
	})
}

// A function that takes all of AWS's five seconds is refused in its own words,
// not in those of whoever waited for it.
func TestAFunctionThatHangsIsNamedWithItsLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.template("fleet", body(attributes), true)
	r.function.hangs = functions.NewCalls(functions.Spec{Name: "gate"}.WithDefaults())
	token, id := r.token()
	_, err := r.register(token, "1")
	wantFault(t, err, fault.Refused, "Function gate did not answer within 5 s.")
	r.wantStatus(id, "PENDING_ACTIVATION")
}

func TestAFunctionThatFailsRefuses(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(attributes), true)
	for _, test := range []struct {
		say  string
		err  error
		kind fault.Kind
		text string
	}{
		{"it crashed", functions.Fail(functions.Crashed, "gate", errors.New("secret"), "ended."), fault.Refused, "Function gate ended."},
		{"it was silent", functions.Fail(functions.TimedOut, "gate", nil, "did not answer."), fault.Refused, "did not answer"},
		{"it does not exist", nil, fault.Refused, "Template fleet asks function arn:aws:lambda:us-east-1:000000000000:function:gate, which does not exist here"},
		{"something else failed", errors.New("secret"), fault.Refused, "The function of template fleet could not be asked."},
		{"we are stopping, which is not the device's fault", functions.Fail(functions.Closed, "gate", nil, "is stopping."), fault.Unavailable, "is stopping"},
	} {
		t.Run(test.say, func(t *testing.T) {
			r.function.err, r.function.gone = test.err, test.err == nil
			token, id := r.token()
			before := r.snapshot()
			_, err := r.register(token, "1")
			wantFault(t, err, test.kind, test.text)
			if _, text := fault.Show(err); strings.Contains(text, "secret") {
				t.Errorf("the device is told the cause: %s", text)
			}
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
			r.function.err, r.function.gone = nil, false
			r.registered(token, "1")
			r.wantStatus(id, "ACTIVE")
		})
	}
}

func TestWhatTheFunctionIsAsked(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), true)
	token, id := r.token()
	r.registered(token, "1")
	var got map[string]any
	must(t, json.Unmarshal(r.function.payload, &got))
	if !strings.HasPrefix(got["certificatePem"].(string), "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("certificatePem is %q", got["certificatePem"])
	}
	delete(got, "certificatePem")
	want := map[string]any{
		"claimCertificateId": strings.Repeat("c", 64), "certificateId": string(id), "clientId": "boot",
		"templateArn": "arn:aws:iot:us-east-1:000000000000:provisioningtemplate/fleet",
		"parameters":  map[string]any{"SerialNumber": "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(r.function.payload), token) {
		t.Error("the function is told the token")
	}
	t.Run("parameters are an object also when there are none", func(t *testing.T) {
		token, _ := r.token()
		_, err := r.engine.RegisterThing(context.Background(), r.claim(), "fleet", wire.RegisterRequest{Token: token})
		wantFault(t, err, fault.InvalidParameters, "SerialNumber")
		if !strings.Contains(string(r.function.payload), `"parameters":{}`) {
			t.Errorf("got %s", r.function.payload)
		}
	})
}

func TestOverrides(t *testing.T) {
	named := strings.Replace(body(`,"AttributePayload":{"serial":{"Ref":"SerialNumber"},"site":{"Ref":"Site"},"cert":{"Ref":"AWS::IoT::Certificate::Id"}}`, `,"OverrideSettings":{"AttributePayload":"REPLACE"}`),
		`"Site":`, `"AWS::IoT::Certificate::Id":{"Type":"String"},"Site":`, 1)
	r := newRig(t)
	r.template("fleet", named, true)
	for _, test := range []struct {
		say, answer string
		request     map[string]string
		serial      string
		site        string
	}{
		{"an override wins over the request", `{"SerialNumber":"2"}`, map[string]string{"SerialNumber": "1"}, "2", "lab"},
		{"an override wins over a default", `{"Site":"plant"}`, map[string]string{"SerialNumber": "1"}, "1", "plant"},
		{"an override supplies what the device left out", `{"SerialNumber":"3"}`, nil, "3", "lab"},
		{"what the template does not know is ignored", `{"Colour":"red"}`, map[string]string{"SerialNumber": "1"}, "1", "lab"},
		{"the service's own names cannot be overridden", `{"AWS::IoT::Certificate::Id":"0000"}`, map[string]string{"SerialNumber": "1"}, "1", "lab"},
		{"nor sent by the device", `{}`, map[string]string{"SerialNumber": "1", "AWS::IoT::Certificate::Id": "0000"}, "1", "lab"},
	} {
		t.Run(test.say, func(t *testing.T) {
			r.function.answer = `{"allowProvisioning":true,"parameterOverrides":` + test.answer + `}`
			token, id := r.token()
			answer, err := r.engine.RegisterThing(context.Background(), r.claim(), "fleet", wire.RegisterRequest{Token: token, Parameters: test.request})
			must(t, err)
			want := map[string]string{"serial": test.serial, "site": test.site, "cert": string(id)}
			if diff := cmp.Diff(want, r.thing(answer.ThingName).Attributes); diff != "" {
				t.Error(diff)
			}
			if answer.ThingName != "lamp-"+test.serial || answer.DeviceConfiguration["site"] != test.site {
				t.Errorf("got %+v", answer)
			}
		})
	}
}

// A denied duplicate is refused whatever the function says.
func TestReprovisioning(t *testing.T) {
	for setting, denied := range map[string]bool{"keep": false, "deny": true, "": false} {
		t.Run("slipway:reprovision="+setting, func(t *testing.T) {
			r := newRig(t)
			var tags []string
			if setting != "" {
				tags = []string{"slipway:reprovision", setting}
			}
			r.template("fleet", body(attributes), true, tags...)
			token, first := r.token()
			r.registered(token, "1")
			token, second := r.token()
			_, err := r.register(token, "1")
			if !denied {
				must(t, err)
				r.wantStatus(second, "ACTIVE")
			} else {
				wantFault(t, err, fault.Conflict, "Duplicate serial")
				r.wantStatus(second, "PENDING_ACTIVATION")
			}
			r.wantStatus(first, "ACTIVE")
		})
	}
}
