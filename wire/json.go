package wire

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// jsonValue reads exactly one JSON value (RFC 8259), strictly: no duplicate
// names, bounded depth, nothing behind it.
func jsonValue(payload []byte) (value, error) {
	v, err := strict.Parse(payload)
	if err == nil {
		return fromJSON(v), nil
	}
	var syntax *json.SyntaxError
	switch {
	case !utf8.Valid(payload):
		return value{}, fault.New(fault.InvalidPayload, "The JSON is not UTF-8 at byte %d.", invalidUTF8(payload))
	case errors.As(json.Unmarshal(payload, new(json.RawMessage)), &syntax):
		return value{}, fault.New(fault.InvalidPayload, "The JSON is malformed at byte %d, %s.", syntax.Offset, err)
	}
	return value{}, fault.New(fault.InvalidPayload, "The JSON is refused: %s.", err)
}

// invalidUTF8 is the offset of the first byte that is not UTF-8.
func invalidUTF8(b []byte) int {
	at := 0
	for at < len(b) {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

func fromJSON(v *strict.Value) value {
	out := value{noun: v.Kind.String()}
	switch v.Kind {
	case strict.Null:
		out.kind = null
	case strict.Number:
		out.number = v.Text
	case strict.String:
		out.kind, out.text = text, v.Text
	case strict.Object:
		out.kind = object
		out.members = func() (members, error) { return jsonMembers(v), nil }
	}
	return out
}

func jsonMembers(v *strict.Value) members {
	m := make(members, len(v.Members))
	for _, each := range v.Members {
		m[each.Key] = fromJSON(each.Value)
	}
	return m
}
