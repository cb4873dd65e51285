package wire

import "github.com/slipway-iot/slipway/fault"

// A kind is what a value of a payload is, as far as this protocol cares.
type kind uint8

const (
	other kind = iota // numbers, booleans, lists, tags: never due, only named
	null
	text
	blob // a CBOR byte string
	object
)

// A value is one value of a payload, in whichever format it came.
type value struct {
	kind  kind
	noun  string // with its article, for sentences: "a number"
	text  string // of kind text
	bytes []byte // of kind blob

	// number holds the digits of a JSON number or of an unsigned CBOR integer.
	number string

	// members reads an object's members. It is called only where an object is
	// due: what nobody asked for is never looked into.
	members func() (members, error)
}

// members are the members of an object. Their order does not matter in this
// protocol and no name stands twice.
type members map[string]value

// readObject reads a payload that has to be one object (JSON) or map (CBOR).
func readObject(f Format, payload []byte) (members, error) {
	if len(payload) == 0 {
		return nil, fault.New(fault.InvalidPayload, "The payload is empty; %s is expected.", objectNoun(f))
	}
	read := jsonValue
	if f == CBOR {
		read = cborValue
	}
	v, err := read(payload)
	if err != nil && crossed(f, payload) {
		return nil, fault.Wrap(fault.InvalidPayload, err, "The payload looks like %s, and this topic takes %s; publish it to the topic that ends in /%s.", objectNoun(1-f), objectNoun(f), 1-f)
	}
	if err != nil {
		return nil, err
	}
	if v.kind != object {
		return nil, fault.New(fault.InvalidPayload, "The payload is %s; %s is expected.", v.noun, objectNoun(f))
	}
	return v.members()
}

// crossed says whether a payload that cannot be read in one format begins like
// an object of the other: as JSON does on a topic for CBOR, and the reverse.
func crossed(f Format, payload []byte) bool {
	if f == CBOR {
		return payload[0] == '{'
	}
	return payload[0]>>5 == majorMap
}

func objectNoun(f Format) string {
	if f == CBOR {
		return "a CBOR map"
	}
	return "a JSON object"
}

// present gives the member called name. A null counts as absent: serializers
// write it for a field that was not set.
func (m members) present(name string) (value, bool) {
	v, ok := m[name]
	return v, ok && v.kind != null
}
