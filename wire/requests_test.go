package wire

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const pemCSR = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"

var derCSR = []byte("\x30\x82\x01\x0b\x30\x81\xb2\x02\x01\x00")

// cborText and cborBytes are a definite string of less than 256 bytes.
func cborText(s string) string  { return "\x78" + string(rune(len(s))) + s }
func cborBytes(b []byte) string { return "\x58" + string(rune(len(b))) + string(b) }

func TestCreateTakesWhatDevicesSend(t *testing.T) {
	for name, c := range map[string]struct {
		format  Format
		payload string
		csr     string
	}{
		"nothing on the JSON topic":              {JSON, "", ""},
		"nothing on the CBOR topic":              {CBOR, "", ""},
		"an empty object":                        {JSON, "{}", ""},
		"an empty map":                           {CBOR, "\xa0", ""},
		"an empty map of indefinite length":      {CBOR, "\xbf\xff", ""},
		"an object with members of its own":      {JSON, `{"a":[1,{"b":null}],"c":2.5}`, ""},
		"a map with members of its own":          {CBOR, "\xa1\x61a\xa1\x01\xf9\x00\x00", ""},
		"a signing request that is null":         {JSON, `{"certificateSigningRequest":null}`, ""},
		"PEM as a member in JSON":                {JSON, `{"certificateSigningRequest":` + jsonText(pemCSR) + "}", pemCSR},
		"PEM as a member in CBOR":                {CBOR, "\xa1" + cborText(memberCSR) + cborText(pemCSR), pemCSR},
		"DER as a member in CBOR":                {CBOR, "\xa1" + cborText(memberCSR) + cborBytes(derCSR), string(derCSR)},
		"PEM as the whole payload":               {JSON, pemCSR, pemCSR},
		"PEM as the whole payload on CBOR":       {CBOR, pemCSR, pemCSR},
		"PEM behind white space":                 {JSON, "\r\n" + pemCSR, "\r\n" + pemCSR},
		"DER as the whole payload":               {JSON, string(derCSR), string(derCSR)},
		"DER as the whole payload on CBOR":       {CBOR, string(derCSR), string(derCSR)},
		"PEM in a text of indefinite length":     {CBOR, "\xbf" + cborText(memberCSR) + "\x7f" + cborText(pemCSR[:9]) + cborText(pemCSR[9:]) + "\xff\xff", pemCSR},
		"the older name of the block, as member": {JSON, `{"certificateSigningRequest":"-----BEGIN NEW CERTIFICATE REQUEST-----"}`, "-----BEGIN NEW CERTIFICATE REQUEST-----"},
	} {
		got, err := DecodeCreate(c.format, []byte(c.payload))
		if err != nil || string(got.CSR) != c.csr || got.Given != (c.csr != "") {
			t.Errorf("%s: got %q, %v", name, got.CSR, err)
		}
	}
}

func jsonText(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }

func TestCreateFromCSRTakesPEM(t *testing.T) {
	for _, f := range []Format{JSON, CBOR} {
		got, err := DecodeCreateFromCSR(f, EncodeCreateFromCSR(f, []byte(pemCSR)))
		if err != nil || !got.Given || string(got.CSR) != pemCSR {
			t.Errorf("%s: got %q, %v", f, got.CSR, err)
		}
	}
}

func TestRegisterIgnoresWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		format  Format
		payload string
	}{
		"the template name of one vendor client": {JSON, `{"templateName":"T","certificateOwnershipToken":"t","parameters":{"S":"1"}}`},
		"members of every kind":                  {JSON, `{"x":[{}],"y":1e9,"z":false,"certificateOwnershipToken":"t","parameters":{"S":"1"}}`},
		"members of every kind in CBOR": {CBOR, "\xa5" + "\x61x\x81\xf5" + "\x61y\xfb\x00\x00\x00\x00\x00\x00\x00\x00" + "\x61z\xa1\x01\x02" +
			cborText(memberToken) + "\x61t" + cborText(memberParameters) + "\xa1\x61S\x611"},
		"indefinite lengths, and parameters first": {CBOR, "\xbf" + cborText(memberParameters) + "\xbf\x61S\x7f\x611\x60\xff\xff" +
			cborText(memberToken) + "\x7f\x61t\xff\xff"},
	} {
		got, err := DecodeRegister(c.format, []byte(c.payload))
		if err != nil || got.Token != "t" || len(got.Parameters) != 1 || got.Parameters["S"] != "1" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestRegisterKeepsEveryCharacterOfAParameter(t *testing.T) {
	want := map[string]string{"": "", "*": "$aws/#", "a\x00b": "\n\t\x7f", "é": "${iot:ClientId}", "AWS::IoT::Certificate::Id": "x"}
	for _, f := range []Format{JSON, CBOR} {
		got, err := DecodeRegister(f, RegisterRequest{"t", want}.Encode(f))
		if err != nil || len(got.Parameters) != len(want) {
			t.Fatalf("%s: got %+v, %v", f, got, err)
		}
		for name, v := range want {
			if got.Parameters[name] != v {
				t.Errorf("%s: %q became %q", f, v, got.Parameters[name])
			}
		}
	}
}

func TestAMissingMapOfParametersIsEmpty(t *testing.T) {
	for _, payload := range []string{`{"certificateOwnershipToken":"t"}`, `{"certificateOwnershipToken":"t","parameters":null}`} {
		got, err := DecodeRegister(JSON, []byte(payload))
		if err != nil || got.Parameters == nil || len(got.Parameters) != 0 {
			t.Errorf("%s: got %+v, %v", payload, got, err)
		}
	}
}

func TestDigest(t *testing.T) {
	base := RegisterRequest{"tok", map[string]string{"a": "1", "b": "2"}}
	for name, other := range map[string]struct {
		template string
		request  RegisterRequest
	}{
		"another template":                    {"u", base},
		"another token":                       {"t", RegisterRequest{"tol", base.Parameters}},
		"another value":                       {"t", RegisterRequest{"tok", map[string]string{"a": "1", "b": "3"}}},
		"another name":                        {"t", RegisterRequest{"tok", map[string]string{"a": "1", "c": "2"}}},
		"values exchanged":                    {"t", RegisterRequest{"tok", map[string]string{"a": "2", "b": "1"}}},
		"a parameter less":                    {"t", RegisterRequest{"tok", map[string]string{"a": "1"}}},
		"no parameters":                       {"t", RegisterRequest{"tok", nil}},
		"a letter moved from template":        {"", RegisterRequest{"ttok", base.Parameters}},
		"a letter moved from name to value":   {"t", RegisterRequest{"tok", map[string]string{"": "a1", "b": "2"}}},
		"two parameters run into one":         {"t", RegisterRequest{"tok", map[string]string{"a": "1b2"}}},
		"an empty parameter more than before": {"t", RegisterRequest{"tok", map[string]string{"a": "1", "b": "2", "": ""}}},
	} {
		if base.Digest("t") == other.request.Digest(other.template) {
			t.Errorf("%s: the digest stayed the same", name)
		}
	}
}

func TestDigestIsTheSameInBothFormats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := RegisterRequest{
			rapid.StringN(1, -1, -1).Draw(t, "token"),
			rapid.MapOfN(rapid.String(), rapid.String(), 0, 9).Draw(t, "parameters"),
		}
		template := rapid.String().Draw(t, "template")
		for _, f := range []Format{JSON, CBOR} {
			got, err := DecodeRegister(f, r.Encode(f))
			if err != nil || got.Digest(template) != r.Digest(template) {
				t.Fatalf("%s: %+v became %+v, %v", f, r, got, err)
			}
		}
	})
}

func TestRejectShowsNoCause(t *testing.T) {
	err := decodeRequest(RegisterThing, CBOR, []byte("\xff"))
	r := Reject(err)
	if r.StatusCode != 400 || r.ErrorCode != "InvalidPayload" || r.ErrorMessage == "" || strings.Contains(r.ErrorMessage, "cbor:") {
		t.Errorf("got %+v", r)
	}
}

func TestTheDeviceRefusesAnswersItCannotUse(t *testing.T) {
	for name, c := range map[string]struct {
		decode  func(Format, []byte) (any, error)
		payload string
		want    string
	}{
		"a certificate without token":    {decoded(DecodeCreateAnswer), `{"certificateId":"i","certificatePem":"p"}`, "has no certificateOwnershipToken"},
		"a certificate without PEM":      {decoded(DecodeCreateAnswer), `{"certificateId":"i","certificateOwnershipToken":"p"}`, "has no certificatePem"},
		"a thing name that is a number":  {decoded(DecodeRegisterAnswer), `{"thingName":1}`, "thingName is a number"},
		"a configuration of numbers":     {decoded(DecodeRegisterAnswer), `{"deviceConfiguration":{"a":1}}`, "deviceConfiguration.a is a number"},
		"a configuration that is a list": {decoded(DecodeRegisterAnswer), `{"deviceConfiguration":[]}`, "deviceConfiguration is a list"},
		"a status that is text":          {decoded(DecodeRejection), `{"statusCode":"400"}`, "statusCode is not a whole number"},
		"no status":                      {decoded(DecodeRejection), `{}`, "statusCode is not a whole number"},
		"what is not JSON":               {decoded(DecodeRejection), `x`, "malformed at byte 1"},
	} {
		if _, err := c.decode(JSON, []byte(c.payload)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestDERIsNeitherAMapNorAnObject(t *testing.T) {
	// 0x30 is "0" in JSON: a number with bytes behind it is still refused.
	for _, payload := range [][]byte{[]byte("0"), {0x30}, {0x30, 0x20, 0x20}, bytes.Repeat([]byte("0"), 9)} {
		if got, err := DecodeCreate(JSON, payload); err == nil {
			t.Errorf("%q was taken as %+v", payload, got)
		}
	}
}
