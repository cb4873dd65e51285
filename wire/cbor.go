package wire

import (
	"strconv"

	"github.com/fxamacker/cbor/v2"

	"github.com/slipway-iot/slipway/fault"
)

// Bounds on CBOR from strangers. A request needs two levels and a handful of
// pairs; the pairs leave room for MaxParameters.
const (
	maxCBORDepth = 16
	maxCBORItems = 512
)

var (
	cborReader = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:  maxCBORDepth,
		MaxArrayElements: maxCBORItems,
		MaxMapPairs:      maxCBORItems,
		IndefLength:      cbor.IndefLengthAllowed,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode())

	// Structs keep the order of their fields, which is that of the specification's
	// vectors; maps are sorted, so that equal answers are equal bytes.
	cborFields = must(cbor.EncOptions{Sort: cbor.SortNone, IndefLength: cbor.IndefLengthForbidden}.EncMode())
	cborSorted = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, IndefLength: cbor.IndefLengthForbidden}.EncMode())
)

// must stops the program at its start if a library turns down constant options.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// cborValue reads exactly one CBOR data item (RFC 8949). Indefinite lengths
// are taken, since small encoders write them; duplicates, trailing bytes and
// truncation are not.
func cborValue(payload []byte) (value, error) {
	if err := cborReader.Wellformed(payload); err != nil {
		return value{}, cborFault(payload, err)
	}
	return fromCBOR(payload, payload), nil
}

// cborFault says where the payload is wrong. The library's own sentence, which
// names neither place nor member, stays in the log.
func cborFault(payload []byte, err error) error {
	if sentence := diagnose(payload); sentence != "" {
		return fault.Wrap(fault.InvalidPayload, err, "%s", sentence)
	}
	return fault.Wrap(fault.InvalidPayload, err, "The CBOR cannot be read as a map with text keys.")
}

// Major types of RFC 8949, section 3.1.
const (
	majorUint   = 0
	majorNeg    = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// fromCBOR classifies one well-formed item of the payload.
func fromCBOR(payload, item []byte) value {
	switch major := item[0] >> 5; {
	case major == majorUint:
		var n uint64
		_ = cborReader.Unmarshal(item, &n) // well-formed, so it fits
		return value{noun: "a number", number: strconv.FormatUint(n, 10)}
	case major == majorBytes:
		v := value{kind: blob, noun: "a byte string"}
		if cborReader.Unmarshal(item, &v.bytes) != nil {
			v.kind = other
		}
		return v
	case major == majorText:
		v := value{kind: text, noun: "a text"}
		if cborReader.Unmarshal(item, &v.text) != nil {
			v.kind, v.noun = other, "a text that is not UTF-8"
		}
		return v
	case major == majorMap:
		read := func() (members, error) { return cborMembers(payload, item) }
		return value{kind: object, noun: "a map", members: read}
	case item[0] == 0xf6, item[0] == 0xf7: // null, undefined
		return value{kind: null, noun: "null"}
	}
	return value{noun: cborNoun(item[0])}
}

func cborNoun(head byte) string {
	switch major := head >> 5; {
	case major == majorArray:
		return "an array"
	case major == majorTag:
		return "a tagged value"
	case head == 0xf4, head == 0xf5:
		return "a boolean"
	case head == 0xf9, head == 0xfa, head == 0xfb, major == majorNeg:
		return "a number"
	}
	return "a simple value"
}

func cborMembers(payload, item []byte) (members, error) {
	var raw map[string]cbor.RawMessage
	if err := cborReader.Unmarshal(item, &raw); err != nil {
		return nil, cborFault(payload, err)
	}
	m := make(members, len(raw))
	for name, each := range raw {
		m[name] = fromCBOR(payload, each)
	}
	return m, nil
}
