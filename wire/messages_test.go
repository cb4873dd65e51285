package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

// A message is one of the API's, with both its directions.
type message struct {
	value  any
	encode func(Format) []byte
	decode func(Format, []byte) (any, error)
}

func decoded[T any](decode func(Format, []byte) (T, error)) func(Format, []byte) (any, error) {
	return func(f Format, b []byte) (any, error) { v, err := decode(f, b); return v, err }
}

func createMessage(a CreateAnswer) message {
	return message{a, a.Encode, decoded(DecodeCreateAnswer)}
}

func registerMessage(a RegisterAnswer) message {
	return message{a, a.Encode, decoded(DecodeRegisterAnswer)}
}

func rejectionMessage(r Rejection) message {
	return message{r, r.Encode, decoded(DecodeRejection)}
}

func requestMessage(r RegisterRequest) message {
	return message{r, r.Encode, decoded(DecodeRegister)}
}

// golden are the messages of testdata/messages.txtar, by name.
var golden = map[string]message{
	"register-request":         requestMessage(RegisterRequest{"tok1", map[string]string{"SerialNumber": "A1"}}),
	"register-request-bare":    requestMessage(RegisterRequest{"tok1", map[string]string{}}),
	"register-answer-bare":     registerMessage(RegisterAnswer{map[string]string{}, "sensor-A1"}),
	"register-answer":          registerMessage(RegisterAnswer{map[string]string{"site": "lab"}, "sensor-A1"}),
	"register-answer-no-thing": registerMessage(RegisterAnswer{map[string]string{}, ""}),
	"register-answer-sorted":   registerMessage(RegisterAnswer{map[string]string{"b": "2", "aa": "3", "a": "1"}, "t"}),
	"create-from-csr-answer":   createMessage(CreateAnswer{"tok1", "id", "PEM", ""}),
	"create-answer":            createMessage(CreateAnswer{"tok1", "id", "PEM", "KEY"}),
	"rejection":                rejectionMessage(Rejection{400, "InvalidParameters", "m"}),
	"rejection-markup":         rejectionMessage(Rejection{500, "InternalFailure", "<a&b> é€"}),
	"create-request": {CreateRequest{}, EncodeCreate,
		decoded(DecodeCreate)},
	"create-from-csr-request": {nil, func(f Format) []byte { return EncodeCreateFromCSR(f, []byte("CSR")) }, nil},
}

func goldenBytes(t *testing.T) map[string][]byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/messages.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, file := range archive.Files {
		b := bytes.TrimSpace(file.Data)
		if strings.HasSuffix(file.Name, ".cbor") {
			b = unhex(t, string(b))
		}
		files[file.Name] = b
	}
	return files
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenMessages(t *testing.T) {
	files := goldenBytes(t)
	if len(files) != 2*len(golden) {
		t.Errorf("%d files for %d messages", len(files), len(golden))
	}
	for name, m := range golden {
		for _, f := range []Format{JSON, CBOR} {
			want := files[name+"."+f.String()]
			if got := m.encode(f); !bytes.Equal(got, want) {
				t.Errorf("%s in %s: encoded\n%x, want\n%x", name, f, got, want)
			}
			if m.decode == nil {
				continue
			}
			got, err := m.decode(f, want)
			if err != nil || !reflect.DeepEqual(got, m.value) {
				t.Errorf("%s in %s: decoded %+v, %v; want %+v", name, f, got, err, m.value)
			}
		}
	}
}

func TestWhatIsEncodedIsDecodedAgain(t *testing.T) {
	texts := rapid.MapOfN(rapid.StringN(0, 40, -1), rapid.String(), 0, 20)
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom([]Format{JSON, CBOR}).Draw(t, "format")
		word := rapid.StringN(1, -1, -1)
		for _, m := range []message{
			requestMessage(RegisterRequest{word.Draw(t, "token"), texts.Draw(t, "parameters")}),
			registerMessage(RegisterAnswer{texts.Draw(t, "configuration"), rapid.String().Draw(t, "thing")}),
			createMessage(CreateAnswer{word.Draw(t, "token"), word.Draw(t, "id"), word.Draw(t, "pem"), rapid.String().Draw(t, "key")}),
			rejectionMessage(Rejection{rapid.IntRange(0, 599).Draw(t, "status"), rapid.String().Draw(t, "code"), rapid.String().Draw(t, "message")}),
		} {
			got, err := m.decode(f, m.encode(f))
			if err != nil || !reflect.DeepEqual(got, m.value) {
				t.Fatalf("%s: got %+v, %v; want %+v", f, got, err, m.value)
			}
		}
	})
}

func TestAnswersFitTheBuffersOfSmallClients(t *testing.T) {
	// The specification, section 2.5: 2,048 bytes for a whole packet in the CSR
	// demo. A P-256 certificate in PEM stays below 1,100 bytes, a token below 400.
	a := CreateAnswer{strings.Repeat("t", 400), strings.Repeat("a", 64), strings.Repeat("p", 1100), ""}
	packet := len(a.Encode(CBOR)) + len(Accepted(CreateFromCSRTopic(CBOR))) + 16
	if packet > 2048 {
		t.Errorf("the packet has %d bytes", packet)
	}
}

func TestTheTwoFixturesAreHereUnchanged(t *testing.T) {
	for _, name := range []string{"create-certificate-from-csr", "register-thing"} {
		b, err := os.ReadFile("testdata/" + name + ".malformed.cbor.hex")
		if err != nil {
			t.Fatal(err)
		}
		if got := unhex(t, string(b)); got[1] != 0x78 || got[2] != 0x1a {
			t.Errorf("%s starts %x", name, got[:3])
		}
	}
}
