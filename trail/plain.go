package trail

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
	"time"
	"unicode"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
)

// plain gives a resource as a tree for JSON: its fields by their names, those
// that are empty left out. Bytes are never shown, whatever they are: what must
// not lie open in the store, secrets and digests of tokens, is kept as bytes.
func plain(v any) any { return plainValue(reflect.ValueOf(v)) }

func plainValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plainValue(v.Elem())
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.UTC().Format(time.RFC3339Nano)
		}
		return plainStruct(v)
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = plainValue(it.Value())
		}
		return out
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return audit.Hidden
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plainValue(v.Index(i))
		}
		return out
	case reflect.String:
		return v.String()
	}
	return v.Interface()
}

// plainStruct leaves out the tenant, which the record names beside it.
func plainStruct(v reflect.Value) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		if !f.IsExported() || value.IsZero() || f.Type == reflect.TypeFor[arn.Tenant]() {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			maps.Copy(out, plainStruct(value).(map[string]any))
			continue
		}
		out[memberName(f.Name)] = plainValue(value)
	}
	return out
}

// memberName writes RoleARN as roleArn, CAID as caid and ID as id.
func memberName(field string) string {
	letters := []rune(field)
	for i := range letters {
		after := i > 0 && unicode.IsUpper(rune(field[i-1]))
		before := i+1 == len(letters) || unicode.IsUpper(letters[i+1])
		if i == 0 || after && before {
			letters[i] = unicode.ToLower(letters[i])
		}
	}
	return string(letters)
}

// maxSame is how long a text may be that stands in both states of a change.
const maxSame = 128

// shorten gives two states without the long texts that are the same in both: a
// certificate does not stand twice in a record of its revocation, nor a
// policy's history in every record about it. Their hashes stand for them.
func shorten(before, after any) (any, any) {
	was, ok := before.(map[string]any)
	is, both := after.(map[string]any)
	if !ok || !both {
		return before, after
	}
	was, is = maps.Clone(was), maps.Clone(is)
	for name, value := range was {
		other, both := is[name]
		if text, ok := value.(string); ok && both && other == text && len(text) > maxSame {
			was[name], is[name] = hashed(text), hashed(text)
		}
		old, ok := value.([]any)
		current, both := other.([]any)
		if ok && both {
			was[name], is[name] = known(old, current), known(current, old)
		}
	}
	return was, is
}

// known shortens those members of a list that the other list has too.
func known(list, others []any) []any {
	out := slices.Clone(list)
	for i, v := range out {
		m, ok := v.(map[string]any)
		if !ok || !slices.ContainsFunc(others, func(o any) bool { return reflect.DeepEqual(v, o) }) {
			continue
		}
		m = maps.Clone(m)
		for name, value := range m {
			if text, ok := value.(string); ok && len(text) > maxSame {
				m[name] = hashed(text)
			}
		}
		out[i] = m
	}
	return out
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256 " + hex.EncodeToString(sum[:])
}
