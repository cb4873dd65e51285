package strict

import (
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a key that stands twice":    {"{\"Effect\":\"Deny\",\n\"Effect\":\"Allow\"}", `line 2: "Effect" stands twice`},
		"what follows the end":       {`{} {}`, "something follows"},
		"a text cut short":           {`{"a":[1,`, "ends too early"},
		"what is not JSON":           {"{\n\"a\" 1}", "line 2: not valid JSON"},
		"nesting beyond the bound":   {strings.Repeat("[", 40), "nested deeper"},
		"bytes that are not UTF-8":   {"\"\xff\"", "not UTF-8"},
		"an empty text":              {"", "ends too early"},
		"a stray closing bracket":    {"[}", "not valid JSON"},
		"a key that is not a string": {"{1:2}", "not valid JSON"},
	} {
		_, err := Parse([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestParseKeepsOrderCaseAndPlace(t *testing.T) {
	v, err := Parse([]byte("{\"b\":1,\n\"B\":[true,{\"x\":null}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Members[0].Key != "b" || v.Get("B").Items[1].Get("x").Path != "B[1].x" || v.Get("B").Line != 2 {
		t.Errorf("got %+v", v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":"c"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = Parse(b) })
}
