package wire

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
)

// seed adds every golden message and the malformed examples.
func seed(f *testing.F) {
	t := &testing.T{}
	for _, b := range goldenBytes(t) {
		f.Add(true, b)
		f.Add(false, b)
	}
	for _, name := range []string{"create-certificate-from-csr", "register-thing"} {
		f.Add(true, unhex(f, cborFixture(t, name)))
	}
	f.Add(true, []byte("\xbf\x7f\x61a\xff\x9f\xff\xff"))
	f.Add(false, []byte(pemCSR))
	f.Add(true, derCSR)
}

func formatOf(binary bool) Format {
	if binary {
		return CBOR
	}
	return JSON
}

// refusedWell checks that a refusal is one: classified, and a valid sentence
// short enough to be sent to a small device.
func refusedWell(t *testing.T, err error) {
	if err == nil {
		return
	}
	face, sentence := fault.Show(err)
	if face.MQTT != 400 || !utf8.ValidString(sentence) || len(sentence) > 900 {
		t.Errorf("%d %q", face.MQTT, sentence)
	}
}

func FuzzDecodeCreate(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, binary bool, b []byte) {
		got, err := DecodeCreate(formatOf(binary), b)
		refusedWell(t, err)
		if got.Given != (len(got.CSR) > 0) || len(got.CSR) > MaxCSR {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzDecodeCreateFromCSR(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, binary bool, b []byte) {
		got, err := DecodeCreateFromCSR(formatOf(binary), b)
		refusedWell(t, err)
		if got.Given != (err == nil) || len(got.CSR) > MaxCSR {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzDecodeRegister(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, binary bool, b []byte) {
		format := formatOf(binary)
		got, err := DecodeRegister(format, b)
		refusedWell(t, err)
		if err != nil {
			return
		}
		for _, each := range []Format{JSON, CBOR} {
			again, err := DecodeRegister(each, got.Encode(each))
			if err != nil || !reflect.DeepEqual(got, again) {
				t.Errorf("%+v became %+v in %s: %v", got, again, each, err)
			}
		}
	})
}

func FuzzDecodeAnswers(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, binary bool, b []byte) {
		for name, m := range golden {
			if m.decode == nil {
				continue
			}
			if _, err := m.decode(formatOf(binary), b); err != nil {
				refusedWell(t, err)
			}
			_ = name
		}
	})
}

// FuzzDiagnose holds the two readers of CBOR against each other: what the
// library takes has no fault, and what it refuses has one with a place.
func FuzzDiagnose(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, _ bool, b []byte) {
		err := cborReader.Wellformed(b)
		if sentence := diagnose(b); err != nil && sentence == "" {
			t.Errorf("%x: the library says %v, the walker finds nothing", b, err)
		}
	})
}
