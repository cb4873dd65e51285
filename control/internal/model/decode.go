package model

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A Request is what came for an operation, by place.
type Request struct {
	Path   map[string]string // decoded
	Query  url.Values
	Header http.Header
	Body   []byte
}

// Decode gathers the members of an operation's request, checks each against
// its shape, and gives them as one JSON object keyed by member name.
//
// Members that the operation does not have are ignored, null ones are absent
// (rest-api.md, section 1). Bytes that are not the JSON they should be are
// fault.InvalidPayload; values out of bounds are fault.InvalidRequest, all of
// them in one sentence, as AWS words it.
func (t *Table) Decode(op *Operation, r Request) ([]byte, error) {
	if op.Input == "" {
		return []byte("{}"), nil
	}
	body, err := parseBody(r.Body)
	if err != nil {
		return nil, err
	}
	c := &checker{table: t}
	in := map[string]any{}
	for _, m := range Shapes[op.Input].Members {
		v, err := c.member(m, r, body)
		if err != nil {
			return nil, err
		}
		if v != nil {
			in[m.Name] = v
		} else if m.Required {
			c.violate("null", m.Name, "Member must not be null")
		}
	}
	if err := c.verdict(); err != nil {
		return nil, err
	}
	return json.Marshal(in)
}

// parseBody reads the body as an object; none and null are empty ones.
func parseBody(body []byte) (*strict.Value, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return &strict.Value{Kind: strict.Object}, nil
	}
	v, err := strict.Parse(body)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidPayload, err, "The request body is not the JSON it should be: %s.", err)
	}
	switch v.Kind {
	case strict.Object:
		return v, nil
	case strict.Null:
		return &strict.Value{Kind: strict.Object}, nil
	}
	return nil, fault.New(fault.InvalidPayload, "The request body is %s; expected an object.", v.Kind)
}

// member gives the value of one member, nil when it is absent.
func (c *checker) member(m Member, r Request, body *strict.Value) (any, error) {
	switch m.In {
	case Path:
		return c.text(m, []string{r.Path[m.Wire]})
	case Query:
		return c.text(m, r.Query[m.Wire])
	case Header:
		return c.text(m, r.Header.Values(m.Wire))
	case Whole:
		return c.value(m.Shape, body, m.Name)
	}
	return c.value(m.Shape, body.Get(m.Wire), m.Name)
}

// text reads a member that travels outside the body.
func (c *checker) text(m Member, values []string) (any, error) {
	if len(values) == 0 {
		return nil, nil
	}
	shape := Shapes[m.Shape]
	if shape.Kind == List {
		items := make([]*strict.Value, len(values))
		for i, v := range values {
			items[i] = &strict.Value{Kind: strict.String, Text: v}
		}
		return c.value(m.Shape, &strict.Value{Kind: strict.Array, Items: items, Path: m.Name}, m.Name)
	}
	v := &strict.Value{Kind: strict.String, Text: values[0], Path: m.Name}
	if !utf8.ValidString(v.Text) {
		return nil, fault.New(fault.InvalidRequest, "%s is not UTF-8.", m.Name)
	}
	switch shape.Kind {
	case Boolean:
		v.Kind, v.Bool = strict.Bool, v.Text == "true"
		if v.Text != "true" && v.Text != "false" {
			return nil, fault.New(fault.InvalidRequest, "%s is %q; expected true or false.", m.Name, arn.Clip(v.Text, 40))
		}
	case Integer, Double:
		v.Kind = strict.Number
	}
	return c.value(m.Shape, v, m.Name)
}

// value checks v against a shape and gives what encoding/json marshals to the
// same; nil is an absent one.
func (c *checker) value(name string, v *strict.Value, at string) (any, error) {
	if v == nil || v.Kind == strict.Null {
		return nil, nil
	}
	shape := Shapes[name]
	if want := jsonKind[shape.Kind]; v.Kind != want {
		return nil, fault.New(fault.InvalidPayload, "%s is %s; expected %s.", v.Where(), v.Kind, want)
	}
	switch shape.Kind {
	case Structure:
		return c.structure(shape, v, at)
	case List:
		return c.list(shape, v, at)
	case Map:
		return c.entries(shape, v, at)
	case Boolean:
		return v.Bool, nil
	case Integer, Double, Timestamp:
		return c.number(shape, v, at)
	}
	c.check(v.Text, at, c.table.constraints(name, v.Text))
	return v.Text, nil
}

var jsonKind = [...]strict.Kind{
	String: strict.String, Structure: strict.Object, List: strict.Array, Map: strict.Object,
	Integer: strict.Number, Double: strict.Number, Boolean: strict.Bool,
	Timestamp: strict.Number, Blob: strict.String,
}

func (c *checker) structure(shape Shape, v *strict.Value, at string) (any, error) {
	out := map[string]any{}
	for _, m := range shape.Members {
		inner, err := c.value(m.Shape, v.Get(m.Wire), at+"."+m.Name)
		if err != nil {
			return nil, err
		}
		if inner != nil {
			out[m.Name] = inner
		} else if m.Required {
			c.violate("null", at+"."+m.Name, "Member must not be null")
		}
	}
	return out, nil
}

func (c *checker) list(shape Shape, v *strict.Value, at string) (any, error) {
	c.size(shape, len(v.Items), at)
	out := []any{}
	for i, item := range v.Items {
		inner, err := c.value(shape.Of, item, at+"."+strconv.Itoa(i+1)+".member")
		if err != nil {
			return nil, err
		}
		if inner != nil {
			out = append(out, inner)
		}
	}
	return out, nil
}

// entries reads a map, whose keys and values are bounded as AWS words it.
func (c *checker) entries(shape Shape, v *strict.Value, at string) (any, error) {
	c.size(shape, len(v.Members), at)
	out := map[string]any{}
	for _, m := range v.Members {
		shown := "{" + m.Key + "=" + m.Value.Text + "}"
		c.within(shown, at, "Map keys", c.table.constraints(shape.Keys, m.Key))
		if Shapes[shape.Of].Kind == String && m.Value.Kind == strict.String {
			c.within(shown, at, "Map value", c.table.constraints(shape.Of, m.Value.Text))
			out[m.Key] = m.Value.Text
			continue
		}
		inner, err := c.value(shape.Of, m.Value, at+"."+m.Key)
		if err != nil {
			return nil, err
		}
		if inner != nil {
			out[m.Key] = inner
		}
	}
	return out, nil
}

func (c *checker) number(shape Shape, v *strict.Value, at string) (any, error) {
	n, err := strconv.ParseFloat(v.Text, 64)
	var out any = n
	if shape.Kind == Integer {
		out, err = strconv.ParseInt(v.Text, 10, 64)
	}
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, fault.New(fault.InvalidRequest, "%s is %q; expected a number.", at, arn.Clip(v.Text, 40))
	}
	if shape.HasMin && n < shape.Min {
		c.violate(v.Text, at, "Member must have value greater than or equal to "+plain(shape.Min))
	}
	if shape.HasMax && n > shape.Max {
		c.violate(v.Text, at, "Member must have value less than or equal to "+plain(shape.Max))
	}
	return out, nil
}
