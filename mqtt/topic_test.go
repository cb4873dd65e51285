package mqtt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

func TestTopicNames(t *testing.T) {
	for _, s := range []string{"a", "/", "a/b", "/a", "a/", "a//b", "$aws/events", "a b", "ü", "\ufeff",
		"$share/g/t", strings.Repeat("x", 65535)} {
		if err := mqtt.ValidTopic(s); err != nil {
			t.Errorf("%.40q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"", "a/+", "#", "a#", "a\x00b", "\xff", "\xed\xa0\x80", strings.Repeat("x", 65536)} {
		wantCode(t, s, mqtt.ValidTopic(s), mqtt.TopicNameInvalid)
	}
}

func TestTopicFilters(t *testing.T) {
	for _, s := range []string{"a", "/", "#", "+", "+/+", "a/#", "a/+/b", "+/b/#", "/#", "a//+", "$aws/#", "$share", "$SHARE/a",
		"$share/g/a", "$share/g/#", "$share/g/+/b", "$share/g//", strings.Repeat("x", 65535)} {
		if err := mqtt.ValidFilter(s); err != nil {
			t.Errorf("%.40q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"", "a+", "+a", "a+/b", "a/+b", "a#", "#a", "#/a", "a/#/b", "a/b#", "##", "++", "#+",
		"\x00", "a/\xff", "\xed\xa0\x80", strings.Repeat("x", 65536),
		"$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a", "$share/g/a#", "$share/g/#/a"} {
		wantCode(t, s, mqtt.ValidFilter(s), mqtt.TopicFilterInvalid)
	}
}

func TestSharedSubscriptionsAreTakenApart(t *testing.T) {
	for filter, want := range map[string][2]string{
		"$share/g/a/b":      {"g", "a/b"},
		"$share/g/#":        {"g", "#"},
		"$share/g//":        {"g", "/"},
		"$share/g/$aws/a":   {"g", "$aws/a"},
		"$share/g/$share/h": {"g", "$share/h"},
	} {
		group, rest, ok := mqtt.ParseShare(filter)
		if !ok || group != want[0] || rest != want[1] {
			t.Errorf("%q: got %q, %q, %v", filter, group, rest, ok)
		}
	}
	for _, filter := range []string{"", "a", "$share", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/a#/b", "$Share/g/a", "a/$share/g/b"} {
		if group, rest, ok := mqtt.ParseShare(filter); ok || group != "" || rest != "" {
			t.Errorf("%q: got %q, %q, %v", filter, group, rest, ok)
		}
	}
}

func wantCode(t *testing.T, s string, err error, code mqtt.ReasonCode) {
	t.Helper()
	var e *mqtt.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%.40q: got %v, want %v", s, err, code)
	}
}
