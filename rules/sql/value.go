package sql

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// A Value is nil (null), bool, int64, float64, string, []any, map[string]any,
// []byte (a payload that is no JSON) or Undefined.
type Value = any

type undefined struct{}

// Undefined is what a missing member is, and what becomes of it.
var Undefined Value = undefined{}

// root is the payload's tree, or its bytes where it is no JSON.
func (m *Message) root() Value {
	if !m.read {
		m.read, m.tree = true, decode(m.Payload)
	}
	return m.tree
}

func decode(payload []byte) Value {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil || d.More() {
		return payload
	}
	return settled(tree)
}

// settled puts numbers in place of their texts: an integer that fits stays one.
func settled(v any) Value {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = settled(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = settled(v[k])
		}
	}
	return v
}

// number reads an integer or a decimal.
func number(text string) Value {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return decimal(text)
}

// decimal reads a number as it stands in JSON; anything else is Undefined.
func decimal(text string) Value {
	if strings.ContainsAny(text, "xXpP_nN") { // what Go reads and JSON does not
		return Undefined
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return Undefined
	}
	return f
}

// truth is a value as a condition: a boolean, or a text that says one.
func truth(v Value) Value {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return Undefined
}

// toFloat is a value as a decimal, where it converts to one.
func toFloat(v Value) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, ok := decimal(v).(float64)
		return f, ok
	}
	return 0, false
}

// toText is a value as a string; false for Undefined and bytes.
func toText(v Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case undefined, []byte:
		return "", false
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	b, err := json.Marshal(v)
	return string(b), err == nil
}

// equal is the = of the language: numbers by value, values of different types
// never.
func equal(a, b Value) bool {
	if isNumber(a) && isNumber(b) {
		if x, ok := a.(int64); ok {
			if y, ok := b.(int64); ok {
				return x == y
			}
		}
		x, _ := toFloat(a)
		y, _ := toFloat(b)
		return x == y
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case string:
		y, ok := b.(string)
		return ok && x == y
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if other, there := y[k]; !there || !equal(x[k], other) {
				return false
			}
		}
		return true
	}
	return false
}

func isNumber(v Value) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}
