package templates

import (
	"testing"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

func TestSettings(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"8760h": 8760 * time.Hour, "365d": 8760 * time.Hour, "P365D": 8760 * time.Hour, "1m": time.Minute, "36500d": maxValidity,
		"": 0, "0d": 0, "59s": 0, "-1h": 0, "36501d": 0, "1y": 0, "P1Y": 0, "P": 0, "d": 0, "1.5d": 0, "99999999999999999999d": 0, "876001h": 0,
	} {
		r := &Record{Tags: map[string]string{validitySetting: text}}
		if got, ok := Validity(r); got != want || ok != (want != 0) {
			t.Errorf("%q lasts %v, %t", text, got, ok)
		}
		if err := checkSettings(r.Tags); (err == nil) != (want != 0) || err != nil && !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("%q is checked with %v", text, err)
		}
	}
	if _, ok := Validity(&Record{}); ok {
		t.Error("a template that says nothing has a validity")
	}
	for text, want := range map[string]string{"": Keep, "keep": Keep, "deny": Deny, "retire": Keep} {
		if got := Reprovision(&Record{Tags: map[string]string{reprovisionSetting: text}}); got != want {
			t.Errorf("%q gave %s", text, got)
		}
	}
}
