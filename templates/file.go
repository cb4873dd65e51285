package templates

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A File is what people keep in a file: a template alone, or the request that
// creates one, as the AWS command line's skeleton has it. Of a template alone
// only Body is set. Enabled is nil where the file does not say.
type File struct {
	TemplateName        string
	Description         string
	Enabled             *bool
	ProvisioningRoleARN string
	Type                string // as it stands, perhaps empty; see KindOf
	Hook                *HookRecord
	Tags                map[string]string
	Body                string // compact JSON, as the API takes it

	tree *strict.Value // of the body, with the lines of the file; nil for a string
}

// ParseFile reads a file for `slipway template apply`. A member it does not
// know is an error, and so is a file that is neither of the two forms. It does
// not check the template itself: Template does.
func ParseFile(data []byte) (File, error) {
	root, err := strict.Parse(data)
	if err != nil {
		return File{}, fault.New(fault.InvalidRequest, "The file is not well-formed: %s.", err)
	}
	if root.Kind == strict.Object && root.Get("templateBody") != nil {
		return parseRequest(data, root)
	}
	if root.Kind == strict.Object && root.Get("Resources") != nil {
		body, err := compact(data)
		return File{Body: body, tree: root}, err
	}
	return File{}, fault.New(fault.InvalidRequest, "The file is neither a template, an object with Resources, nor a request that creates one, an object with templateBody.")
}

// Template parses the body of f as its type says. Its errors name the lines
// of the file where the body stands there as an object.
func (f File) Template() (*Template, error) {
	kind, err := KindOf(f.Type)
	if err != nil {
		return nil, err
	}
	t, err := Parse([]byte(f.Body), kind)
	if err == nil || f.tree == nil {
		return t, err
	}
	if _, placed := compile(f.tree, kind); placed != nil {
		err = placed
	}
	return nil, err
}

func parseRequest(data []byte, root *strict.Value) (File, error) {
	var f File
	r := fileReader{}
	for _, m := range root.Members {
		switch m.Key {
		case "templateName":
			f.TemplateName = r.text(m.Value)
		case "description":
			f.Description = r.text(m.Value)
		case "enabled":
			f.Enabled = r.boolean(m.Value)
		case "provisioningRoleArn":
			f.ProvisioningRoleARN = r.text(m.Value)
		case "type":
			f.Type = r.text(m.Value)
		case "preProvisioningHook":
			f.Hook = r.hook(m.Value)
		case "tags":
			f.Tags = r.tags(m.Value)
		case "templateBody":
			f.Body, f.tree = r.body(data, m.Value)
		default:
			r.unknown(m, "templateName, description, enabled, provisioningRoleArn, templateBody, preProvisioningHook, type, tags")
		}
	}
	return f, r.err
}

// A fileReader reads members and keeps the first error.
type fileReader struct{ err error }

func (r *fileReader) fail(v *strict.Value, format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.InvalidRequest, "%s: %s", place(v), fmt.Sprintf(format, args...))
	}
}

func (r *fileReader) unknown(m strict.Member, known string) {
	r.fail(m.Value, "unknown member %q; expected one of %s.", arn.Clip(m.Key, 80), known)
}

func (r *fileReader) is(v *strict.Value, k strict.Kind) bool {
	if v.Kind != k {
		r.fail(v, "expected %s, got %s.", k, v.Kind)
	}
	return v.Kind == k
}

// text gives a string; null stands for a member that is absent, as the
// skeletons of some tools have it.
func (r *fileReader) text(v *strict.Value) string {
	if v.Kind != strict.Null {
		r.is(v, strict.String)
	}
	return v.Text
}

func (r *fileReader) boolean(v *strict.Value) *bool {
	if v.Kind == strict.Null || !r.is(v, strict.Bool) {
		return nil
	}
	return &v.Bool
}

func (r *fileReader) hook(v *strict.Value) *HookRecord {
	if v.Kind == strict.Null || !r.is(v, strict.Object) {
		return nil
	}
	var h HookRecord
	for _, m := range v.Members {
		switch m.Key {
		case "payloadVersion":
			h.PayloadVersion = r.text(m.Value)
		case "targetArn":
			h.TargetARN = r.text(m.Value)
		default:
			r.unknown(m, "payloadVersion, targetArn")
		}
	}
	return &h
}

// tags reads AWS's list of {"Key": …, "Value": …}.
func (r *fileReader) tags(v *strict.Value) map[string]string {
	if v.Kind == strict.Null || !r.is(v, strict.Array) {
		return nil
	}
	out := map[string]string{}
	for _, it := range v.Items {
		if !r.is(it, strict.Object) {
			return nil
		}
		var key, value string
		for _, m := range it.Members {
			switch m.Key {
			case "Key":
				key = r.text(m.Value)
			case "Value":
				value = r.text(m.Value)
			default:
				r.unknown(m, "Key, Value")
			}
		}
		if _, twice := out[key]; twice || key == "" {
			r.fail(it, "a tag has a Key that no other tag has.")
		}
		out[key] = value
	}
	return out
}

// body gives templateBody as compact JSON, and its tree if it is an object.
func (r *fileReader) body(data []byte, v *strict.Value) (string, *strict.Value) {
	if v.Kind == strict.String {
		body, err := compact([]byte(v.Text))
		if err != nil {
			r.fail(v, "the string is not well-formed JSON.")
		}
		return body, nil
	}
	if !r.is(v, strict.Object) {
		return "", nil
	}
	var request map[string]json.RawMessage
	if err := json.Unmarshal(data, &request); err != nil { // strict.Parse has read it already
		r.fail(v, "not well-formed JSON.")
	}
	body, err := compact(request["templateBody"])
	if err != nil {
		r.fail(v, "not well-formed JSON.")
	}
	return body, v
}

func compact(data []byte) (string, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return "", fault.Wrap(fault.InvalidRequest, err, "The template is not well-formed JSON.")
	}
	return out.String(), nil
}
