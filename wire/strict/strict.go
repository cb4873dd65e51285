// Package strict reads JSON that grants something: policies and templates.
//
// encoding/json takes duplicate keys and ignores their case, so that a
// document with "Effect" twice means what its last line says. Here every
// duplicate is an error, names keep their case, nothing may follow the value,
// and depth is bounded. The result is a tree that keeps order and knows the
// line each value stands on, so that an error can name the place.
package strict

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// A Kind is what a JSON value is.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}

// String names the kind with its article, for messages.
func (k Kind) String() string { return kindNames[k] }

// A Value is one JSON value.
type Value struct {
	Kind    Kind
	Text    string // of a string, or the digits of a number
	Bool    bool
	Items   []*Value
	Members []Member
	Path    string // such as Statement[0].Effect; empty for the whole
	Line    int    // from 1
}

// A Member is a key of an object with its value.
type Member struct {
	Key   string
	Value *Value
}

// Get gives the member named key, or nil.
func (v *Value) Get(key string) *Value {
	for _, m := range v.Members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Where names the place for a message: "Statement[0].Effect (line 4)".
func (v *Value) Where() string {
	if v.Path == "" {
		return fmt.Sprintf("the document (line %d)", v.Line)
	}
	return fmt.Sprintf("%s (line %d)", v.Path, v.Line)
}

// MaxDepth bounds nesting.
const MaxDepth = 32

// Parse reads exactly one JSON value. Its errors are sentences that name the
// line.
func Parse(data []byte) (*Value, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the text is not UTF-8")
	}
	p := &parser{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	v, err := p.value("", 0)
	if err != nil {
		return nil, p.explain(err)
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("line %d: something follows the document's end", p.line())
	}
	return v, nil
}

type parser struct {
	data    []byte
	dec     *json.Decoder
	counted int // bytes whose newlines are in lines
	lines   int
}

func (p *parser) line() int {
	off := min(int(p.dec.InputOffset()), len(p.data))
	if off > p.counted {
		p.lines += bytes.Count(p.data[p.counted:off], []byte("\n"))
		p.counted = off
	}
	return p.lines + 1
}

func (p *parser) explain(err error) error {
	var syn *json.SyntaxError
	switch {
	case errors.As(err, &syn):
		line := 1 + bytes.Count(p.data[:min(int(syn.Offset), len(p.data))], []byte("\n"))
		return fmt.Errorf("line %d: not valid JSON: %s", line, syn.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("line %d: the JSON ends too early", p.line())
	}
	return err
}

func (p *parser) value(path string, depth int) (*Value, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d levels", p.line(), MaxDepth)
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	v := &Value{Path: path, Line: p.line()}
	switch t := tok.(type) {
	case nil:
		v.Kind = Null
	case bool:
		v.Kind, v.Bool = Bool, t
	case json.Number:
		v.Kind, v.Text = Number, t.String()
	case string:
		v.Kind, v.Text = String, t
	case json.Delim:
		if t == '[' {
			return v, p.array(v, depth)
		}
		return v, p.object(v, depth)
	}
	return v, nil
}

func (p *parser) array(v *Value, depth int) error {
	v.Kind = Array
	for p.dec.More() {
		item, err := p.value(v.Path+"["+strconv.Itoa(len(v.Items))+"]", depth+1)
		if err != nil {
			return err
		}
		v.Items = append(v.Items, item)
	}
	_, err := p.dec.Token()
	return err
}

func (p *parser) object(v *Value, depth int) error {
	v.Kind = Object
	seen := map[string]bool{}
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		key := tok.(string) // encoding/json guarantees it
		if seen[key] {
			return fmt.Errorf("line %d: %q stands twice in %s", p.line(), key, cmp.Or(v.Path, "the same object"))
		}
		seen[key] = true
		path := key
		if v.Path != "" {
			path = v.Path + "." + key
		}
		val, err := p.value(path, depth+1)
		if err != nil {
			return err
		}
		v.Members = append(v.Members, Member{key, val})
	}
	_, err := p.dec.Token()
	return err
}
