package audit

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestViewHidesSecrets(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"what is none stays":                  {`{"b":1.50,"a":["x",null,true],"n":12345678901234567890}`, `{"a":["x",null,true],"b":1.50,"n":12345678901234567890}`},
		"markup stays as it is":               {`{"sql":"SELECT * FROM 'a' WHERE x < 5 && y > 3"}`, `{"sql":"SELECT * FROM 'a' WHERE x < 5 && y > 3"}`},
		"members by name, in any case":        {`{"Secret":"s","userPASSWORD":"s","ownershipToken":"s","tokens":["s"],"privateKey":"s","awsCredentials":"s"}`, `{"Secret":"(hidden)","awsCredentials":"(hidden)","ownershipToken":"(hidden)","privateKey":"(hidden)","tokens":"(hidden)","userPASSWORD":"(hidden)"}`},
		"deep inside":                         {`{"a":[{"b":{"secret":"s"}}]}`, `{"a":[{"b":{"secret":"(hidden)"}}]}`},
		"names and public keys are none":      {`{"tokenKeyName":"n","tokenSigningPublicKeys":{"k":"-----BEGIN PUBLIC KEY-----"},"secretArn":"arn:x","tokenKey":"h"}`, `{"secretArn":"arn:x","tokenKey":"h","tokenKeyName":"n","tokenSigningPublicKeys":{"k":"-----BEGIN PUBLIC KEY-----"}}`},
		"nor are switches and counts":         {`{"secret":true,"token":5,"password":null}`, `{"password":null,"secret":true,"token":5}`},
		"an object by that name is looked at": {`{"secretCode":{"Type":"String"}}`, `{"secretCode":{"Type":"String"}}`},
		"environments":                        {`{"env":{"A":"s"},"environment":{"B":"s"}}`, `{"env":{"A":"(hidden)"},"environment":{"B":"(hidden)"}}`},
		"headers keep their names":            {`{"headers":[{"key":"Authorization","value":"s"}]}`, `{"headers":[{"key":"Authorization","value":"(hidden)"}]}`},
		"properties of clients":               {`{"kafka":{"clientProperties":{"sasl.jaas.config":"s"}}}`, `{"kafka":{"clientProperties":{"sasl.jaas.config":"(hidden)"}}}`},
		"private keys by what they say":       {`{"x":"a\n-----BEGIN RSA PRIVATE KEY-----\nMII"}`, `{"x":"(hidden)"}`},
		"certificates are none":               {`{"pem":"-----BEGIN CERTIFICATE-----\nMII"}`, `{"pem":"-----BEGIN CERTIFICATE-----\nMII"}`},
		"passwords and queries of URLs":       {`{"url":"https://u:s@a.example/x?k=s#s","other":"https://a.example/x"}`, `{"other":"https://a.example/x","url":"https://hidden@a.example/x?hidden"}`},
		"documents that are texts":            {`{"body":"{\"a\": {\"secret\":\"s\"}}","plain":"{\"a\": 1}","odd":"{x"}`, `{"body":"{\"a\":{\"secret\":\"(hidden)\"}}","odd":"{x","plain":"{\"a\": 1}"}`},
		"nothing":                             {`null`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := View(json.RawMessage(c.in))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	t.Run("what is too long is known by its hash", func(t *testing.T) {
		got, err := View(map[string]string{"a": strings.Repeat("x", maxView)})
		if err != nil || len(got) > 200 || !strings.Contains(string(got), `"sha256"`) {
			t.Errorf("got %.200s, %v", got, err)
		}
	})
}

// FuzzView holds any document to: a view of it is JSON, and is its own view.
func FuzzView(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"{\"secret\":\"{\\\"secret\\\":\\\"s\\\"}\"}"}`, `{"url":"http://%zz@?"}`, `"\ud800"`, `{"headers":{"value":"x"}}`, `[1e999]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		view, err := View(json.RawMessage(text))
		if err != nil {
			return
		}
		again, err := View(view)
		if err != nil || string(again) != string(view) && !strings.Contains(string(view), "http") {
			t.Errorf("%q has the view %s, and that %s (%v)", text, view, again, err)
		}
	})
}
