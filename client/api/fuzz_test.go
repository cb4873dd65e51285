package api

import (
	"net/http"
	"strings"
	"testing"
)

// Whatever stands before the API may answer anything; an error always has a
// sentence and a class on one line.
func FuzzRefusal(f *testing.F) {
	f.Add("ResourceNotFoundException:http://x/", `{"message":"m"}`)
	f.Add("", `{"__type":"a#b","Message":"m"}`)
	f.Add("", `<html>`)
	f.Add("", `{"__type":"a\\nb"}`)
	f.Add(":", `{"message":1}`)
	f.Fuzz(func(t *testing.T, header, body string) {
		r := &http.Response{StatusCode: 400, Header: http.Header{"X-Amzn-Errortype": {header}}}
		e := refusal(r, []byte(body))
		if e.Error() == "" || e.Class() == "" || strings.ContainsAny(e.Class(), ":#\n") {
			t.Errorf("it says %q, class %q", e.Error(), e.Class())
		}
	})
}
