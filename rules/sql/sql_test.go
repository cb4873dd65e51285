package sql_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/rules/sql"
)

const registered = `{"certificateId":"5b","certificateStatus":"PENDING_ACTIVATION","timestamp":1}`

func message(payload string) *sql.Message {
	return &sql.Message{
		Topic: "$aws/events/certificates/registered/ca1", Payload: []byte(payload), Account: "123456789012",
		TraceID: "trace-1", Now: time.UnixMilli(1767225600123), NewUUID: func() string { return "uuid-1" },
	}
}

// run gives what a statement makes of a payload; "refused" when it does not
// pass.
func run(t *testing.T, statement, payload string) string {
	t.Helper()
	s, err := sql.Parse(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	out, ok := s.Run(message(payload))
	if !ok {
		return "refused"
	}
	return string(out)
}

// The examples of hooks-and-events.md, section 7.2.
func TestStatementsOfTheSpecification(t *testing.T) {
	for statement, want := range map[string]string{
		"SELECT * FROM '$aws/events/certificates/registered/#'":                                                           registered,
		"select * from '$aws/events/certificates/registered/#'":                                                           registered,
		"SELECT certificateId AS id, topic(5) AS ca FROM '$aws/events/certificates/registered/+'":                         `{"ca":"ca1","id":"5b"}`,
		"SELECT *, timestamp() AS seen FROM 'a/b'":                                                                        `{"certificateId":"5b","certificateStatus":"PENDING_ACTIVATION","seen":1767225600123,"timestamp":1}`,
		"SELECT VALUE certificateId FROM 'a/b'":                                                                           `"5b"`,
		`SELECT certificateId FROM 'a' WHERE certificateStatus = "PENDING_ACTIVATION" AND NOT isUndefined(certificateId)`: `{"certificateId":"5b"}`,
		`SELECT certificateId FROM 'a' WHERE certificateStatus = 'PENDING_ACTIVATION'`:                                    `{"certificateId":"5b"}`,
		`SELECT certificateId FROM 'a' WHERE certificateStatus = 'ACTIVE'`:                                                "refused",
		`SELECT encode(*, 'base64') AS data FROM 'a'`:                                                                     `{"data":"eyJjZXJ0aWZpY2F0ZUlkIjoiNWIiLCJjZXJ0aWZpY2F0ZVN0YXR1cyI6IlBFTkRJTkdfQUNUSVZBVElPTiIsInRpbWVzdGFtcCI6MX0="}`,
		`SELECT certificateId AS a.b, nothing AS c FROM 'a'`:                                                              `{"a":{"b":"5b"}}`,
		`SELECT VALUE nothing FROM 'a'`:                                                                                   "refused",
	} {
		if got := run(t, statement, registered); got != want {
			t.Errorf("%s:\n got %s\nwant %s", statement, got, want)
		}
	}
}

func TestWhatIsNoJSON(t *testing.T) {
	raw := "\xff\x00\x01"
	if got := run(t, "SELECT * FROM 'a'", raw); got != raw {
		t.Errorf("SELECT *: %q", got)
	}
	if got := run(t, "SELECT encode(*, 'base64') AS data FROM 'a'", raw); got != `{"data":"/wAB"}` {
		t.Errorf("encode: %s", got)
	}
	if got := run(t, "SELECT a FROM 'a' WHERE a = 1", raw); got != "refused" {
		t.Errorf("a member of bytes: %s", got)
	}
}

const things = `{"n":5,"d":2.5,"s":"abc","yes":true,"list":[10,{"x":"deep"}],"none":null,"o":{"p":{"q":7}},"big":9007199254740993,"word":"true"}`

func TestExpressions(t *testing.T) {
	for expr, want := range map[string]any{
		"n + 1": int64(6), "n - 7": int64(-2), "n * d": 12.5, "n / 2": 2.5, "6 / 2": int64(3), "n % 3": int64(2), "n / 0": nil,
		"-n": int64(-5), "n = 5": true, "n = 5.0": true, "big = 9007199254740993": true, "big": int64(9007199254740993),
		"n <> 'x'": true, "n = '5'": false, "n < '7'": true, "s < 3": nil, "missing = 1": nil, "missing <> 1": nil,
		"s + n": "abc5", "'it''s'": "it's", `"x" + 'y'`: "xy", "1 + 2 * 3": int64(7), "(1 + 2) * 3": int64(9),
		"yes AND word": true, "NOT yes": false, "NOT n = 4": true, "yes OR missing": true, "missing OR yes": true, "missing AND yes": nil,
		"missing AND false": false, "n > 1 AND n < 9 OR false": true,
		"list[1].x": "deep", "get(list, 0)": int64(10), "get(list, 9)": nil, `get(o, "p").q`: int64(7), "o.p.q": int64(7), "o.x.q": nil,
		"CASE n WHEN 4 THEN 'four' WHEN 5 THEN 'five' ELSE 'many' END": "five", "CASE n WHEN 4 THEN 1 END": nil,
		"CASE WHEN n > 4 THEN 'big' ELSE 'small' END": "big",
		"upper(s)": "ABC", "lower('ÄB')": "äb", "length('äöü')": int64(3), "substring(s, 1)": "bc", "substring(s, 0, 2)": "ab", "substring(s, 9)": "",
		"startswith(s, 'ab')": true, "endswith(s, 'ab')": false, "indexof(s, 'c')": int64(2), "replace(s, 'b', '-')": "a-c",
		"regexp_matches(s, '^a.c$')": true, "regexp_matches(s, '(')": nil, "concat(s, n, yes)": "abc5true",
		"isNull(none)": true, "isNull(n)": false, "isUndefined(none)": false, "isUndefined(missing)": true, "none = null": true,
		"cast(d as Int)": int64(2), "cast('7.5' as Decimal)": 7.5, "cast(n as String)": "5", "cast('no' as Boolean)": nil, "cast(0 as Bool)": false,
		"md5('')": "d41d8cd98f00b204e9800998ecf8427e", "decode('YWI=', 'base64')": "ab", "decode('?', 'base64')": nil, "encode(s, 'base64')": "YWJj",
		"sha256('')": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"topic()":    "$aws/events/certificates/registered/ca1", "topic(1)": "$aws", "topic(9)": nil, "topic(0)": nil,
		"clientid()": "n/a", "principal()": nil, "accountid()": "123456789012", "newuuid()": "uuid-1", "traceid()": "trace-1", "timestamp()": int64(1767225600123),
		"parse_time('yyyy-MM-dd HH:mm:ss', 1767225600123)": "2026-01-01 00:00:00", "parse_time('yyyy', 'x')": nil,
		"abs(-3)": int64(3), "floor(d)": int64(2), "ceil(d)": int64(3), "round(2.4)": int64(2),
		"(SELECT VALUE x FROM list WHERE x = 'deep')": []any{"deep"}, "(SELECT x AS y FROM list WHERE NOT isUndefined(x))": []any{map[string]any{"y": "deep"}},
		"(SELECT VALUE * FROM n)": nil,
		"[1, n, missing]":         []any{int64(1), int64(5), nil}, "{'a': n, 'b': missing}": map[string]any{"a": int64(5)},
	} {
		e, err := sql.ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		got := e.Eval(message(things))
		if got == sql.Undefined {
			got = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for statement, want := range map[string]string{
		"":                                "at character 1: Expected SELECT, found the end.",
		"SELECT":                          "at character 7: Expected an expression, found the end.",
		"SELECT * WHERE a = 1":            `at character 10: Expected FROM, found "WHERE".`,
		"SELECT * FROM a":                 `at character 15: Expected a topic filter in quotes, found "a".`,
		"SELECT * FROM 'a/#/b'":           `at character 15: Topic filter "a/#/b": + stands for a whole level, # for all that follow, at the end.`,
		"SELECT * FROM 'a' WHERE":         "at character 24: Expected an expression, found the end.",
		"SELECT * FROM 'a' WHERE a = 'b":  "at character 29: This quote is never closed.",
		"SELECT magic(1) FROM 'a'":        "at character 8: There is no function magic here.",
		"SELECT get(1) FROM 'a'":          "at character 8: Function get takes 2 arguments, not 1.",
		"SELECT * FROM 'a' WHERE a = 1 ;": "at character 31: Unexpected ;.",
		"SELECT * FROM 'a' LIMIT 1":       `at character 19: Unexpected "LIMIT".`,
		"SELECT CASE a END FROM 'a'":      `at character 15: Expected WHEN, found "END".`,
		"SELECT " + strings.Repeat("(", 100) + "a" + strings.Repeat(")", 100) + " FROM 'a'": "at character 72: Expressions nest deeper than 64.",
	} {
		_, err := sql.Parse(statement)
		var e *sql.Error
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", statement, err, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "": "", "fleet/${topic(5)}/${certificateId}": "fleet/ca1/5b", "${timestamp}": "1",
		"a${'}'}b": "a}b", "${get({'a': 'x'}, 'a')}!": "x!", "${nothing}": "refused", "$$aws/x": "$$aws/x",
	} {
		tpl, err := sql.ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, ok := tpl.Fill(message(registered))
		if !ok {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"a/${b":     "at character 3: This ${ is never closed.",
		"a/${b +}c": "at character 8: Expected an expression, found the end.",
	} {
		if _, err := sql.ParseTemplate(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT * FROM 'a/#'", "SELECT a.b[0] AS c.d, VALUE FROM \"x\" WHERE NOT (a <> -1.5 OR b = null)",
		"SELECT CASE a WHEN 1 THEN {'k': [1, 'x']} ELSE topic(2) END AS r FROM '+/b'", "SELECT VALUE * FROM 'a'",
		"SELECT cast(a as Decimal) FROM 'a' WHERE regexp_matches(b, '^x')",
	} {
		f.Add(s, registered)
	}
	f.Fuzz(func(t *testing.T, statement, payload string) {
		s, err := sql.Parse(statement)
		if err != nil {
			var e *sql.Error
			if !errors.As(err, &e) || e.At < 0 || e.At > len(statement) {
				t.Fatalf("%v", err)
			}
			return
		}
		if out, ok := s.Run(message(payload)); ok && string(out) != payload && !json.Valid(out) {
			t.Fatalf("no JSON: %q", out)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("fleet/${topic(5)}/${certificateId}", registered)
	f.Add("${'}'}${", things)
	f.Fuzz(func(_ *testing.T, text, payload string) {
		if tpl, err := sql.ParseTemplate(text); err == nil {
			tpl.Fill(message(payload))
		}
	})
}
