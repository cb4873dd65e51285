package templates

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/wire/strict"
)

// A document is a policy document that the template writes out as an object:
// finished JSON, with intrinsic functions between its chunks.
type document []chunk

type chunk struct {
	json string
	text expr
	list listExpr
}

// document compiles an object below PolicyDocument. Objects that are
// intrinsic functions are evaluated, wherever they stand; everything else,
// policy variables included, is kept as it is, in its order.
func (c *compiler) document(v *strict.Value) (document, error) {
	var w documentWriter
	err := w.write(c, v)
	w.flush(nil, nil)
	return w.out, err
}

type documentWriter struct {
	out document
	buf strings.Builder
}

func (w *documentWriter) flush(e expr, l listExpr) {
	w.out = append(w.out, chunk{w.buf.String(), e, l})
	w.buf.Reset()
}

func (w *documentWriter) write(c *compiler, v *strict.Value) error {
	switch {
	case looksLikeFunction(v):
		return w.function(c, v)
	case v.Kind == strict.Object:
		return w.sequence(c, '{', '}', len(v.Members), func(i int) *strict.Value {
			w.buf.WriteString(quote(v.Members[i].Key) + ":")
			return v.Members[i].Value
		})
	case v.Kind == strict.Array:
		return w.sequence(c, '[', ']', len(v.Items), func(i int) *strict.Value { return v.Items[i] })
	}
	w.buf.WriteString(scalar(v))
	return nil
}

func (w *documentWriter) sequence(c *compiler, open, shut byte, n int, item func(int) *strict.Value) error {
	w.buf.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.buf.WriteByte(',')
		}
		if err := w.write(c, item(i)); err != nil {
			return err
		}
	}
	w.buf.WriteByte(shut)
	return nil
}

func (w *documentWriter) function(c *compiler, v *strict.Value) error {
	if len(v.Members) == 1 && v.Members[0].Key == "Fn::Split" {
		l, err := c.list(v)
		w.flush(nil, l)
		return err
	}
	e, err := c.text(v)
	w.flush(e, nil)
	return err
}

// eval writes the document as compact JSON. Values go through the encoder, so
// that none can break out of its string.
func (d document) eval(s *scope) (string, error) {
	var out strings.Builder
	for _, c := range d {
		value, err := c.value(s)
		if err != nil {
			return "", err
		}
		if err := s.spend(len(c.json) + len(value)); err != nil {
			return "", err
		}
		out.WriteString(c.json)
		out.WriteString(value)
	}
	return out.String(), nil
}

func (c chunk) value(s *scope) (string, error) {
	switch {
	case c.text != nil:
		v, err := c.text.eval(s)
		return quote(v), err
	case c.list != nil:
		items, err := c.list.list(s)
		for i := range items {
			items[i] = quote(items[i])
		}
		return "[" + strings.Join(items, ",") + "]", err
	}
	return "", nil
}

// guarded marks an expression whose text becomes a policy document.
type guarded struct{ expr }

func (g guarded) eval(s *scope) (string, error) {
	s.inPolicy = true
	defer func() { s.inPolicy = false }()
	return g.expr.eval(s)
}

func quote(s string) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // text always encodes, and a Builder never fails
	return strings.TrimSuffix(out.String(), "\n")
}

// scalar writes a value that is neither list nor object.
func scalar(v *strict.Value) string {
	switch v.Kind {
	case strict.String:
		return quote(v.Text)
	case strict.Number:
		return v.Text
	case strict.Bool:
		return strconv.FormatBool(v.Bool)
	}
	return "null"
}
