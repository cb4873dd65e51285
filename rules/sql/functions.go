package sql

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// A function of the language: how many arguments it takes, and what it gives.
type function struct {
	least, most int
	how         evaluation
	f           func(m *Message, args []Value) Value
}

// An evaluation is how a function takes its arguments.
type evaluation int

const (
	strict evaluation = iota // not asked when one is Undefined
	lazy                     // asked in any case
	raw                      // strict, and * is the payload's bytes
)

func (f function) count() string {
	if f.least == f.most {
		return fmt.Sprintf("%d arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

func (c call) eval(m *Message) Value {
	args := make([]Value, len(c.args))
	for i, a := range c.args {
		if _, all := a.(whole); all && c.f.how == raw {
			args[i] = m.Payload
		} else if args[i] = a.eval(m); args[i] == Undefined && c.f.how != lazy {
			return Undefined
		}
	}
	return c.f.f(m, args)
}

const many = 100

var functions = map[string]function{
	"topic":     {0, 1, strict, topicOf},
	"timestamp": {0, 0, strict, func(m *Message, _ []Value) Value { return m.Now.UnixMilli() }},
	"accountid": {0, 0, strict, func(m *Message, _ []Value) Value { return m.Account }},
	"traceid":   {0, 0, strict, func(m *Message, _ []Value) Value { return m.TraceID }},
	"newuuid":   {0, 0, strict, func(m *Message, _ []Value) Value { return m.NewUUID() }},
	"clientid": {0, 0, strict, func(m *Message, _ []Value) Value {
		if m.ClientID == "" {
			return "n/a"
		}
		return m.ClientID
	}},
	"principal": {0, 0, strict, func(m *Message, _ []Value) Value {
		if m.Principal == "" {
			return Undefined
		}
		return m.Principal
	}},

	"isundefined": {1, 1, lazy, func(_ *Message, a []Value) Value { return a[0] == Undefined }},
	"isnull":      {1, 1, lazy, func(_ *Message, a []Value) Value { return a[0] == nil }},
	"get":         {2, 2, strict, func(_ *Message, a []Value) Value { return elementOf(a[0], a[1]) }},
	"cast":        {2, 2, strict, cast},

	"lower":          {1, 1, strict, ofText(func(s string) Value { return strings.ToLower(s) })},
	"upper":          {1, 1, strict, ofText(func(s string) Value { return strings.ToUpper(s) })},
	"trim":           {1, 1, strict, ofText(func(s string) Value { return strings.TrimSpace(s) })},
	"length":         {1, 1, strict, ofText(func(s string) Value { return int64(utf8.RuneCountInString(s)) })},
	"md5":            {1, 1, strict, digest(func(b []byte) []byte { d := md5.Sum(b); return d[:] })},
	"sha1":           {1, 1, strict, digest(func(b []byte) []byte { d := sha1.Sum(b); return d[:] })},
	"sha256":         {1, 1, strict, digest(func(b []byte) []byte { d := sha256.Sum256(b); return d[:] })},
	"sha512":         {1, 1, strict, digest(func(b []byte) []byte { d := sha512.Sum512(b); return d[:] })},
	"concat":         {0, many, strict, concat},
	"substring":      {2, 3, strict, substring},
	"startswith":     {2, 2, strict, ofTexts(func(s []string) Value { return strings.HasPrefix(s[0], s[1]) })},
	"endswith":       {2, 2, strict, ofTexts(func(s []string) Value { return strings.HasSuffix(s[0], s[1]) })},
	"indexof":        {2, 2, strict, ofTexts(func(s []string) Value { return int64(strings.Index(s[0], s[1])) })},
	"replace":        {3, 3, strict, ofTexts(func(s []string) Value { return strings.ReplaceAll(s[0], s[1], s[2]) })},
	"regexp_matches": {2, 2, strict, ofTexts(matches)},
	"encode":         {2, 2, raw, encodeText},
	"decode":         {2, 2, strict, decodeText},
	"parse_time":     {2, 3, strict, parseTime},

	"abs":   {1, 1, strict, ofNumber(math.Abs)},
	"ceil":  {1, 1, strict, ofNumber(math.Ceil)},
	"floor": {1, 1, strict, ofNumber(math.Floor)},
	"round": {1, 1, strict, ofNumber(math.Round)},
}

// topicOf gives the topic, or one of its levels, counted from 1.
func topicOf(m *Message, args []Value) Value {
	if len(args) == 0 {
		return m.Topic
	}
	n, ok := args[0].(int64)
	levels := strings.Split(m.Topic, "/")
	if !ok || n < 1 || n > int64(len(levels)) {
		return Undefined
	}
	return levels[n-1]
}

func ofText(f func(string) Value) func(*Message, []Value) Value {
	return func(_ *Message, a []Value) Value {
		s, ok := toText(a[0])
		if !ok {
			return Undefined
		}
		return f(s)
	}
}

func ofTexts(f func([]string) Value) func(*Message, []Value) Value {
	return func(_ *Message, args []Value) Value {
		texts := make([]string, len(args))
		for i, a := range args {
			s, ok := toText(a)
			if !ok {
				return Undefined
			}
			texts[i] = s
		}
		return f(texts)
	}
}

func ofNumber(f func(float64) float64) func(*Message, []Value) Value {
	return func(_ *Message, a []Value) Value {
		x, ok := toFloat(a[0])
		if !ok {
			return Undefined
		}
		v := f(x)
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
		return v
	}
}

func digest(sum func([]byte) []byte) func(*Message, []Value) Value {
	return func(_ *Message, a []Value) Value {
		if raw, ok := a[0].([]byte); ok {
			return hex.EncodeToString(sum(raw))
		}
		s, ok := toText(a[0])
		if !ok {
			return Undefined
		}
		return hex.EncodeToString(sum([]byte(s)))
	}
}

// concat joins arrays, or texts.
func concat(_ *Message, args []Value) Value {
	var list []any
	lists := false
	for _, a := range args {
		if l, ok := a.([]any); ok {
			list, lists = append(list, l...), true
		} else {
			list = append(list, a)
		}
	}
	if lists {
		return list
	}
	var b strings.Builder
	for _, a := range args {
		s, ok := toText(a)
		if !ok {
			return Undefined
		}
		b.WriteString(s)
	}
	return b.String()
}

// substring counts characters from 0; what lies outside is cut off.
func substring(_ *Message, args []Value) Value {
	s, ok := toText(args[0])
	if !ok {
		return Undefined
	}
	r := []rune(s)
	from, ok := args[1].(int64)
	to, toOK := int64(len(r)), true
	if len(args) == 3 {
		to, toOK = args[2].(int64)
	}
	if !ok || !toOK {
		return Undefined
	}
	from = min(max(from, 0), int64(len(r)))
	to = min(max(to, from), int64(len(r)))
	return string(r[from:to])
}

// matches is by Go's engine, which takes time in proportion to the text.
func matches(s []string) Value {
	re, err := regexp.Compile(s[1])
	if err != nil {
		return Undefined
	}
	return re.MatchString(s[0])
}

func encodeText(_ *Message, args []Value) Value {
	if how, _ := args[1].(string); !strings.EqualFold(how, "base64") {
		return Undefined
	}
	if raw, ok := args[0].([]byte); ok {
		return base64.StdEncoding.EncodeToString(raw)
	}
	s, ok := toText(args[0])
	if !ok {
		return Undefined
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

func decodeText(_ *Message, args []Value) Value {
	how, _ := args[1].(string)
	s, ok := args[0].(string)
	if !ok || !strings.EqualFold(how, "base64") {
		return Undefined
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !utf8.Valid(b) {
		return Undefined
	}
	return string(b)
}

// cast converts to Integer, Decimal, String or Boolean.
func cast(_ *Message, args []Value) Value {
	kind, _ := args[1].(string)
	switch strings.ToLower(kind) {
	case "string":
		if s, ok := toText(args[0]); ok {
			return s
		}
	case "decimal":
		if b, ok := args[0].(bool); ok {
			return map[bool]float64{true: 1}[b]
		}
		if f, ok := toFloat(args[0]); ok {
			return f
		}
	case "int", "integer":
		if b, ok := args[0].(bool); ok {
			return map[bool]int64{true: 1}[b]
		}
		if n, ok := args[0].(int64); ok {
			return n
		}
		if f, ok := toFloat(args[0]); ok && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	case "bool", "boolean":
		if f, ok := args[0].(int64); ok {
			return f != 0
		}
		return truth(args[0])
	}
	return Undefined
}

// joda puts Go's letters in place of those of Joda-Time's patterns, as far as
// dates need them.
var joda = strings.NewReplacer("'T'", "T", "'Z'", "Z", "yyyy", "2006", "MMM", "Jan", "MM", "01", "dd", "02", "EEE", "Mon",
	"HH", "15", "mm", "04", "ss", "05", ".SSS", ".000", "ZZ", "-07:00", "Z", "-0700", "z", "MST")

// parseTime writes a moment, milliseconds since 1970, by a pattern.
func parseTime(_ *Message, args []Value) Value {
	pattern, ok := args[0].(string)
	ms, isNumber := toFloat(args[1])
	if !ok || !isNumber || math.Abs(ms) > 1<<52 {
		return Undefined
	}
	zone := time.UTC
	if len(args) == 3 {
		name, _ := args[2].(string)
		z, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			return Undefined
		}
		zone = z
	}
	return time.UnixMilli(int64(ms)).In(zone).Format(joda.Replace(pattern))
}
