package rules_test

import (
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/rules"
)

func TestTopicFilter(t *testing.T) {
	for sql, want := range map[string]string{
		`SELECT * FROM 'a/b'`:                              "a/b",
		"select x\n\tfrom\n\t'a/+/#' where y = 1":          "a/+/#",
		`SELECT "from" AS x FROM "a"`:                      "a",
		`SELECT 'FROM ''x''', topic(1) FROM 'a'`:           "a",
		`SELECT (SELECT v FROM 'inner') AS v FROM 'outer'`: "outer",
		`SELECT fromage, a.from, $from FROM'a'`:            "a",
		`SELECT * FROM a`:                                  "",
		`SELECT *`:                                         "",
		`SELECT * FROM 'open`:                              "",
		``:                                                 "",
	} {
		if got := rules.TopicFilter(sql); got != want {
			t.Errorf("%s: got %q; expected %q", sql, got, want)
		}
	}
}

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
		if got := rules.Matches(c.filter, c.topic); got != c.want {
			t.Errorf("%q and %q: %t", c.filter, c.topic, got)
		}
	}
}

func FuzzTopicFilter(f *testing.F) {
	f.Add("SELECT * FROM 'a/b' WHERE c = \"d\"", "a/b")
	f.Add("select (from '", "$aws")
	f.Fuzz(func(t *testing.T, sql, topic string) {
		filter := rules.TopicFilter(sql)
		if !strings.Contains(sql, filter) {
			t.Errorf("%q is not in %q", filter, sql)
		}
		rules.Matches(filter, topic)
	})
}
