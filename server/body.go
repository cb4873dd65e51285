package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// decodeBody reads the JSON body of one of our own operations. Unlike AWS's,
// they refuse members that they do not know, so that a setting which is spelled
// wrong is not lost silently. Errors name the member and what was expected.
func decodeBody(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return fault.New(fault.InvalidPayload, "The request has no body; a JSON object is expected.")
	}
	tree, err := strict.Parse(body)
	if err != nil {
		return fault.Wrap(fault.InvalidPayload, err, "The body is not well-formed: %s.", arn.Clip(err.Error(), 200))
	}
	if tree.Kind != strict.Object {
		return fault.New(fault.InvalidPayload, "The body is %s; a JSON object is expected.", tree.Kind)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return explainBody(d.Decode(into))
}

// explainBody makes a sentence of what encoding/json says.
func explainBody(err error) error {
	var ours *fault.Error
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil, errors.As(err, &ours):
		return err
	case errors.As(err, &kind):
		return fault.Wrap(fault.InvalidPayload, err, "%s is a JSON %s; %s is expected.", kind.Field, kind.Value, expected(kind.Type))
	}
	if _, name, unknown := strings.Cut(err.Error(), "unknown field "); unknown {
		return fault.Wrap(fault.InvalidPayload, err, "This operation has no member %s.", arn.Clip(name, 80))
	}
	return fault.Wrap(fault.InvalidPayload, err, "The body cannot be read.")
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a whole number"
}
