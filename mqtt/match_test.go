package mqtt_test

import (
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a/", true}, {"a/+", "a", false}, {"+", "a/b", false},
		{"a/#", "a/b/c", true}, {"a/#", "a", false}, {"#", "a", true},
		{"#", "$aws/x", false}, {"+/x", "$aws/x", false}, {"$aws/#", "$aws/x", true},
		{"a/+", "a/+", true}, {"", "a", false},
	} {
		if got := mqtt.Matches(c.filter, c.topic); got != c.want {
			t.Errorf("%q and %q: %t", c.filter, c.topic, got)
		}
	}
}
