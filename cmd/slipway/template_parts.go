package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/templates"
)

// parametersOf gives what a body declares, less what the service supplies; of
// one that cannot be read, nothing.
func parametersOf(body, typ string) []templates.Parameter {
	kind, err := templates.KindOf(typ)
	if err != nil {
		return nil
	}
	t, err := templates.Parse([]byte(body), kind)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(t.Parameters(), func(p templates.Parameter) bool { return strings.HasPrefix(p.Name, "AWS::") })
}

// describeParameters says which parameters a device sends.
func describeParameters(list []templates.Parameter) (out []string) {
	for _, p := range list {
		note := ""
		switch {
		case p.HasDefault:
			note = ", default " + p.Default
		case p.Required:
			note = ", required"
		}
		out = append(out, p.Name+note)
	}
	return out
}

// A part is a resource that a template names literally and that has to be
// there before the first device comes.
type part struct {
	Kind string `json:"kind"` // thing type, thing group or policy
	Name string `json:"name"`
	Made bool   `json:"made,omitempty"` // it was missing, and was made now
}

func (p part) path() string {
	switch p.Kind {
	case thingTypeKind:
		return api.Path("thing-types", p.Name)
	case thingGroupKind:
		return api.Path("thing-groups", p.Name)
	}
	return api.Path("policies", p.Name)
}

// note says what to do about it.
func (p part) note() string {
	switch {
	case p.Made:
		return "created"
	case p.Kind == thingTypeKind:
		return "does not exist; create it with `aws iot create-thing-type --thing-type-name " + p.Name + "`, or apply again with --make-types"
	case p.Kind == thingGroupKind:
		return "does not exist; create it with `aws iot create-thing-group --thing-group-name " + p.Name + "`"
	}
	return "does not exist; create it with `aws iot create-policy --policy-name " + p.Name + " --policy-document file://FILE`"
}

const (
	thingTypeKind  = "thing type"
	thingGroupKind = "thing group"
	policyKind     = "policy"
)

// missingParts gives what the body names and the registry has not got. Thing
// types are made if that is asked for. What the caller may not look at is
// taken to be there.
func (p *plane) missingParts(ctx context.Context, body string, makeTypes bool) ([]part, error) {
	var out []part
	for _, named := range literalParts(body) {
		err := p.get(ctx, named.path(), nil)
		if !api.IsType(err, api.Missing) {
			continue
		}
		if makeTypes && named.Kind == thingTypeKind {
			if err := p.call(ctx, http.MethodPost, named.path(), nil, map[string]any{}, nil); err != nil {
				return out, err
			}
			named.Made = true
		}
		out = append(out, named)
	}
	return out, nil
}

// literalParts reads the names out of a body that templates.Parse has
// accepted; what an intrinsic function computes is not known before a device
// comes. Names of properties may be written in lower case.
func literalParts(body string) []part {
	var doc struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]json.RawMessage
		}
	}
	if json.Unmarshal([]byte(body), &doc) != nil {
		return nil
	}
	var out []part
	for _, r := range doc.Resources {
		props := map[string]json.RawMessage{}
		for name, value := range r.Properties {
			props[strings.ToLower(name)] = value
		}
		switch r.Type {
		case "AWS::IoT::Thing":
			out = append(out, texts(thingTypeKind, props["thingtypename"])...)
			out = append(out, texts(thingGroupKind, props["thinggroups"])...)
		case "AWS::IoT::Policy":
			if props["policydocument"] == nil {
				out = append(out, texts(policyKind, props["policyname"])...)
			}
		}
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
	return slices.Compact(out)
}

// texts gives the literal texts of a value that is one, or a list of some.
func texts(kind string, raw json.RawMessage) (out []part) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	for _, item := range list {
		var text string
		if json.Unmarshal(item, &text) == nil && text != "" {
			out = append(out, part{Kind: kind, Name: text})
		}
	}
	return out
}
