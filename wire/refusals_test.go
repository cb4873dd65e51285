package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
)

// A refusal is a payload that has to be turned down, with the whole sentence
// that the device reads.
type refusal struct {
	name     string
	op       Operation
	format   Format
	payload  string // hex if the format is CBOR
	kind     fault.Kind
	sentence string
}

func cborFixture(t *testing.T, name string) string {
	b, err := os.ReadFile("testdata/" + name + ".malformed.cbor.hex")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func decodeRequest(op Operation, f Format, payload []byte) error {
	var err error
	switch op {
	case CreateKeys:
		_, err = DecodeCreate(f, payload)
	case CreateFromCSR:
		_, err = DecodeCreateFromCSR(f, payload)
	case RegisterThing:
		_, err = DecodeRegister(f, payload)
	}
	return err
}

func checkRefusals(t *testing.T, list []refusal) {
	for _, r := range list {
		t.Run(r.name, func(t *testing.T) {
			payload := []byte(r.payload)
			if r.format == CBOR {
				payload = unhex(t, r.payload)
			}
			err := decodeRequest(r.op, r.format, payload)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if _, sentence := fault.Show(err); fault.Of(err) != r.kind || sentence != r.sentence {
				t.Errorf("got  %s: %s\nwant %s: %s", fault.Of(err), sentence, r.kind, r.sentence)
			}
		})
	}
}

func TestTheMalformedExamplesOfTheFieldNotes(t *testing.T) {
	csr := `The CBOR is malformed at byte 29, in "certificateSiningRequesty\x05": 0x9c starts no item.` +
		` The key at byte 1 says it has 26 bytes, but the name in it, "certificateSiningRequest", has 24;` +
		` the member of CreateCertificateFromCsr is called "certificateSigningRequest" and has 25.` +
		` Its value, at byte 27, is wrong too: the text says it has 1436 bytes, but 36 follow.`
	register := `The CBOR is malformed at byte 1: the text of 26 bytes is not UTF-8.` +
		` The key at byte 1 says it has 26 bytes, but the name in it, "certificateSiningRequest", has 24;` +
		` the member of CreateCertificateFromCsr is called "certificateSigningRequest" and has 25.` +
		` Its value, at byte 27, is wrong too: the text says it has 128 bytes, but 47 follow.`
	for _, op := range []Operation{CreateKeys, CreateFromCSR, RegisterThing} {
		checkRefusals(t, []refusal{
			{op.String() + " refuses the CSR example", op, CBOR, cborFixture(t, "create-certificate-from-csr"), fault.InvalidPayload, csr},
			{op.String() + " refuses the register example", op, CBOR, cborFixture(t, "register-thing"), fault.InvalidPayload, register},
		})
	}
}

func TestMalformedCBORIsRefusedWithItsPlace(t *testing.T) {
	const (
		csr   = "781963657274696669636174655369676e696e6752657175657374"
		token = "781963657274696669636174654f776e657273686970546f6b656e"
	)
	mal := fault.InvalidPayload
	checkRefusals(t, []refusal{
		{"no bytes", RegisterThing, CBOR, "", mal,
			"The payload is empty; a CBOR map is expected."},
		{"a key longer than the rest", CreateFromCSR, CBOR, "a178196162", mal,
			"The CBOR is malformed at byte 1: the text says it has 25 bytes, but 2 follow."},
		{"a value longer than the rest", CreateFromCSR, CBOR, "a1" + csr + "790100" + "2d2d", mal,
			`The CBOR is malformed at byte 28, in "certificateSigningRequest": the text says it has 256 bytes, but 2 follow.`},
		{"a value that is missing", CreateFromCSR, CBOR, "a1" + csr, mal,
			`The CBOR is malformed at byte 28, in "certificateSigningRequest": the payload ends where an item is expected.`},
		{"a length that is cut", CreateFromCSR, CBOR, "a1" + csr + "7901", mal,
			`The CBOR is malformed at byte 28, in "certificateSigningRequest": the payload ends inside this item's length.`},
		{"fewer pairs than announced", RegisterThing, CBOR, "a2" + token + "6474" + "6f6b31", mal,
			`The CBOR is malformed at byte 33: the payload ends after 1 of the 2 members of a map begun at byte 0.`},
		{"a map without end", RegisterThing, CBOR, "bf" + token + "6474" + "6f6b31", mal,
			`The CBOR is malformed at byte 33: the payload ends where an item is expected.`},
		{"bytes behind the map", RegisterThing, CBOR, "a1" + token + "646f6b6b31" + "0000", mal,
			"The CBOR is malformed at byte 33: 2 bytes follow the end of the map."},
		{"a key that stands twice", RegisterThing, CBOR, "a2" + token + "6131" + token + "6132", mal,
			`The CBOR is malformed at byte 30: the key "certificateOwnershipToken" stands twice in the same map.`},
		{"a parameter that stands twice", RegisterThing, CBOR, "a2" + token + "6131" + "6a706172616d6574657273" + "a2616161316161" + "6132", mal,
			`The CBOR is malformed at byte 46, in "parameters": the key "a" stands twice in the same map.`},
		{"a key that is a number", RegisterThing, CBOR, "a10102", mal,
			"The CBOR is malformed at byte 1: the key is not a text."},
		{"a parameter's name that is a number", RegisterThing, CBOR, "a2" + token + "6131" + "6a706172616d6574657273" + "a1016131", mal,
			`The CBOR is malformed at byte 42, in "parameters": the key is not a text.`},
		{"a key that is a byte string", CreateFromCSR, CBOR, "a1" + "4161" + "6162", mal,
			"The CBOR is malformed at byte 1: the key is not a text."},
		{"a value that is not UTF-8", RegisterThing, CBOR, "a1" + token + "61ff", fault.BadToken,
			"certificateOwnershipToken is a text that is not UTF-8; a text is expected."},
		{"a reserved head", CreateKeys, CBOR, "a161611c", mal,
			`The CBOR is malformed at byte 3, in "a": 0x1c starts no item.`},
		{"a break that ends nothing", CreateKeys, CBOR, "a16161ff", mal,
			`The CBOR is malformed at byte 3, in "a": 0xff ends something that was not begun.`},
		{"a simple value in a form it may not have", CreateKeys, CBOR, "a16161f800", mal,
			`The CBOR is malformed at byte 3, in "a": a simple value below 32 takes one byte, not two.`},
		{"a text with a byte string in it", CreateKeys, CBOR, "a161617f4161ff", mal,
			`The CBOR is malformed at byte 4, in "a": the string begun at byte 3 has a part that is no string of its kind.`},
		{"deep nesting", CreateKeys, CBOR, "a16161" + strings.Repeat("81", 60) + "00", mal,
			`The CBOR is malformed at byte 18, in "a": it is nested deeper than 16 levels.`},
		{"an endless list", CreateKeys, CBOR, "a161619f" + strings.Repeat("00", 600) + "ff", mal,
			`The CBOR is malformed at byte 3, in "a": an array has more than 512 members.`},
		{"a list that announces the world", CreateKeys, CBOR, "a161619bffffffffffffffff", mal,
			`The CBOR is malformed at byte 12, in "a": the payload ends after 0 of the 18446744073709551615 members of an array begun at byte 3.`},
		{"a text that announces the world", CreateKeys, CBOR, "a161617bffffffffffffffff", mal,
			`The CBOR is malformed at byte 3, in "a": the text says it has 18446744073709551615 bytes, but 0 follow.`},
		{"a list at the top", RegisterThing, CBOR, "80", mal, "The payload is an array; a CBOR map is expected."},
		{"a text at the top", RegisterThing, CBOR, "6161", mal, "The payload is a text; a CBOR map is expected."},
		{"a number at the top", CreateKeys, CBOR, "01", mal, "The payload is a number; a CBOR map is expected."},
		{"a tag at the top", CreateKeys, CBOR, "d9d9f7a0", mal, "The payload is a tagged value; a CBOR map is expected."},
		{"JSON on the CBOR topic", RegisterThing, CBOR, "7b7d", mal,
			"The payload looks like a JSON object, and this topic takes a CBOR map; publish it to the topic that ends in /json."},
		{"a byte string where PEM is due", CreateFromCSR, CBOR, "a1" + csr + "4130", fault.InvalidCSR,
			"certificateSigningRequest is a byte string; a text with a PEM block is expected."},
		{"a byte string where the token is due", RegisterThing, CBOR, "a1" + token + "4130", fault.BadToken,
			"certificateOwnershipToken is a byte string; a text is expected."},
	})
}

func TestMalformedJSONIsRefusedWithItsPlace(t *testing.T) {
	mal := fault.InvalidPayload
	checkRefusals(t, []refusal{
		{"no bytes", RegisterThing, JSON, "", mal, "The payload is empty; a JSON object is expected."},
		{"a text cut short", RegisterThing, JSON, `{"certificateOwnershipToken":"t`, mal,
			"The JSON is malformed at byte 31, line 1: the JSON ends too early."},
		{"what is not JSON", CreateKeys, JSON, "{\n'a':1}", mal,
			"The JSON is malformed at byte 3, line 2: not valid JSON: invalid character '\\''."},
		{"a member that stands twice", RegisterThing, JSON, `{"certificateOwnershipToken":"a","certificateOwnershipToken":"b"}`, mal,
			`The JSON is refused: line 1: "certificateOwnershipToken" stands twice in the same object.`},
		{"a parameter that stands twice", RegisterThing, JSON, "{\"certificateOwnershipToken\":\"a\",\n\"parameters\":{\"S\":\"1\",\"S\":\"2\"}}", mal,
			`The JSON is refused: line 2: "S" stands twice in parameters.`},
		{"what follows the object", RegisterThing, JSON, `{} {}`, mal,
			"The JSON is malformed at byte 4, line 1: something follows the document's end."},
		{"bytes that are not UTF-8", RegisterThing, JSON, "{\"a\":\"\xff\"}", mal,
			"The JSON is not UTF-8 at byte 6."},
		{"deep nesting", CreateKeys, JSON, `{"a":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "}", mal,
			"The JSON is refused: line 1: nested deeper than 32 levels."},
		{"a list", RegisterThing, JSON, "[]", mal, "The payload is a list; a JSON object is expected."},
		{"a null", CreateKeys, JSON, "null", mal, "The payload is null; a JSON object is expected."},
		{"CBOR on the JSON topic", CreateKeys, JSON, "\xa0", mal, "The payload looks like a CBOR map, and this topic takes a JSON object; publish it to the topic that ends in /cbor."},
	})
}

func TestBadMembersAreRefusedByName(t *testing.T) {
	token := func(rest string) string { return `{"certificateOwnershipToken":"t",` + rest + "}" }
	checkRefusals(t, []refusal{
		{"no token", RegisterThing, JSON, `{}`, fault.BadToken, "Certificate ownership token cannot be empty."},
		{"no token in CBOR", RegisterThing, CBOR, `a0`, fault.BadToken, "Certificate ownership token cannot be empty."},
		{"an empty token", RegisterThing, JSON, `{"certificateOwnershipToken":""}`, fault.BadToken, "Certificate ownership token cannot be empty."},
		{"a token that is null", RegisterThing, JSON, `{"certificateOwnershipToken":null}`, fault.BadToken, "Certificate ownership token cannot be empty."},
		{"a token in the wrong case", RegisterThing, JSON, `{"CertificateOwnershipToken":"t"}`, fault.BadToken,
			`Certificate ownership token cannot be empty; the payload has "CertificateOwnershipToken", which is spelt differently.`},
		{"parameters in the wrong case", RegisterThing, JSON, `{"certificateOwnershipToken":"t","Parameters":{}}`, fault.InvalidParameters,
			`parameters is missing; the payload has "Parameters", which is spelt differently.`},
		{"a signing request that is null", CreateFromCSR, JSON, `{"certificateSigningRequest":null}`, fault.InvalidCSR,
			"certificateSigningRequest is null; a text with a PEM block is expected."},
		{"a signing request that is null in CBOR", CreateFromCSR, CBOR, "a17819" + "6365727469666963617465" + "5369676e696e67" + "52657175657374" + "f6", fault.InvalidCSR,
			"certificateSigningRequest is null; a text with a PEM block is expected."},
		{"the DER of a P-256 request in Base64", CreateFromCSR, JSON, `{"certificateSigningRequest":"MIHIMG8CAQAwDTELMAkGA1UEAwwCZDE="}`, fault.InvalidCSR,
			"certificateSigningRequest looks like DER in Base64; it has to be a PEM block with its BEGIN CERTIFICATE REQUEST and END lines."},
		{"a token that is a number", RegisterThing, JSON, `{"certificateOwnershipToken":1}`, fault.BadToken,
			"certificateOwnershipToken is a number; a text is expected."},
		{"parameters that are a list", RegisterThing, JSON, token(`"parameters":[]`), fault.InvalidParameters,
			"parameters is a list; a map from text to text is expected."},
		{"a parameter that is a number", RegisterThing, JSON, token(`"parameters":{"A":"1","Port":8883}`), fault.InvalidParameters,
			`Parameter "Port" is a number; a text is expected.`},
		{"a parameter that is null", RegisterThing, JSON, token(`"parameters":{"S":null}`), fault.InvalidParameters,
			`Parameter "S" is null; a text is expected.`},
		{"a parameter that is an object", RegisterThing, JSON, token(`"parameters":{"S":{}}`), fault.InvalidParameters,
			`Parameter "S" is an object; a text is expected.`},
		{"a parameter that is a boolean", RegisterThing, JSON, token(`"parameters":{"S":true}`), fault.InvalidParameters,
			`Parameter "S" is a boolean; a text is expected.`},
		{"a long value", RegisterThing, JSON, token(`"parameters":{"S":"` + strings.Repeat("é", 4097) + `"}`), fault.InvalidParameters,
			`The value of parameter "S" has 4097 characters; at most 4096 are allowed.`},
		{"a long name", RegisterThing, JSON, token(`"parameters":{"` + strings.Repeat("n", 2049) + `":""}`), fault.InvalidParameters,
			`The name of parameter "` + strings.Repeat("n", 64) + `…" has 2049 characters; at most 2048 are allowed.`},
		{"too many parameters", RegisterThing, JSON, token(`"parameters":{` + manyParameters(257) + `}`), fault.InvalidParameters,
			"parameters has 257 members; at most 256 are allowed."},
		{"no signing request", CreateFromCSR, JSON, `{}`, fault.InvalidCSR, "certificateSigningRequest is missing; a text with a PEM block is expected."},
		{"a misspelt member", CreateFromCSR, JSON, `{"certificateSiningRequest":"x"}`, fault.InvalidCSR,
			`certificateSigningRequest is missing; the payload has "certificateSiningRequest", which is spelt differently.`},
		{"an empty signing request", CreateFromCSR, JSON, `{"certificateSigningRequest":""}`, fault.InvalidCSR, "certificateSigningRequest is empty; a text with a PEM block is expected."},
		{"a signing request that is a number", CreateFromCSR, JSON, `{"certificateSigningRequest":1}`, fault.InvalidCSR,
			"certificateSigningRequest is a number; a text with a PEM block is expected."},
		{"DER inside JSON", CreateFromCSR, JSON, `{"certificateSigningRequest":"MIIBCzCBsgIBADBQ"}`, fault.InvalidCSR,
			"certificateSigningRequest looks like DER in Base64; it has to be a PEM block with its BEGIN CERTIFICATE REQUEST and END lines."},
		{"DER inside JSON, on the other topic", CreateKeys, JSON, `{"certificateSigningRequest":"MIIBCzCBsgIBADBQ"}`, fault.InvalidCSR,
			"certificateSigningRequest looks like DER in Base64; it has to be a PEM block with its BEGIN CERTIFICATE REQUEST and END lines."},
		{"a signing request that is not PEM", CreateFromCSR, JSON, `{"certificateSigningRequest":"CSR"}`, fault.InvalidCSR,
			"certificateSigningRequest is not PEM: it does not start with -----BEGIN CERTIFICATE REQUEST-----."},
		{"a signing request of a megabyte", CreateFromCSR, JSON, `{"certificateSigningRequest":"-----BEGIN ` + strings.Repeat("A", 1<<20) + `"}`, fault.InvalidCSR,
			"The certificate signing request has 1048587 bytes; at most 4096 are allowed."},
	})
}

func manyParameters(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"p%d":""`, i)
	}
	return strings.Join(list, ",")
}
