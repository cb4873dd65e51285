package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// oracle is MQTT's matching, written level by level from MQTT 5.0, 4.7, with
// AWS's one difference: a/# does not match a (device-gateway.md, section 3.1).
func oracle(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if (f[0] == "+" || f[0] == "#") && strings.HasPrefix(topic, "$") {
		return false
	}
	for i := range f {
		switch {
		case f[i] == "#":
			return len(t) > i
		case i >= len(t):
			return false
		case f[i] != "+" && f[i] != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

func TestTheOracleKnowsTheExamplesOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/#", "a", false}, {"a/#", "a/", true}, {"a/#", "a/b/c", true}, {"#", "a", true}, {"#", "/", true},
		{"+", "a", true}, {"+", "/a", false}, {"/+", "/a", true}, {"+/+", "/a", true}, {"a/+", "a", false}, {"a/+", "a/", true},
		{"#", "$aws/x", false}, {"+/x", "$aws/x", false}, {"$aws/#", "$aws/x", true}, {"$aws/+", "$aws/x", true}, {"$aws/#", "$aws", false},
		{"a//b", "a//b", true}, {"a/+/b", "a//b", true}, {"a/b", "A/b", false}, {"a", "a/", false},
	} {
		if oracle(c.filter, c.topic) != c.want {
			t.Errorf("%q on %q: the oracle says %v", c.filter, c.topic, !c.want)
		}
	}
}

// level draws a level in which every byte that means something to somebody is
// likely: to MQTT, to the subject list, to the escaping.
func level(r *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b", "A", ".", "*", ">", "%", "%%", "%2e", "%25", "%2", "a.b", "a*", ">a", "*.>", "$", "$aws", "$share",
		" ", "\t", "\n", "\r", "\f", "\x01", "\x1f", "\x7f", "\u0085", "\u00a0", "é", "日本", "😀", "\ufeff", "s", "t", "s.a", "t.a", "_", "-", "\\", "\""}).Draw(r, "level")
}

func topicName(r *rapid.T) string {
	if name := strings.Join(rapid.SliceOfN(rapid.Custom(level), 1, 5).Draw(r, "levels"), "/"); name != "" {
		return name
	}
	return "/"
}

// filterFor draws a filter that has something to do with the topic.
func filterFor(r *rapid.T, topic string) string {
	levels := strings.Split(topic, "/")
	for i := range levels {
		switch rapid.IntRange(0, 5).Draw(r, "change") {
		case 0:
			levels[i] = "+"
		case 1:
			levels[i] = level(r)
		}
	}
	switch cut := rapid.IntRange(0, len(levels)).Draw(r, "cut"); rapid.IntRange(0, 3).Draw(r, "end") {
	case 0:
		levels = append(levels[:cut:cut], "#")
	case 1:
		levels = append(levels[:cut:cut], "+")
	case 2:
		levels = append(levels, level(r))
	}
	if f := strings.Join(levels, "/"); f != "" {
		return f
	}
	return "#"
}

func TestSubscriptionsMatchAsMQTTSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		all := newTopics()
		topic := topicName(r)
		if mqtt.ValidTopic(topic) != nil {
			r.Fatalf("the generator made the topic %q", topic)
		}
		var want, got []string
		for i := range rapid.IntRange(1, 8).Draw(r, "filters") {
			f := filterFor(r, topic)
			if mqtt.ValidFilter("x/"+f) != nil { // $share as a level is a name like another here
				r.Fatalf("the generator made the filter %q", f)
			}
			sub := &subscription{filter: fmt.Sprint(i), match: f}
			if err := all.add(arn.Default, sub); err != nil {
				r.Fatalf("%q cannot be added: %v", f, err)
			}
			hit := oracle(f, topic)
			if mqtt.Matches(f, topic) != hit {
				r.Errorf("mqtt.Matches(%q, %q) is %v", f, topic, !hit)
			}
			if rapid.IntRange(0, 4).Draw(r, "removed") == 0 {
				all.remove(arn.Default, sub)
			} else if hit {
				want = append(want, sub.filter)
			}
		}
		for _, sub := range all.match(arn.Default, topic, nil) {
			got = append(got, sub.filter)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			r.Errorf("topic %q: got %v, want %v", topic, got, want)
		}
		if found := all.match(arn.Tenant{Account: "111122223333", Region: "us-east-1"}, topic, nil); len(found) > 0 {
			r.Errorf("another tenant sees %v", found)
		}
	})
}

func TestNoTwoTopicsShareASubject(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		// Short strings over few characters collide if anything can.
		draw := rapid.StringOfN(rapid.SampledFrom([]rune("ast$/.%25e*> \x01é")), 1, 6, -1)
		a, b := draw.Draw(r, "a"), draw.Draw(r, "b")
		if (a == b) != (subjectOf(a) == subjectOf(b)) {
			r.Errorf("%q and %q: %q and %q", a, b, subjectOf(a), subjectOf(b))
		}
		if strings.ContainsAny(subjectOf(a), "*> \x01") {
			r.Errorf("%q becomes %q, which the subject list reads otherwise", a, subjectOf(a))
		}
	})
}
